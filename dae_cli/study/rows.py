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
    selected: str = ""
    """Of an SVM: the parameters that were best on the validation rows."""
    trials: int | None = None
    """Of an SVM: the machines that were compared."""
    paper_error_percent: float | None = None
    paper_half_width_95: float | None = None
    paper_model: str = ""
    verdict: str = ""
    minutes: float | None = None
    device: str = ""
    engine: str = ""
    """What computed it: torch, blas or compiled."""
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
    engine: str
    threads: int | None
    versions: str
    commit: str
    error: str


Row = TypeVar("Row", RunRow, TableRow)

_LATER = ("selected", "trials")
"""Columns that came later: they stand in a file only where a row has something in them, so that
results from before are what they were."""


def rows_to_csv(rows: Sequence[RunRow] | Sequence[TableRow], kind: type[Any]) -> str:
    """Return CSV text with a header; percentages have two decimals."""
    names = [
        f.name
        for f in fields(kind)
        if f.name not in _LATER or any(_cell(f.name, getattr(row, f.name)) != "" for row in rows)
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(name, getattr(row, name)) for name in names])
    return text.getvalue()


def as_text(row: RunRow | TableRow) -> dict[str, str]:
    """Return the columns of a row as they stand in the CSV."""
    return {f.name: str(_cell(f.name, getattr(row, f.name))) for f in fields(row)}


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
        reader = csv.reader(file, strict=True)
        try:
            columns = next(reader, [])
            types = {n: t for n, t in types.items() if n in columns or n not in _LATER}
            if columns != list(types):
                raise RunFolderError(
                    f"{path}: its columns are not those that dae writes; move it away"
                )
            return [kind(**_parsed(types, record)) for record in reader]
        except (ValueError, csv.Error) as error:
            line = max(1, reader.line_num)
            raise RunFolderError(f"{path}:{line}: {error}; move the file away") from error


def _parsed(types: dict[str, Any], record: list[str]) -> dict[str, Any]:
    if len(record) != len(types):
        raise ValueError(f"{len(record)} values found, {len(types)} expected")
    return {
        name: _parse(name, kind, text)
        for (name, kind), text in zip(types.items(), record, strict=True)
    }


def _cell(name: str, value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, float):
        if name == "destruction_percent":
            return f"{value:g}"
        return f"{value:.1f}" if name == "minutes" else f"{value:.2f}"
    return value


def _parse(name: str, kind: Any, text: str) -> Any:
    options = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if text == "" and NoneType in options:
        return None
    try:
        return options[0](text)
    except ValueError:
        raise ValueError(f"{name} is {text!r}, expected a number") from None
