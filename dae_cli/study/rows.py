"""The rows of runs.csv and table.csv: fixed, documented columns, provenance in every row."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_type_hints

from dae_cli.errors import RunFolderError
from dae_cli.files import write_text


@dataclass(frozen=True)
class RunRow:
    """One run. Percentages are of the split's rows; an empty field is not known."""

    cell: str
    """The cell's name inside the study, such as convex-25."""
    run: str
    """The run folder's name."""
    dataset: str
    data_origin: str
    """original or regenerated."""
    data_sha256: str
    model: str
    destruction_percent: float
    seed: int
    n_test: int | None = None
    n_wrong: int | None = None
    test_error_percent: float | None = None
    half_width_95: float | None = None
    valid_error_percent: float | None = None
    best_epoch: int | None = None
    """Fine-tuning epoch of the lowest validation error."""
    epochs: int | None = None
    """Fine-tuning epochs that were run."""
    paper_error_percent: float | None = None
    paper_half_width_95: float | None = None
    paper_model: str = ""
    verdict: str = ""
    minutes: float | None = None
    device: str = ""
    threads: int | None = None
    versions: str = ""
    commit: str = ""
    config_sha256: str = ""
    """Of the resolved config and the version of the numerics."""
    error: str = ""
    """Why the run failed; empty when it is done."""


@dataclass(frozen=True)
class TableRow:
    """One cell of the study's table: the mean over its seeds."""

    cell: str
    dataset: str
    data_origin: str
    data_sha256: str
    model: str
    destruction_percent: float
    seeds: str
    """Separated by spaces."""
    n_test: int | None
    n_wrong: str
    """One number a seed, separated by spaces."""
    test_error_percent: float | None
    half_width_95: float | None
    """Of a single run: 1.96 · sqrt(p (1 − p) / n_test), as in the paper."""
    sd_over_seeds: float | None
    valid_error_percent: float | None
    paper_error_percent: float | None
    paper_half_width_95: float | None
    paper_model: str
    verdict: str
    minutes: float | None
    device: str
    threads: int | None
    versions: str
    commit: str
    error: str


Row = TypeVar("Row", RunRow, TableRow)


def rows_to_csv(rows: Sequence[RunRow] | Sequence[TableRow], kind: type[Any]) -> str:
    """Return CSV text with a header; percentages have two decimals."""
    names = [f.name for f in fields(kind)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(name, getattr(row, name)) for name in names])
    return text.getvalue()


def write_rows(path: Path, rows: Sequence[RunRow] | Sequence[TableRow], kind: type[Any]) -> None:
    """Write a CSV file whole or not at all."""
    write_text(path, rows_to_csv(rows, kind))


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """Read a CSV file that `write_rows` wrote.

    Raises:
        RunFolderError: the columns or a value are not as written.
    """
    types = get_type_hints(kind)
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != list(types):
            raise RunFolderError(f"{path}: its columns are not those that dae writes; move it away")
        rows = []
        for line, record in enumerate(reader, start=2):
            try:
                rows.append(kind(**{name: _parse(types[name], record[name]) for name in types}))
            except (ValueError, TypeError) as error:
                raise RunFolderError(f"{path}:{line}: {error}; move the file away") from error
    return rows


def _cell(name: str, value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, float):
        if name == "destruction_percent":
            return f"{value:g}"
        return f"{value:.1f}" if name == "minutes" else f"{value:.2f}"
    return value


def _parse(kind: Any, text: str) -> Any:
    options = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if text == "" and NoneType in options:
        return None
    return options[0](text)
