"""The study's cells in the form of ICML 2008's table 1: a row a data set, a column a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Literal, NamedTuple

import pandas as pd

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.schema import AnyExperiment, SvmExperiment
from dae_cli.data.datasets import DATASETS
from dae_cli.study.paper import SVM_NU, TABLE_1, PaperNumber, published_of_model
from dae_cli.study.rows import RunRow, TableRow, TrialRow
from dae_cli.study.run.job import model_name
from dae_cli.study.tables.cells import NOTHING, data_mark, interval
from dae_cli.study.verdict import CALIBRATED, side_of

State = Literal["done", "failed", "not run", "no cell"]


class Column(NamedTuple):
    """A model of the table."""

    model: str
    """As in runs.csv."""
    heading: str


COLUMNS = (
    Column("SVM_rbf", "SVM_rbf"),
    Column("SVM_poly", "SVM_poly"),
    Column(SVM_NU, "SVM_rbf (ν)"),
    Column("DBN-1", "DBN-1"),
    Column("SAA-3", "SAA-3"),
    Column("DBN-3", "DBN-3"),
    Column("SdA-3", "SdA-3 (ν)"),
    Column("NNet-1", "NNet (ICML 2007)"),
)
"""Those of ICML 2008 in its order, with the SVM on destroyed inputs of its talk, which is left out
where a study has no such cell, and the network without pretraining of ICML 2007."""


@dataclass(frozen=True)
class TableCell:
    """A model on a data set: ours, and the paper's."""

    dataset: str
    model: str
    state: State
    cell: str = ""
    """The study's cell; of several, the one with the lowest validation error."""
    others: int = 0
    """Further cells of this model and data set, which are not shown."""
    run: str = ""
    """The first of its runs."""
    seeds: int = 0
    """Runs that are done."""
    error_percent: float | None = None
    half_width_95: float | None = None
    sd_over_seeds: float | None = None
    destruction_percent: float | None = None
    """100 ν of ours."""
    units: str = ""
    """Of the hidden layers, such as `2000-2000-2000`; empty for an SVM."""
    data_mark: str = ""
    """The remark beside the verdict where the data are not known to be the authors'."""
    verdict: str = ""
    """better, matches, worse or calibrated; no reference where the cell is not to be compared."""
    bold: bool = False
    paper: PaperNumber | None = None
    paper_bold: bool = False
    trials: int = 0
    """From which its settings were selected: those of search.csv, of an SVM those of its run."""
    search_hours: float = 0.0
    """That they took on one core."""

    @property
    def search_summary(self) -> str:
        """How much it was searched, such as `8 trials, 0.71 h`; empty if it was not."""
        trials = f"{self.trials} trial{'s' * (self.trials != 1)}"
        return f"{trials}, {self.search_hours:.2f} h" if self.trials else ""

    @property
    def ours(self) -> str:
        """Our error with its interval, or why there is none."""
        if self.state != "done":
            return NOTHING if self.state == "no cell" else self.state
        return interval(self.error_percent, self.half_width_95)

    @property
    def note(self) -> str:
        """Our destruction, spread over seeds and search, as far as there are any."""
        level, sd = self.destruction_percent, self.sd_over_seeds
        parts = ["" if level is None else f"ν = {level:g} %", "" if sd is None else f"sd {sd:.2f}"]
        return ", ".join(filter(None, [*parts, self.search_summary]))

    @property
    def published_mark(self) -> str:
        """`data_mark` where there is a published number to compare with; else empty."""
        return self.data_mark if self.paper else ""

    @property
    def counts(self) -> bool:
        """Whether claims rest on it: it is done, and no recipe was calibrated to it."""
        return self.state == "done" and self.verdict != CALIBRATED


@dataclass(frozen=True)
class PaperTable:
    """Table 1, ours and the paper's."""

    datasets: tuple[str, ...]
    columns: tuple[Column, ...]
    cells: tuple[TableCell, ...]
    """Row by row, a cell for every column."""

    @property
    def columns_of_study(self) -> list[Column]:
        """Those of which the study has a cell."""
        models = {cell.model for cell in self.cells if cell.state != "no cell"}
        return [column for column in self.columns if column.model in models]

    @property
    def cells_of_study(self) -> list[TableCell]:
        """The cells of these columns."""
        models = {column.model for column in self.columns_of_study}
        return [cell for cell in self.cells if cell.model in models]

    def row(self, dataset: str) -> tuple[TableCell, ...]:
        """The cells of a data set, in the order of the columns."""
        return tuple(cell for cell in self.cells if cell.dataset == dataset)

    def cell(self, dataset: str, model: str) -> TableCell:
        """The cell of a data set and a model."""
        return next(cell for cell in self.row(dataset) if cell.model == model)


