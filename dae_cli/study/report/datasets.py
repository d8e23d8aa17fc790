"""Content of a report for one data set: rows, points of charts, filters and labels.

Plots and page share the points.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.schema import Experiment, FilterExperiment, PretrainedExperiment
from dae_cli.data.datasets import known_spec
from dae_cli.figures.greys import ImageShape
from dae_cli.figures.series import (
    Curves,
    ErrorPoint,
    ErrorSeries,
    Interval,
    LearningSeries,
    RunCurves,
)
from dae_cli.study.paper import CALIBRATED, half_width_with_seeds
from dae_cli.study.report.saved_runs import SavedRuns, ShownFilters
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.run.filters import tiles_for
from dae_cli.study.run.job import SHEETS
from dae_cli.study.tables import cells
from dae_cli.study.tables.cells import data_mark
from dae_cli.study.tables.paired import Comparison, Contender, baseline_of, compare
from dae_cli.study.tables.paper_table import NO_NUMBER, best_and_overlapping

AUTOENCODERS = ("SAA", "SdA", "AE", "DAE")
"""Beginnings of the names of models that are labelled with their destruction."""


@dataclass(frozen=True, eq=False)
class DatasetResults:
    """One data set of a table study, with its rows of runs.csv and table.csv."""

    study: ResolvedStudy
    runs: Sequence[RunRow]
    table: Sequence[TableRow]
    learning: LearningSeries
    filters: FilterSheets
    contenders: Sequence[Contender]
    """Cells with a test error."""

    @cached_property
    def baseline(self) -> str:
        """Cell that the others are compared with; empty if there are no others."""
        return baseline_of(self.contenders).cell if len(self.contenders) > 1 else ""

    @cached_property
    def compared(self) -> tuple[list[Comparison], list[str]]:
        """Comparisons of the other cells with the baseline, and notes on what they leave out."""
        return compare(self.contenders, self.baseline) if self.baseline else ([], [])

    @property
    def name(self) -> str:
        return self.runs[0].dataset

    @cached_property
    def labels(self) -> dict[str, str]:
        """Labels of its cells, such as `SdA-3, 25 %`."""
        return labels_of(self.table, self.study.changed)

    @cached_property
    def bold(self) -> set[str]:
        """Cells that are bold by the paper's rule."""
        numbers = [
            NO_NUMBER if row.verdict == CALIBRATED else (row.test_error_percent, row.half_width_95)
            for row in self.table
        ]
        bold = zip(self.table, best_and_overlapping(numbers), strict=True)
        return {row.cell for row, is_bold in bold if is_bold}

    @cached_property
    def errors(self) -> ErrorSeries | None:
        """Errors by destruction; None if two cells have the same model and destruction."""
        return error_series(self.study, self.table)

    @property
    def origin(self) -> str:
        """Origin of its data."""
        return cells.origin(self.runs[0])

    @property
    def has_levels(self) -> bool:
        """Whether we have errors at several destructions."""
        return self.errors is not None and len(self.errors.ours) > 1

    @property
    def intervals(self) -> list[Interval | None]:
        """All intervals of its cells, which share a scale in the page's table."""
        return [error for row in self.table for error in (our_error(row), paper_error(row))]

    def row_of(self, cell: str) -> TableRow:
        """Return the row of table.csv for a cell."""
        return next(row for row in self.table if row.cell == cell)

    def details(self, row: TableRow) -> list[tuple[str, str]]:
        """Return the details of a cell for the page; unknown values are empty."""
        valid, wrong = row.valid_error_percent, row.n_wrong.replace(" ", ", ")
        odd = [run for run in self.runs if run.cell == row.cell and run.remark and not run.error]
        return [
            ("cell", row.cell),
            ("changed by --set", self.study.changed.get(row.cell, "")),
            ("seeds", row.seeds.replace(" ", ", ")),
            ("wrong", f"{wrong} of {row.n_test} test rows" if row.n_test else ""),
            ("validation error", "" if valid is None else f"{valid:.2f} %"),
            ("minutes", "" if row.minutes is None else f"{row.minutes:.1f} on one core, all seeds"),
            ("data", cells.origin(row)),
            ("engine", ", ".join(part for part in (row.engine, row.device) if part)),
            ("numerics", row.numerics),
            ("commit", row.commit or "from an installed package"),
            ("at chance", ", ".join(f"seed {r.seed}: {r.remark}" for r in odd)),
            ("failed", row.error),
        ]


