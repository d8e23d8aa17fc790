"""The rows of runs.csv and table.csv: fixed, documented columns, provenance in every row."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from dae_cli.csv_rows import csv_text, parse_rows, require_possible, text_of, values_of
from dae_cli.data.dataset import Trust
from dae_cli.data.trust import recorded_trust
from dae_cli.files import write_text
from dae_cli.training.version import UNRECORDED


@dataclass(frozen=True)
class RunRow:
    """One run. Percentages are of the split's rows; an empty field is not known."""

    cell: str
    """The cell's name inside the study, such as convex-25."""
    run: str
    """The run folder's name."""
    dataset: str
    data_origin: str
    """original, regenerated, or own: the user's photographs."""
    trust: Trust
    """How far original data are proven: verified, plausible or unverified; else empty."""
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
    """Fine-tuning epoch whose network was kept."""
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
    """What computed it: torch or compiled, blas in earlier versions, libsvm."""
    threads: int | None = None
    versions: str = ""
    commit: str = ""
    numerics: int = UNRECORDED
    """Version of the numerics that computed it; files of earlier versions do not tell."""
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
    trust: Trust
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
    numerics: str = str(UNRECORDED)
    error: str = ""


Row = TypeVar("Row", RunRow, TableRow)

_LATER = ("trust", "selected", "trials")
"""Columns that came later: they stand in a file only where a row has something in them, so that
results from before are what they were."""
NUMERICS = "numerics"
"""A column that is always written; files of earlier versions lack it."""


def rows_to_csv(
    rows: Sequence[RunRow] | Sequence[TableRow], kind: type[Any], without: Collection[str] = ()
) -> str:
    """Return CSV text with a header; percentages have two decimals.

    Args:
        rows: of the file.
        kind: of the rows.
        without: columns that are left out.
    """
    names = [
        f.name
        for f in fields(kind)
        if f.name not in without
        and (f.name not in _LATER or any(_cell(f.name, getattr(row, f.name)) != "" for row in rows))
    ]
    lines = ([_cell(name, getattr(row, name)) for name in names] for row in rows)
    return csv_text([names, *lines])


def as_text(row: RunRow | TableRow) -> dict[str, str]:
    """Return the columns of a row as they stand in the CSV."""
    return {f.name: str(_cell(f.name, getattr(row, f.name))) for f in fields(row)}


def write_rows(path: Path, rows: Sequence[RunRow] | Sequence[TableRow], kind: type[Any]) -> None:
    """Write a CSV file whole or not at all."""
    write_text(path, rows_to_csv(rows, kind))


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """Read a CSV file that `write_rows` wrote.

    Raises:
        FileNotFoundError: there is none.
        RunFolderError: the columns or a value are not as written.
    """
    types = get_type_hints(kind)

    def columns(found: Sequence[str]) -> list[str]:
        return [name for name in types if name in found or name not in (*_LATER, NUMERICS)]

    def made(found: dict[str, str]) -> Row:
        values = values_of(types, found)
        require_possible(values)
        if "trust" not in values:  # of an earlier version, or all regenerated
            about = (found["dataset"], found["data_origin"], found["data_sha256"])
            values["trust"] = recorded_trust(*about)
        return kind(**values)

    return parse_rows(text_of(path), str(path), columns, made)


def _cell(name: str, value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, float):
        if name == "destruction_percent":
            return f"{value:g}"
        return f"{value:.1f}" if name == "minutes" else f"{value:.2f}"
    return value
