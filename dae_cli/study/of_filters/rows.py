"""filters.csv beside the report: a row for each unit of each run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from dae_cli.csv_rows import csv_text, parse_rows, text_of, values_of
from dae_cli.files import write_text
from dae_cli.filters.measures import UnitMeasures
from dae_cli.study.rows import RunRow
from dae_cli.study.run.filter_rows import MEASURES, measure_texts, measures_in
from dae_cli.study.run.folder import FILTERS_CSV, RUNS

_COLUMNS = ["cell", "seed", *MEASURES]
_Kept = dict[tuple[str, int], list[UnitMeasures]]
"""By cell and seed."""


@dataclass(frozen=True)
class MeasuredRun:
    """The measures of every unit of one run."""

    row: RunRow
    units: tuple[UnitMeasures, ...]


def measured_runs(out: Path, rows: Sequence[RunRow]) -> list[MeasuredRun]:
    """Return the measures of runs that are done: from their folders, else from the study's file.

    A run whose folder is elsewhere keeps what the study's filters.csv tells of it.

    Raises:
        RunFolderError: a file is not as dae writes it, or nothing tells of a run.
    """
    done = [row for row in rows if not row.error]
    kept = _kept(out) if any(_is_elsewhere(out, row) for row in done) else {}
    return [MeasuredRun(row, tuple(_units(out, row, kept))) for row in done]


def require_measures(out: Path, rows: Sequence[RunRow], *, anew: bool = False) -> None:
    """Make sure that what is known of runs whose folders are elsewhere can be read.

    Args:
        out: the folder of the results.
        rows: of runs.csv.
        anew: the folders that are here will be removed, to be made anew one after the other.

    Raises:
        RunFolderError: the study's filters.csv is not one that dae wrote.
    """
    if any(not row.error and (anew or _is_elsewhere(out, row)) for row in rows):
        _kept(out)


def write_filters(out: Path, measured: Iterable[MeasuredRun]) -> None:
    """Write the study's filters.csv whole or not at all."""
    write_text(out / FILTERS_CSV, filters_csv(measured))


def filters_csv(measured: Iterable[MeasuredRun]) -> str:
    """Return the study's filters.csv."""
    lines: list[list[str]] = [_COLUMNS]
    for run in measured:
        first = [run.row.cell, str(run.row.seed)]
        lines += ([*first, *measure_texts(unit)] for unit in run.units)
    return csv_text(lines)


def _is_elsewhere(out: Path, row: RunRow) -> bool:
    return not (out / RUNS / row.run / FILTERS_CSV).exists()


def _units(out: Path, row: RunRow, kept: _Kept) -> list[UnitMeasures]:
    place = row.cell, row.seed
    if place in kept and _is_elsewhere(out, row):
        return kept[place]
    return measures_in(out / RUNS / row.run)


def _kept(out: Path) -> _Kept:
    """The measures in the study's filters.csv; of none where there is no such file."""
    path = out / FILTERS_CSV
    if not path.exists():
        return {}
    types = get_type_hints(UnitMeasures)

    def made(found: dict[str, str]) -> tuple[tuple[str, int], UnitMeasures]:
        values: dict[str, Any] = values_of(types, {name: found[name] for name in MEASURES})
        seed: int = values_of({"seed": int}, {"seed": found["seed"]})["seed"]
        return (found["cell"], seed), UnitMeasures(**values)

    kept: _Kept = {}
    for place, unit in parse_rows(text_of(path), str(path), lambda _: _COLUMNS, made):
        kept.setdefault(place, []).append(unit)
    return kept