def dataset_results(
    study: ResolvedStudy,
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    saved: SavedRuns,
    curves: Mapping[str, Curves],
    contenders: Sequence[Contender],
) -> DatasetResults:
    """Return the content for one data set, to which all arguments belong. `curves`: by run."""
    filters = filter_sheets(study, [row for row in rows if not row.error], saved)
    learning = learning_series(rows, table, labels_of(table, study.changed), curves)
    return DatasetResults(study, rows, table, learning, filters, contenders)


# Filters


@dataclass(frozen=True, eq=False)
class FilterSheets:
    """First-layer filters of the runs on one data set, and their sheets."""

    study: ResolvedStudy
    shown: Sequence[ShownFilters]
    limit: float
    """The weight shown as white in all sheets."""

    @property
    def rows(self) -> list[RunRow]:
        """Rows of the runs, in order."""
        return [one.row for one in self.shown]

    @property
    def by_destruction(self) -> bool:
        """Whether all cells are autoencoders with different destructions."""
        levels = {row.cell: row.destruction_percent for row in self.rows}
        return all(map(is_autoencoder, self.rows)) and len(set(levels.values())) == len(levels)

    @property
    def same_start(self) -> bool:
        """Whether there are several runs whose first layers started from the same weights."""
        experiments = {cell.cell: cell.experiment for cell in self.study.all_cells}
        starts = set()
        for row in self.rows:
            experiment = experiments.get(row.cell)
            if not isinstance(experiment, PretrainedExperiment):
                return False
            starts.add((row.seed, experiment.model.hidden[0], experiment.model.init))
        return len(starts) == 1 < len(self.rows)

    @property
    def whole(self) -> list[tuple[str, str]]:
        """Title and file name of the sheet that shows all runs.

        It exists only if the cells differ in destruction, so that units can be followed from panel
        to panel.
        """
        names = {row.dataset for row in self.rows} if self.by_destruction else ()
        return [(f"{name}, every destruction", f"{SHEETS}/{name}.png") for name in names]

    @property
    def single(self) -> list[tuple[str, str]]:
        """Title and file name of the sheet of each run."""
        labels = labels_of(self.rows, self.study.changed)
        return [(f"{r.dataset}, {labels[r.cell]}", f"{SHEETS}/{r.cell}.png") for r in self.rows]

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows and columns of each sheet."""
        return tiles_for(max(len(one.filters.weights) for one in self.shown))

    def caption(self, rows: Sequence[RunRow]) -> str:
        """Return the caption of a sheet of some of the runs."""
        units = max(len(one.filters.weights) for one in self.shown)
        seeds = ", ".join(dict.fromkeys(str(row.seed) for row in rows))
        start = ", started from the same weights" if self.same_start else ""
        return (
            f"First-layer weights after pretraining, units 0 to {units - 1}, seed {seeds}. The "
            f"same position shows the same unit in every sheet{start}."
        )


def filter_sheets(study: ResolvedStudy, done: Sequence[RunRow], saved: SavedRuns) -> FilterSheets:
    """Return the filters of runs on one data set; RunFolderError if a checkpoint is damaged."""
    dataset = study.dataset(done[0].dataset) if done else ""
    return FilterSheets(study, *saved.shown_filters(done, dataset, _image_of(study, done)))


def _image_of(study: ResolvedStudy, rows: Sequence[RunRow]) -> ImageShape | None:
    """Return height and width of the runs' patches or images; None if not known."""
    names = {row.cell for row in rows}
    for experiment in (cell.experiment for cell in study.all_cells if cell.cell in names):
        if isinstance(experiment, FilterExperiment) and experiment.patches:
            return experiment.patches.side, experiment.patches.side
    spec = known_spec(study.dataset(rows[0].dataset)) if rows else None
    return spec.tile if spec else None


# Labels


def is_autoencoder(row: RunRow | TableRow) -> bool:
    """Return whether a model is an autoencoder, denoising or not."""
    return row.model.startswith(AUTOENCODERS)


def labels_of(
    rows: Sequence[RunRow] | Sequence[TableRow], changed: Collection[str]
) -> dict[str, str]:
    """Return labels by cell: model and destruction, and the cell's name if these are not unique.

    `rows`: rows of one data set; `changed`: cells whose settings differ from their files.
    """
    texts = {}
    for row in rows:
        level = f", {row.destruction_percent:g} %" if is_autoencoder(row) else ""
        texts[row.cell] = f"{row.model}{level}"
    if len(set(texts.values())) == len(texts):
        return texts
    names = {cell: f"{cell}, changed" if cell in changed else cell for cell in texts}
    return {cell: f"{text} ({names[cell]})" for cell, text in texts.items()}


