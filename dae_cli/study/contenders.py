"""What `dae compare` compares: the cells of results, and runs that differ in their seeds alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dae_cli.config.experiments import ResolvedStudy, load_resolved
from dae_cli.errors import RunFolderError
from dae_cli.study.paper import is_svm
from dae_cli.study.results_folder import is_current
from dae_cli.study.rows import RUNS_CSV, RunRow, read_results
from dae_cli.study.run.job import CONFIG, with_seed
from dae_cli.study.run.record import read_status
from dae_cli.study.run.wrong_rows import load_wrong_rows
from dae_cli.study.tables.comparisons import read_wrong_rows

TestRows = tuple[str, str, int]
"""What must be the same to be compared: data set, digest, number of test rows."""


@dataclass(frozen=True, eq=False)
class Contender:
    """Runs that differ in their seeds alone, such as those of a cell."""

    name: str
    cell: str
    source: str
    """The results or the run, as the user named them."""
    rows: Mapping[int, RunRow]
    """By seed; an SVM, which has none, has one run."""
    wrong_rows: Mapping[str, NDArray[np.bool_]]
    """By run, which test rows are wrong, as far as that is known."""

    @property
    def is_svm(self) -> bool:
        """Whether its one run is compared with every seed of another one."""
        return all(is_svm(row.model) for row in self.rows.values())

    @property
    def test_rows(self) -> TestRows:
        """Those of its runs."""
        row = next(iter(self.rows.values()))
        return row.dataset, row.data_sha256, row.n_test or 0

    def run(self, seed: int) -> RunRow:
        """Return the run that is compared at a seed."""
        return next(iter(self.rows.values())) if self.is_svm else self.rows[seed]


def cells_of_results(
    folder: Path, cell: str, study: ResolvedStudy | None, source: str
) -> list[Contender]:
    """Return the cells of a folder of results, or the one that is named.

    Args:
        study: whose cells are meant with the settings that they have now; None: whatever there is.

    Raises:
        RunFolderError: there is none with a finished run, or a file is damaged.
    """
    rows = [row for row in read_results(folder / RUNS_CSV, RunRow) if _is_tested(row)]
    if study is not None:
        now = {one.cell: one for one in study.cells}
        rows = [row for row in rows if row.cell in now and is_current(row, now[row.cell])]
    if cell:
        rows = [row for row in rows if row.cell == cell]
    if cell and study is not None and not rows:
        return []
    if not rows:
        raise RunFolderError(
            f"{source}: {folder / RUNS_CSV} has no finished run{f' of {cell}' if cell else ''} "
            "with a test error; dae replicate makes them"
        )
    wrong_rows = read_wrong_rows(folder, rows)
    return [
        Contender(
            name, name, source, {row.seed: row for row in rows if row.cell == name}, wrong_rows
        )
        for name in dict.fromkeys(row.cell for row in rows)
    ]


def grouped_runs(runs: Iterable[tuple[Path, str]]) -> list[Contender]:
    """Return the runs of some folders, each with what the user named; by settings, seeds left out.

    Raises:
        RunFolderError: one is not finished, has no test error, or is damaged.
    """
    by_settings: dict[str, Contender] = {}
    for folder, source in runs:
        row = read_status(folder)
        if row.state != "done" or not _is_tested(row):
            raise RunFolderError(f"{source}: is no finished run with a test error")
        wrong_rows = {}
        with suppress(RunFolderError):  # of an earlier version: its errors are compared alone
            wrong_rows[row.run] = load_wrong_rows(folder, row.n_test or 0, row.n_wrong)
        key = f"{with_seed(load_resolved(folder / CONFIG), 0)!r} {row.data_sha256}"
        if key in by_settings and row.seed in by_settings[key].rows:  # by another engine, say
            key = str(folder)
        before = by_settings.get(key, Contender(row.cell, row.cell, source, {}, {}))
        rows, known = {**before.rows, row.seed: row}, {**before.wrong_rows, **wrong_rows}
        by_settings[key] = replace(before, rows=rows, wrong_rows=known)
    return list(by_settings.values())


def with_distinct_names(contenders: Sequence[Contender]) -> list[Contender]:
    """Return contenders whose names differ: where cells share one, by what the user named."""
    names = [one.name for one in contenders]
    return [
        replace(one, name=f"{one.cell} of {one.source}") if names.count(one.name) > 1 else one
        for one in contenders
    ]


def _is_tested(row: RunRow) -> bool:
    return not row.error and bool(row.n_test) and row.n_wrong is not None
