"""search.csv, from the storage: every trial that has ended, whole, in a stable order.

What another space, pruning, data or numerics made goes to search_earlier.csv: none is forgotten.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from dae_cli.csvfile import make_row, read_rows, write_rows
from dae_cli.errors import RunFolderError
from dae_cli.files import HeldError, file_lock
from dae_cli.search.claim import trials_of
from dae_cli.search.plan import CellSearch, SearchPlan
from dae_cli.search.storage import ROW
from dae_cli.study.results_folder import tables_lock
from dae_cli.study.rows import TrialRow
from dae_cli.study.tables.trials import EARLIER_CSV, SEARCH_CSV, as_written


def write_search_csv(plan: SearchPlan) -> list[TrialRow]:
    """Write search.csv anew and return the rows of the plan's cells.

    Rows of cells that are not searched now stay as they are, and so do trials of these searches
    that the storage does not know: another command, with a storage of its own, has added them.

    Raises:
        RunFolderError: what is there is not a search.csv that dae wrote.
        OutputError: it cannot be written.
    """
    path = plan.out / SEARCH_CSV
    with tables_lock(plan.out):
        before, ours = read_rows(path, TrialRow), []
        for cell in plan.cells:
            own = [row for row in before if (row.cell, row.search) == (cell.cell, cell.digest)]
            known = ended(plan, cell)
            ours += [*known, *unknown(own, known)]
        searched = {cell.cell for cell in plan.cells}
        others = [row for row in before if row.cell not in searched]
        _write_earlier(plan)
        write_rows(path, _sorted(plan, [*others, *ours]), TrialRow)
    return as_written(ours)


def _write_earlier(plan: SearchPlan) -> None:
    """Keep the rows that leave search.csv; those of a search that came back are kept no more."""
    path = plan.out / EARLIER_CSV
    before, going = read_rows(path, TrialRow), rows_that_go(plan)
    searches = {(cell.cell, cell.digest) for cell in plan.cells}
    known = {(row.cell, row.search, row.trial): row for row in [*before, *going]}
    kept = [row for row in known.values() if (row.cell, row.search) not in searches]
    if kept or before:
        write_rows(path, _sorted(plan, kept), TrialRow)


def _sorted(plan: SearchPlan, rows: Sequence[TrialRow]) -> list[TrialRow]:
    order = {cell: k for k, cell in enumerate(plan.order)}
    return sorted(rows, key=lambda row: _place(row, order))


def rows_that_go(plan: SearchPlan) -> list[TrialRow]:
    """Return rows of search.csv that another space, data or numerics made for a cell searched now.

    Raises:
        RunFolderError: what is there is not a search.csv that dae wrote.
    """
    digests = {cell.cell: cell.digest for cell in plan.cells}
    rows = read_rows(plan.out / SEARCH_CSV, TrialRow)
    return [row for row in rows if digests.get(row.cell, row.search) != row.search]


def ended(plan: SearchPlan, cell: CellSearch) -> list[TrialRow]:
    """Return the rows of a cell's trials that have ended.

    Raises:
        RunFolderError: the storage holds a row that is none.
    """
    rows = []
    for trial in trials_of(plan, cell):
        told = trial.user_attrs.get(ROW)
        if told is not None and trial.state.is_finished():
            try:
                rows.append(make_row(TrialRow, told))
            except ValueError as error:
                raise RunFolderError(
                    f"{cell.study_name}, trial {trial.number + 1}: the storage holds a row of "
                    f"another version of dae ({error}); choose another --storage"
                ) from error
    return rows


def unknown(rows: Sequence[TrialRow], stored: Sequence[TrialRow]) -> list[TrialRow]:
    """Rows of no trial that is stored, in the order of their numbers.

    A trial is known by its number and settings; under another number, by its settings.
    """

    def settings(row: TrialRow) -> tuple[tuple[str, str], ...]:
        return tuple(sorted(row.settings.items()))

    rows = [row for k, row in enumerate(rows) if row not in rows[:k]]
    numbered = Counter((row.trial, settings(row)) for row in stored)
    others = Counter(settings(row) for row in stored)
    left = []
    for row in sorted(rows, key=lambda row: row.trial):
        if numbered[row.trial, settings(row)]:
            others[settings(row)] -= 1
        else:
            left.append(row)
    lacking = []
    for row in left:
        if others[settings(row)] > 0:
            others[settings(row)] -= 1
        else:
            lacking.append(row)
    return lacking


def sweep_trials(plan: SearchPlan) -> None:
    """Remove the checkpoints of trials that have ended, which killed processes left."""
    for cell in plan.cells:
        for trial in trials_of(plan, cell):
            job = plan.job(cell, trial.number, cell.searched.experiment)
            if trial.state.is_finished() and job.partial.exists():
                with suppress(OSError, HeldError), file_lock(job.lock):
                    shutil.rmtree(job.partial)


def _place(row: TrialRow, order: dict[str, int]) -> tuple[int, str, str, int]:
    return order.get(row.cell, len(order)), row.cell, row.search, row.trial