# Points of the charts


def error_series(study: ResolvedStudy, table: Sequence[TableRow]) -> ErrorSeries | None:
    """Return the errors of autoencoders by destruction; `table`: rows of one data set.

    None if we have no errors, or if two cells have the same model and destruction.
    """
    table = [row for row in table if is_autoencoder(row)]
    done = sorted((row for row in table if our_error(row)), key=lambda row: row.destruction_percent)
    models = _models_of(study, done)
    if not done or len({(models[r.cell], r.destruction_percent) for r in done}) < len(done):
        return None
    ours, theirs = [], {}
    for row in done:
        half_width = half_width_with_seeds(row.half_width_95 or 0.0, row.sd_over_seeds)
        interval = Interval(row.test_error_percent or 0.0, half_width)
        whose = f"ours, {row.model}" if (model := models[row.cell]) else "ours"
        point = _point(whose, row.destruction_percent, interval, model)
        ours.append(replace(point, seeds=_errors_of_seeds(row)))
    for row in table:
        if (printed := paper_error(row)) is not None:
            number = cells.paper_number(row)
            level = number.destruction_percent if number else None
            level = row.destruction_percent if level is None else level
            model = row.paper_model
            theirs[level] = _point(f"the paper's {model}", level, printed, model)
    return ErrorSeries(
        done[0].dataset,
        ours=tuple(ours),
        paper=tuple(theirs[level] for level in sorted(theirs)),
        data_mark=next((mark for row in table if (mark := data_mark(row))), ""),
        over_seeds=any(row.sd_over_seeds is not None for row in done),
    )


def _point(whose: str, level: float, interval: Interval, model: str) -> ErrorPoint:
    return ErrorPoint(level, interval, f"{whose}, destruction {level:g} %: {interval} %", model)


def _errors_of_seeds(row: TableRow) -> tuple[float, ...]:
    """Return the errors of a cell's seeds if there are several."""
    wrong = row.n_wrong.split()
    return tuple(100.0 * int(n) / (row.n_test or 1) for n in wrong) if len(wrong) > 1 else ()


def _models_of(study: ResolvedStudy, rows: Sequence[TableRow]) -> dict[str, str]:
    """Return by cell the name of the line that joins its errors; empty if there is one line.

    An SAA is on the line of the SdA, as its destruction 0. Cells with other layers or another kind
    of corruption are on other lines.
    """
    experiments = {cell.cell: cell.experiment for cell in study.all_cells}
    built: dict[str, str] = {}
    for row in rows:
        experiment = experiments.get(row.cell)
        built[row.cell] = ""
        if isinstance(experiment, Experiment):
            layers = "-".join(map(str, experiment.model.hidden))
            built[row.cell] = f"{layers} units, {experiment.corruption.kind}"
    if len(set(built.values())) < 2:
        return dict.fromkeys(built, "")
    models: dict[str, dict[str, None]] = {}
    for row in rows:
        models.setdefault(built[row.cell], {})[row.model] = None
    names = {how: " and ".join(own) for how, own in models.items()}
    if len(set(names.values())) < len(names):
        names = {how: f"{name}, {how}" for how, name in names.items()}
    return {cell: names[how] for cell, how in built.items()}


def learning_series(
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    labels: Mapping[str, str],
    curves: Mapping[str, Curves],
) -> LearningSeries:
    """Return the learning curves of the runs on one data set; `curves`: by run."""
    places = {row.cell: place for place, row in enumerate(table)}
    runs: list[RunCurves] = []
    for row in rows:
        own = curves.get(row.run)
        if own is not None and (own.valid or own.cost):
            best = None
            if row.best_epoch is not None and row.valid_error_percent is not None:
                best = row.best_epoch, round(row.valid_error_percent, 2)  # as in runs.csv
            place = places[row.cell]
            runs.append(RunCurves(row.run, place, row.seed, own, best))
    return LearningSeries(
        table[0].dataset,
        labels=tuple(labels[row.cell] for row in table),
        models=tuple(row.model for row in table),
        runs=tuple(runs),
    )


def our_error(row: TableRow) -> Interval | None:
    """Return our error of a cell, if it has one."""
    if row.test_error_percent is None or row.half_width_95 is None:
        return None
    return Interval(row.test_error_percent, row.half_width_95)


def paper_error(row: TableRow) -> Interval | None:
    """Return the published error of a cell, if there is one."""
    if row.paper_error_percent is None or row.paper_half_width_95 is None:
        return None
    return Interval(row.paper_error_percent, row.paper_half_width_95)
