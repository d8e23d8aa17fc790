"""A study's cells in the form of ICML 2008, Table 1: one row per data set, one column per model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum, inf
from typing import Literal

import pandas as pd

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.schema import AnyExperiment, SvmExperiment
from dae_cli.data.datasets import DATASETS
from dae_cli.study.paper import (
    CALIBRATED,
    SVM_NU,
    TABLE_1,
    PaperNumber,
    published_of_model,
    side_of,
)
from dae_cli.study.rows import RunRow, TableRow, TrialRow
from dae_cli.study.run.job import model_name
from dae_cli.study.tables.cells import NOTHING, data_mark, interval

HEADINGS = {
    "SVM_rbf": "SVM_rbf",
    "SVM_poly": "SVM_poly",
    SVM_NU: "SVM_rbf (ν)",
    "DBN-1": "DBN-1",
    "SAA-3": "SAA-3",
    "DBN-3": "DBN-3",
    "SdA-3": "SdA-3 (ν)",
    "NNet-1": "NNet (ICML 2007)",
}
"""Column headings by model, in the order of ICML 2008.

The SVM on destroyed inputs is from the authors' talk and appears only if the study has such a cell.
The network without pretraining is from ICML 2007.
"""
NumberAndHalfWidth = tuple[float | None, float | None]
"""An error and its half width in percent; None if there is no number."""
NO_NUMBER = (None, None)


@dataclass(frozen=True)
class TableCell:
    """One model on one data set, with our result and the paper's."""

    dataset: str
    model: str
    paper: PaperNumber | None
    cell: str = ""
    """The study's cell, with the lowest validation error if there are several; empty if none."""
    others: int = 0
    """Number of further cells of this model and data set, which are not shown."""
    row: TableRow | None = None
    """Row of table.csv; None if the cell was not run."""
    run: str = ""
    """Name of its first run."""
    units: str = ""
    """Sizes of the hidden layers, such as `2000-2000-2000`; empty for an SVM."""
    trials: int = 0
    """Number of trials its settings were selected from: in search.csv, or in the run of an SVM."""
    search_hours: float = 0.0
    """Core hours of these trials."""
    bold: bool = False
    paper_bold: bool = False

    @property
    def state(self) -> Literal["done", "failed", "not run", "no cell"]:
        """Whether there is a result, or why there is none."""
        if self.row is None:
            return "not run" if self.cell else "no cell"
        return "failed" if self.row.test_error_percent is None else "done"

    @property
    def number(self) -> NumberAndHalfWidth:
        """Our error and its half width."""
        row = self.row
        return (row.test_error_percent, row.half_width_95) if row else NO_NUMBER

    @property
    def paper_number(self) -> NumberAndHalfWidth:
        """The paper's error."""
        paper = self.paper
        return (paper.error_percent, paper.half_width_95) if paper else NO_NUMBER

    @property
    def destruction_percent(self) -> float | None:
        """100 ν of our SdA; None for other models."""
        is_sda = self.model.startswith("SdA-")
        return self.row.destruction_percent if self.row and is_sda else None

    @property
    def search_summary(self) -> str:
        """Size of its search, such as `8 trials, 0.71 h`; empty without a search."""
        trials = f"{self.trials} trial{'s' * (self.trials != 1)}"
        return f"{trials}, {self.search_hours:.2f} h" if self.trials else ""

    @property
    def ours(self) -> str:
        """Our error with its interval, or why there is none."""
        if self.state != "done":
            return NOTHING if self.state == "no cell" else self.state
        return interval(*self.number)

    @property
    def note(self) -> str:
        """Our destruction, standard deviation over the seeds, and search, if there are any."""
        level, sd = self.destruction_percent, self.row.sd_over_seeds if self.row else None
        parts = ["" if level is None else f"ν = {level:g} %", "" if sd is None else f"sd {sd:.2f}"]
        return ", ".join(filter(None, [*parts, self.search_summary]))

    @property
    def data_mark(self) -> str:
        """Remark after the verdict if the data may not be the authors'; else empty."""
        return data_mark(self.row) if self.row else ""

    @property
    def published_mark(self) -> str:
        """`data_mark` if there is a published number to compare with; else empty."""
        return self.data_mark if self.paper else ""

    @property
    def counts(self) -> bool:
        """Whether claims use it: it has a result, and no recipe was calibrated to it."""
        return self.state == "done" and self.row is not None and self.row.verdict != CALIBRATED