def has_other_models(study: ResolvedStudy) -> bool:
    """Return whether a study has models of the table beside stacked autoencoders, SAA and SdA."""
    models = {model_name(cell.experiment) for cell in study.all_cells}
    known = {column.model for column in COLUMNS}
    return any(name in known and not name.startswith(("SAA-", "SdA-")) for name in models)


def paper_table(
    study: ResolvedStudy,
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    trials: Sequence[TrialRow] = (),
) -> PaperTable:
    """Return table 1 with what a study has of it, its data sets in the paper's order.

    Args:
        study: its cells say what there should be.
        rows: of runs.csv, for the names of the runs.
        table: of table.csv.
        trials: of search.csv.
    """
    results = {row.cell: row for row in table}
    grid = _grid(study, results)
    known = dict.fromkeys((*DATASETS, *(cell.experiment.dataset for cell in study.all_cells)))
    datasets = tuple(name for name in known if name in grid.index)
    columns = tuple(c for c in COLUMNS if c.model != SVM_NU or c.model in grid.columns)
    units = {cell.cell: _units(cell.experiment) for cell in study.all_cells}
    cells: list[TableCell] = []
    for dataset in datasets:
        own = []
        for model in (column.model for column in columns):
            cell = TableCell(dataset, model, "no cell", paper=published_of_model(dataset, model))
            if isinstance(names := grid.loc[dataset].get(model), list):
                first, *others = names
                cell = replace(cell, state="not run", cell=first, others=len(others))
            if cell.cell in results:
                result = results[cell.cell]
                cell = _with_result(cell, result, units[cell.cell], rows, trials)
            own.append(cell)
        cells += _with_bold(own)
    return PaperTable(datasets, columns, tuple(cells))


def _grid(study: ResolvedStudy, results: Mapping[str, TableRow]) -> pd.DataFrame:
    """Return lists of the study's cells, a row a data set, a column a model; NaN where none is.

    The one with the lowest validation error is first; those without come next, last what is not
    run.
    """

    def order(cell: str) -> float:
        error = results[cell].valid_error_percent if cell in results else inf
        return 101.0 if error is None else error

    every = [(c.experiment.dataset, model_name(c.experiment), c.cell) for c in study.all_cells]
    every.sort(key=lambda cell: order(cell[2]))
    cells = pd.DataFrame(every, columns=["dataset", "model", "cell"])
    return cells.groupby(["dataset", "model"])["cell"].agg(list).unstack("model")


def _with_result(
    cell: TableCell,
    row: TableRow,
    units: str,
    rows: Iterable[RunRow],
    trials: Iterable[TrialRow],
) -> TableCell:
    runs = [run for run in rows if run.cell == cell.cell]
    done = [run.run for run in runs if not run.error] or [run.run for run in runs]
    searched = [(1, trial.minutes) for trial in trials if trial.cell == cell.cell]
    searched += [(run.trials, run.minutes) for run in runs if run.trials]
    return replace(
        cell,
        state="failed" if row.test_error_percent is None else "done",
        run=done[0] if done else "",
        seeds=len(row.seeds.split()),
        error_percent=row.test_error_percent,
        half_width_95=row.half_width_95,
        sd_over_seeds=row.sd_over_seeds,
        destruction_percent=row.destruction_percent if cell.model.startswith("SdA-") else None,
        units=units,
        data_mark=data_mark(row),
        verdict=row.verdict,
        trials=sum(count for count, _ in searched),
        search_hours=sum(minutes or 0.0 for _, minutes in searched) / 60.0,
    )


def _units(experiment: AnyExperiment) -> str:
    hidden = () if isinstance(experiment, SvmExperiment) else experiment.model.hidden
    return "-".join(str(width) for width in hidden)


NO_NUMBER = (None, None)


def _with_bold(cells: Sequence[TableCell]) -> list[TableCell]:
    """Return the cells of a data set, bold where the paper would print them and did."""
    ours = [(c.error_percent, c.half_width_95) if c.counts else NO_NUMBER for c in cells]
    printed = [c.paper if c.paper and c.paper.paper == TABLE_1 else None for c in cells]
    theirs = [(n.error_percent, n.half_width_95) if n else NO_NUMBER for n in printed]
    bold = zip(cells, best_and_overlapping(ours), best_and_overlapping(theirs), strict=True)
    return [replace(cell, bold=our, paper_bold=their) for cell, our, their in bold]


def best_and_overlapping(
    numbers: Sequence[tuple[float | None, float | None]],
) -> list[bool]:
    """Return which are bold by the paper's rule: the lowest error, and all that overlap with it.

    Args:
        numbers: errors with the half-widths of their intervals, in percent, as they are printed.
            Intervals whose printed ends touch overlap.
    """
    known = [(e, h) for e, h in numbers if e is not None and h is not None]
    if not known:
        return [False] * len(numbers)
    best, half_width = min(known)
    return [
        e is not None and h is not None and side_of(e, h, best, half_width) != "higher"
        for e, h in numbers
    ]
