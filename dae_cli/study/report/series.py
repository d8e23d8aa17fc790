"""The points of a study's charts, which its plots and its page share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.figures.series import (
    ErrorPoint,
    ErrorSeries,
    Interval,
    LearningSeries,
    RunCurves,
)
from dae_cli.study.report.labels import is_autoencoder, labels_of, series_of
from dae_cli.study.report.saved_runs import SavedRuns, run_curves
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.tables import cells
from dae_cli.study.tables.cells import data_mark
from dae_cli.study.verdict import half_width_with_seeds


def error_series(study: ResolvedStudy, table: Sequence[TableRow]) -> ErrorSeries | None:
    """Return the errors of autoencoders on one data set by destruction.

    Args:
        table: the rows of the data set.

    Returns:
        None where there are none of ours, or where two of one model share a destruction.
    """
    table = [row for row in table if is_autoencoder(row)]
    done = sorted((row for row in table if ours_of(row)), key=lambda row: row.destruction_percent)
    models = series_of(study, done)
    if not done or len({(models[r.cell], r.destruction_percent) for r in done}) < len(done):
        return None
    return ErrorSeries(
        done[0].dataset,
        ours=tuple(_our_point(row, models[row.cell]) for row in done),
        paper=tuple(_paper_points(table)),
        data_mark=next((mark for row in table if (mark := data_mark(row))), ""),
        over_seeds=any(row.sd_over_seeds is not None for row in done),
    )


def learning_series(
    study: ResolvedStudy,
    out: Path,
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    saved: SavedRuns,
) -> LearningSeries:
    """Return the learning curves of the runs on one data set.

    Args:
        out: the folder of the results, where run folders may be.
        rows, table: those of the data set.
        saved: what is kept of runs whose folders are elsewhere.

    Raises:
        RunFolderError: a run's metrics.csv is damaged.
    """
    labels = labels_of(table, study.changed)
    places = {row.cell: place for place, row in enumerate(table)}
    found: list[RunCurves] = []
    for row in rows:
        curves = None if row.error else run_curves(out, row.run, saved)
        if curves is not None and (curves.valid or curves.cost):
            kept = None
            if row.best_epoch is not None and row.valid_error_percent is not None:
                kept = row.best_epoch, round(row.valid_error_percent, 2)  # as in runs.csv
            place = places[row.cell]
            again = any(run.series == place for run in found)
            found.append(RunCurves(row.run, place, row.seed, curves, again, kept))
    return LearningSeries(
        table[0].dataset,
        labels=tuple(labels[row.cell] for row in table),
        models=tuple(row.model for row in table),
        runs=tuple(found),
    )


def ours_of(row: TableRow) -> Interval | None:
    """Our error of a cell, if it has one."""
    if row.test_error_percent is None or row.half_width_95 is None:
        return None
    return Interval(row.test_error_percent, row.half_width_95)


def paper_of(row: TableRow) -> Interval | None:
    """The error that the paper prints for a cell, if it does."""
    if row.paper_error_percent is None or row.paper_half_width_95 is None:
        return None
    return Interval(row.paper_error_percent, row.paper_half_width_95)


def _our_point(row: TableRow, model: str) -> ErrorPoint:
    interval = ours_of(row)
    assert interval is not None
    half_width = half_width_with_seeds(interval.half_width, row.sd_over_seeds)
    whose = f"ours, {row.model}" if model else "ours"
    interval = Interval(interval.error_percent, half_width)
    return _point(whose, row.destruction_percent, interval, model)


def _paper_points(table: Sequence[TableRow]) -> list[ErrorPoint]:
    """The paper's errors of the models that ours are compared with, each at its destruction."""
    points: dict[float, ErrorPoint] = {}
    for row in table:
        interval = paper_of(row)
        if interval is None:
            continue
        number = cells.paper_number(row)
        printed = number.destruction_percent if number else None
        level = row.destruction_percent if printed is None else printed
        model = row.paper_model
        points[level] = _point(f"the paper's {model}", level, interval, model)
    return [points[level] for level in sorted(points)]


def _point(whose: str, level: float, interval: Interval, model: str) -> ErrorPoint:
    return ErrorPoint(level, interval, f"{whose}, {level:g} % destroyed: {interval} %", model)
