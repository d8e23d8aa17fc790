"""filters.csv: a row for each unit, of a run in its folder, of a study beside its report."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.csv_rows import csv_text, yes_or_no
from dae_cli.errors import RunFolderError
from dae_cli.features.measures import UnitMeasures, measure
from dae_cli.files import write_text
from dae_cli.study.rows import RunRow
from dae_cli.study.run.folder import FILTERS_CSV, RUNS

_NAMES = [f.name for f in fields(UnitMeasures)]
_OF_STUDY = ("cell", "run", "seed")


@dataclass(frozen=True)
class MeasuredRun:
    """The measures of every unit of one run."""

    row: RunRow
    units: tuple[UnitMeasures, ...]


def measures_csv(weights: NDArray[np.float32]) -> str:
    """Measure filters (units, pixels), and return a line for each with a header."""
    return csv_text([_NAMES, *(_cells(unit) for unit in measure(weights))])


def measured_runs(out: Path, rows: Sequence[RunRow]) -> list[MeasuredRun]:
    """Return the measures of runs that are done: from their folders, else from the study's file.

    A run whose folder is elsewhere keeps what the study's filters.csv tells of it.

    Raises:
        RunFolderError: a file is not as dae writes it, or nothing tells of a run.
    """
    kept = _kept(out)
    found = []
    for row in rows:
        if row.error:
            continue
        path = out / RUNS / row.run / FILTERS_CSV
        if path.exists():
            units = [_parsed(path, number, line) for number, line in _lines(path)]
        elif row.run in kept:
            units = kept[row.run]
        else:
            raise RunFolderError(f"{path}: is not there; remove the folder to have the run made")
        found.append(MeasuredRun(row, tuple(units)))
    return found


def write_filters(out: Path, measured: Iterable[MeasuredRun]) -> None:
    """Write the study's filters.csv whole or not at all."""
    write_text(out / FILTERS_CSV, filters_csv(measured))


def filters_csv(measured: Iterable[MeasuredRun]) -> str:
    """Return the study's filters.csv."""
    lines: list[list[str]] = [[*_OF_STUDY, *_NAMES]]
    for run in measured:
        first = [run.row.cell, run.row.run, str(run.row.seed)]
        lines += ([*first, *_cells(unit)] for unit in run.units)
    return csv_text(lines)


def _kept(out: Path) -> dict[str, list[UnitMeasures]]:
    kept: dict[str, list[UnitMeasures]] = {}
    path = out / FILTERS_CSV
    for number, line in _lines(path) if path.exists() else ():
        kept.setdefault(line.get("run", ""), []).append(_parsed(path, number, line))
    return kept


def _lines(path: Path) -> list[tuple[int, dict[str, str]]]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            return [(reader.line_num, line) for line in reader]
        except (csv.Error, ValueError) as error:
            raise RunFolderError(f"{path}:{reader.line_num}: {error}") from error


def _parsed(path: Path, number: int, line: dict[str, str]) -> UnitMeasures:
    try:
        values: dict[str, Any] = {
            f.name: _value(f.type, line[f.name]) for f in fields(UnitMeasures)
        }
    except (KeyError, TypeError, ValueError) as error:
        raise RunFolderError(
            f"{path}:{number}: not as dae writes it ({error}); remove the file's folder to have "
            "the run made anew"
        ) from error
    return UnitMeasures(**values)


def _value(kind: object, text: str) -> object:
    """Turn the text of a cell back; dataclass fields tell their types as text."""
    if kind == "bool":
        if text not in ("yes", "no"):
            raise ValueError(f"{text!r} is neither yes nor no")
        return text == "yes"
    return int(text) if kind == "int" else float(text)


def _cells(unit: UnitMeasures) -> list[str]:
    return [_text(getattr(unit, name)) for name in _NAMES]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return yes_or_no(value)
    return f"{value:.4f}" if isinstance(value, float) else str(value)
