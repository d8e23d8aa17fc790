"""The points of a study's charts, which its plots and its page share, and what names them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.schema import AnyExperiment, Experiment
from dae_cli.figures.series import (
    Curves,
    ErrorPoint,
    ErrorSeries,
    Interval,
    LearningSeries,
    RunCurves,
)
from dae_cli.study.paper import half_width_with_seeds
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.tables import cells
from dae_cli.study.tables.cells import data_mark

AUTOENCODERS = ("SAA", "SdA")
"""Beginnings of the names of models whose errors are drawn over destruction."""


def is_autoencoder(row: RunRow | TableRow) -> bool:
    """Return whether a model is an autoencoder, denoising or not."""
    return row.model.startswith(AUTOENCODERS)


def labels_of(
    rows: Sequence[RunRow] | Sequence[TableRow], changed: Collection[str]
) -> dict[str, str]:
    """Return by cell its model and destruction, and its name where several cells share these.

    Args:
        rows: of one data set.
        changed: cells that are not what their files say.
    """
    texts = {}
    for row in rows:
        level = f", {row.destruction_percent:g} %" if is_autoencoder(row) else ""
        texts[row.cell] = f"{row.model}{level}"
    if len(set(texts.values())) == len(texts):
        return texts
    names = {cell: f"{cell}, changed" if cell in changed else cell for cell in texts}
    return {cell: f"{text} ({names[cell]})" for cell, text in texts.items()}


def differ_in_destruction(rows: Sequence[RunRow]) -> bool:
    """Return whether cells are autoencoders, each at a destruction of its own."""
    levels = {row.cell: row.destruction_percent for row in rows}
    return all(map(is_autoencoder, rows)) and len(set(levels.values())) == len(levels)


def same_start(study: ResolvedStudy, rows: Sequence[RunRow]) -> bool:
    """Return whether there are several, and their first layers began with the same weights."""
    experiments = {cell.cell: cell.experiment for cell in study.all_cells}
    starts = set()
    for row in rows:
        experiment = experiments.get(row.cell)
        if not isinstance(experiment, Experiment):
            return False
        starts.add((row.seed, experiment.model.hidden[0], experiment.model.init))
    return len(starts) == 1 < len(rows)


def error_series(study: ResolvedStudy, table: Sequence[TableRow]) -> ErrorSeries | None:
    """Return the errors of autoencoders on one data set by destruction.

    Args:
        table: the rows of the data set.

    Returns:
        None where there are none of ours, or where two of one model share a destruction.
    """
    table = [row for row in table if is_autoencoder(row)]
    done = sorted((row for row in table if our_error(row)), key=lambda row: row.destruction_percent)
    models = _models_of(study, done)
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
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    labels: Mapping[str, str],
    curves: Mapping[str, Curves],
) -> LearningSeries:
    """Return the learning curves of the runs on one data set.

    Args:
        rows, table: those of the data set.
        labels: of its cells.
        curves: by run.
    """
    places = {row.cell: place for place, row in enumerate(table)}
    runs: list[RunCurves] = []
    for row in rows:
        own = curves.get(row.run)
        if own is not None and (own.valid or own.cost):
            best = None
            if row.best_epoch is not None and row.valid_error_percent is not None:
                best = row.best_epoch, round(row.valid_error_percent, 2)  # as in runs.csv
            place = places[row.cell]
            again = any(run.series == place for run in runs)
            runs.append(RunCurves(row.run, place, row.seed, own, again, best))
    return LearningSeries(
        table[0].dataset,
        labels=tuple(labels[row.cell] for row in table),
        models=tuple(row.model for row in table),
        runs=tuple(runs),
    )


def our_error(row: TableRow) -> Interval | None:
    """Our error of a cell, if it has one."""
    if row.test_error_percent is None or row.half_width_95 is None:
        return None
    return Interval(row.test_error_percent, row.half_width_95)


def paper_error(row: TableRow) -> Interval | None:
    """The error that the paper prints for a cell, if it does."""
    if row.paper_error_percent is None or row.paper_half_width_95 is None:
        return None
    return Interval(row.paper_error_percent, row.paper_half_width_95)


def _models_of(study: ResolvedStudy, rows: Sequence[TableRow]) -> dict[str, str]:
    """Return by cell the model whose errors a line joins; empty where all are of one.

    An SAA is the SdA of no destruction. Cells of other layers or of another corruption are of
    another model.

    Args:
        rows: of one data set.
    """
    experiments = {cell.cell: cell.experiment for cell in study.all_cells}
    built = {row.cell: _architecture(row, experiments.get(row.cell)) for row in rows}
    if len(set(built.values())) < 2:
        return dict.fromkeys(built, "")
    models: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        models.setdefault(built[row.cell], {})[row.model] = None
    names = {key: " and ".join(own) for key, own in models.items()}
    if len(set(names.values())) < len(names):
        names = {(family, how): f"{name}, {how}" for (family, how), name in names.items()}
    return {cell: names[key] for cell, key in built.items()}


def _architecture(row: TableRow, experiment: AnyExperiment | None) -> tuple[str, str]:
    """What all points of one line share: the kind of model, and its layers and corruption."""
    family = "autoencoder" if is_autoencoder(row) else row.model
    if not isinstance(experiment, Experiment):
        return family, ""
    layers = "-".join(map(str, experiment.model.hidden))
    return family, f"{layers} units, {experiment.corruption.kind}"


def _our_point(row: TableRow, model: str) -> ErrorPoint:
    interval = our_error(row)
    assert interval is not None
    half_width = half_width_with_seeds(interval.half_width, row.sd_over_seeds)
    whose = f"ours, {row.model}" if model else "ours"
    interval = Interval(interval.error_percent, half_width)
    return _point(whose, row.destruction_percent, interval, model)


def _paper_points(table: Sequence[TableRow]) -> list[ErrorPoint]:
    """The paper's errors of the models that ours are compared with, each at its destruction."""
    points: dict[float, ErrorPoint] = {}
    for row in table:
        interval = paper_error(row)
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