@dataclass(frozen=True)
class PaperTable:
    """Table 1 with our results and the paper's."""

    datasets: tuple[str, ...]
    headings: Mapping[str, str]
    """Column headings by model."""
    cells: tuple[TableCell, ...]
    """Cells row by row, one for every column."""

    @property
    def models_of_study(self) -> list[str]:
        """Models for which the study has a cell."""
        there = {cell.model for cell in self.cells if cell.state != "no cell"}
        return [model for model in self.headings if model in there]

    @property
    def numbers_of_study(self) -> list[PaperNumber | None]:
        """The paper's numbers of these models."""
        return [cell.paper for cell in self.cells if cell.model in self.models_of_study]

    def row(self, dataset: str) -> tuple[TableCell, ...]:
        """Return the cells of a data set, in the order of the columns."""
        return tuple(cell for cell in self.cells if cell.dataset == dataset)

    def cell(self, dataset: str, model: str) -> TableCell:
        """Return the cell of a data set and a model."""
        return next(cell for cell in self.row(dataset) if cell.model == model)


def has_other_models(study: ResolvedStudy) -> bool:
    """Return whether a study has models of the table other than SAA and SdA."""
    models = {model_name(cell.experiment) for cell in study.all_cells}
    return any(not name.startswith(("SAA-", "SdA-")) for name in models.intersection(HEADINGS))


def paper_table(
    study: ResolvedStudy,
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    trials: Sequence[TrialRow] = (),
) -> PaperTable:
    """Return the part of table 1 that a study covers, with data sets in the paper's order."""
    results = {row.cell: row for row in table}
    grid = _grid(study, results)
    known = dict.fromkeys((*DATASETS, *(cell.experiment.dataset for cell in study.all_cells)))
    datasets = tuple(name for name in known if name in grid.index)
    headings = {m: text for m, text in HEADINGS.items() if m != SVM_NU or m in grid.columns}
    units = {cell.cell: _units(cell.experiment) for cell in study.all_cells}
    cells: list[TableCell] = []
    for dataset in datasets:
        own = []
        for model in headings:
            cell = TableCell(dataset, model, published_of_model(dataset, model))
            if isinstance(names := grid.loc[dataset].get(model), list):
                first, *others = names
                cell = replace(cell, cell=first, others=len(others), units=units[first])
            if (row := results.get(cell.cell)) is not None:
                cell = _with_result(cell, row, rows, trials)
            own.append(cell)
        ours = best_and_overlapping([c.number if c.counts else NO_NUMBER for c in own])
        theirs = best_and_overlapping(
            [c.paper_number if c.paper and c.paper.paper == TABLE_1 else NO_NUMBER for c in own]
        )
        cells += [
            replace(cell, bold=bold, paper_bold=paper_bold)
            for cell, bold, paper_bold in zip(own, ours, theirs, strict=True)
        ]
    return PaperTable(datasets, headings, tuple(cells))


def _grid(study: ResolvedStudy, results: Mapping[str, TableRow]) -> pd.DataFrame:
    """Return lists of the study's cells by data set (rows) and model (columns); NaN if none.

    Each list is sorted by validation error; then come cells without one, then cells without a run.
    """

    def order(cell: str) -> float:
        error = results[cell].valid_error_percent if cell in results else inf
        return 101.0 if error is None else error

    every = [(c.experiment.dataset, model_name(c.experiment), c.cell) for c in study.all_cells]
    every.sort(key=lambda cell: order(cell[2]))
    cells = pd.DataFrame(every, columns=["dataset", "model", "cell"])
    return cells.groupby(["dataset", "model"])["cell"].agg(list).unstack("model")


def _with_result(
    cell: TableCell, row: TableRow, rows: Sequence[RunRow], trials: Sequence[TrialRow]
) -> TableCell:
    runs = [run for run in rows if run.cell == cell.cell]
    names = [run.run for run in runs if not run.error] or [run.run for run in runs]
    searched = [(1, trial.minutes) for trial in trials if trial.cell == cell.cell]
    searched += [(run.trials, run.minutes) for run in runs if run.trials]
    return replace(
        cell,
        row=row,
        run=names[0] if names else "",
        trials=sum(count for count, _ in searched),
        search_hours=fsum(minutes or 0.0 for _, minutes in searched) / 60.0,
    )


def _units(experiment: AnyExperiment) -> str:
    hidden = () if isinstance(experiment, SvmExperiment) else experiment.model.hidden
    return "-".join(map(str, hidden))


def best_and_overlapping(numbers: Sequence[NumberAndHalfWidth]) -> list[bool]:
    """Return which numbers are bold by the paper's rule: the lowest, and all that overlap it.

    Intervals overlap if their ends, as printed, touch.
    """
    known = [(e, h) for e, h in numbers if e is not None and h is not None]
    best, half_width = min(known, default=(inf, 0.0))
    return [
        e is not None and h is not None and side_of(e, h, best, half_width) != "higher"
        for e, h in numbers
    ]
