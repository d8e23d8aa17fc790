"""The study's cells in the form of ICML 2008's table 1: a row a data set, a column a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
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
"""Columns by model: those of ICML 2008 in its order, with the SVM on destroyed inputs of its talk,
which is left out where a study has no such cell, and ICML 2007's network without pretraining."""
NumberAndHalfWidth = tuple[float | None, float | None]
"""In percent; None where there is no number."""
NO_NUMBER = (None, None)


@dataclass(frozen=True)
class TableCell:
    """A model on a data set: ours, and the paper's."""

    dataset: str
    model: str
    paper: PaperNumber | None
    cell: str = ""
    """The study's cell; of several, that with the lowest validation error; empty: it has none."""
    others: int = 0
    """Further cells of this model and data set, which are not shown."""
    row: TableRow | None = None
    """None where it is not run."""
    run: str = ""
    """The first of its runs."""
    units: str = ""
    """Of the hidden layers, such as `2000-2000-2000`; empty for an SVM."""
    trials: int = 0
    """From which its settings were selected: those of search.csv, of an SVM those of its run."""
    search_hours: float = 0.0
    """That they took on one core."""
    bold: bool = False
    paper_bold: bool = False

    @property
    def state(self) -> Literal["done", "failed", "not run", "no cell"]:
        """Whether there is a result, or why not."""
        if self.row is None:
            return "not run" if self.cell else "no cell"
        return "failed" if self.row.test_error_percent is None else "done"

    @property
    def number(self) -> NumberAndHalfWidth:
        """Our error."""
        row = self.row
        return (row.test_error_percent, row.half_width_95) if row else NO_NUMBER

    @property
    def paper_number(self) -> NumberAndHalfWidth:
        """The paper's error."""
        paper = self.paper
        return (paper.error_percent, paper.half_width_95) if paper else NO_NUMBER

    @property
    def destruction_percent(self) -> float | None:
        """100 ν of an SdA of ours."""
        is_sda = self.model.startswith("SdA-")
        return self.row.destruction_percent if self.row and is_sda else None

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
        return interval(*self.number)

    @property
    def note(self) -> str:
        """Our destruction, spread over seeds and search, as far as there are any."""
        level, sd = self.destruction_percent, self.row.sd_over_seeds if self.row else None
        parts = ["" if level is None else f"ν = {level:g} %", "" if sd is None else f"sd {sd:.2f}"]
        return ", ".join(filter(None, [*parts, self.search_summary]))

    @property
    def data_mark(self) -> str:
        """The remark beside the verdict where the data are not known to be the authors'."""
        return data_mark(self.row) if self.row else ""

    @property
    def published_mark(self) -> str:
        """`data_mark` where there is a published number to compare with; else empty."""
        return self.data_mark if self.paper else ""

    @property
    def counts(self) -> bool:
        """Whether claims rest on it: it is done, and no recipe was calibrated to it."""
        return self.state == "done" and self.row is not None and self.row.verdict != CALIBRATED


@dataclass(frozen=True)
class PaperTable:
    """Table 1, ours and the paper's."""

    datasets: tuple[str, ...]
    headings: Mapping[str, str]
    """Of its columns, by model."""
    cells: tuple[TableCell, ...]
    """Row by row, a cell for every column."""

    @property
    def models_of_study(self) -> list[str]:
        """The models of which the study has a cell."""
        there = {cell.model for cell in self.cells if cell.state != "no cell"}
        return [model for model in self.headings if model in there]

    @property
    def numbers_of_study(self) -> list[PaperNumber | None]:
        """The paper's numbers of these models."""
        return [cell.paper for cell in self.cells if cell.model in self.models_of_study]

    def row(self, dataset: str) -> tuple[TableCell, ...]:
        """The cells of a data set, in the order of the columns."""
        return tuple(cell for cell in self.cells if cell.dataset == dataset)

    def cell(self, dataset: str, model: str) -> TableCell:
        """The cell of a data set and a model."""
        return next(cell for cell in self.row(dataset) if cell.model == model)


def has_other_models(study: ResolvedStudy) -> bool:
    """Return whether a study has models of the table beside stacked autoencoders, SAA and SdA."""
    models = {model_name(cell.experiment) for cell in study.all_cells}
    return any(not name.startswith(("SAA-", "SdA-")) for name in models.intersection(HEADINGS))


def paper_table(
    study: ResolvedStudy,
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    trials: Sequence[TrialRow] = (),
) -> PaperTable:
    """Return table 1 with what a study has of it, its data sets in the paper's order."""
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
        search_hours=sum(minutes or 0.0 for _, minutes in searched) / 60.0,
    )


def _units(experiment: AnyExperiment) -> str:
    hidden = () if isinstance(experiment, SvmExperiment) else experiment.model.hidden
    return "-".join(map(str, hidden))


def best_and_overlapping(numbers: Sequence[NumberAndHalfWidth]) -> list[bool]:
    """Return which are bold by the paper's rule: the lowest error, and all that overlap with it.

    As they are printed: intervals whose printed ends touch overlap.
    """
    known = [(e, h) for e, h in numbers if e is not None and h is not None]
    best, half_width = min(known, default=(inf, 0.0))
    return [
        e is not None and h is not None and side_of(e, h, best, half_width) != "higher"
        for e, h in numbers
    ]
