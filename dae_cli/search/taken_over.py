"""Trials that search.csv tells and the storage does not know, as after a clone: taken over.

A storage is not committed, search.csv is. So a search goes on, on another machine as well, from
the trials that a results folder came with, instead of making them again; and what came from
another machine since, as by a pull, is not lost when search.csv is written next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dae_cli.csvfile import read_rows
from dae_cli.errors import RunFolderError
from dae_cli.files import file_lock
from dae_cli.search.claim import trials_of
from dae_cli.search.plan import LOCK_SECONDS, CellSearch, SearchPlan
from dae_cli.search.sampling import distribution_of
from dae_cli.search.storage import ROW, open_study, quiet
from dae_cli.search.table import ended, unknown
from dae_cli.study.rows import TrialRow
from dae_cli.study.tables.trials import EARLIER_CSV, SEARCH_CSV, settings_values

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def take_over(plan: SearchPlan) -> dict[str, int]:
    """Put the trials of search.csv into the storage that it does not know.

    Those of search_earlier.csv as well, where a cell has again the space that they are of. A trial
    keeps its number, unless the storage has another one of that number: then it becomes the last.
    A number that is missing, that of a trial which had not ended, is given to a failed trial,
    which counts for nothing. What the pruner knows of the epochs of a trial is not in the file:
    it judges by the trials to come.

    Returns:
        How many trials were taken over, by cell; cells without any are left out.

    Raises:
        RunFolderError: what is there is not a search.csv that dae wrote.
    """
    names = (EARLIER_CSV, SEARCH_CSV)
    rows = [row for name in names for row in read_rows(plan.out / name, TrialRow)]
    taken: dict[str, int] = {}
    with file_lock(plan.folder / ".claim.lock", wait=LOCK_SECONDS):
        for cell in plan.cells:
            own = [row for row in rows if (row.cell, row.search) == (cell.cell, cell.digest)]
            if lacking := unknown(own, ended(plan, cell)):
                _check_settings(plan, cell, lacking)
                study = open_study(plan.storage, cell.study_name)
                with quiet():
                    study.add_trials(_trials(cell, lacking, len(trials_of(plan, cell))))
                taken[cell.cell] = len(lacking)
    return taken


def _check_settings(plan: SearchPlan, cell: CellSearch, rows: Sequence[TrialRow]) -> None:
    """Refuse rows that no search of the space can have written.

    Raises:
        RunFolderError: settings are not of the cell's space, or a number is below 1.
    """
    space = cell.searched.space
    wrong = [row for row in rows if row.trial < 1 or settings_values(space, row.settings) is None]
    for row in wrong:
        settings = ", ".join(f"{key}={value}" for key, value in row.settings.items())
        raise RunFolderError(
            f"{plan.out / SEARCH_CSV}: trial {row.trial} of {cell.cell} "
            f"({settings or 'no settings'}) is not of the space of its search, {cell.digest}; the "
            "line was edited: bring back the file, or take the line out to make the trial again"
        )


def _trials(cell: CellSearch, rows: Sequence[TrialRow], known: int) -> list[FrozenTrial]:
    """What follows on the trials that are `known`: rows under their numbers, gaps filled."""
    made: list[FrozenTrial] = []
    for row in rows:
        while known + len(made) < row.trial - 1:
            made.append(_trial(cell, None))
        made.append(_trial(cell, replace(row, trial=known + len(made) + 1)))
    return made


def _trial(cell: CellSearch, row: TrialRow | None) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    with quiet():
        if row is None:
            return create_trial(state=TrialState.FAIL)
        space = cell.searched.space
        values = settings_values(space, row.settings) or {}
        states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
        return create_trial(
            state=states.get(row.state, TrialState.FAIL),
            value=row.valid_error_percent if row.counts else None,
            params=dict(values),
            distributions={key: distribution_of(domain) for key, domain in space.items()},
            user_attrs={ROW: row.plain()},
        )
