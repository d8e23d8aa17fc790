"""Trials that search.csv tells and the storage does not know, as after a clone: taken over.

A storage is not committed, search.csv is. So a search goes on, on another machine as well, from
the trials that a results folder came with, instead of making them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dae_cli.search.claim import trials_of
from dae_cli.search.plan import LOCK_SECONDS, CellSearch, SearchPlan
from dae_cli.search.sampling import distribution_of
from dae_cli.search.storage import open_study, quiet
from dae_cli.study.locks import hold
from dae_cli.study.trial_rows import EARLIER_CSV, ROW, SEARCH_CSV, TrialRow, from_text, read_csv

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def take_over(plan: SearchPlan) -> dict[str, int]:
    """Put the trials of search.csv into the storage, for cells of which it knows no trial.

    Those of search_earlier.csv as well, where a cell has again the space that they are of.
    Trials keep their numbers. A number that is missing, that of a trial which had not ended, is
    given to a failed trial, which counts for nothing. What the pruner knows of the epochs of a
    trial is not in the file: it judges by the trials to come.

    Returns:
        How many trials were taken over, by cell; cells without any are left out.

    Raises:
        RunFolderError: what is there is not a search.csv that dae wrote.
    """
    rows = [*read_csv(plan.out / EARLIER_CSV), *read_csv(plan.out / SEARCH_CSV)]
    taken: dict[str, int] = {}
    with hold(plan.folder / ".claim.lock", wait=LOCK_SECONDS):
        for cell in plan.cells:
            own = [row for row in rows if (row.cell, row.search) == (cell.cell, cell.digest)]
            if own and not trials_of(plan, cell) and (trials := _trials(cell, own)):
                study = open_study(plan.storage, cell.study_name)
                with quiet():
                    study.add_trials(trials)
                taken[cell.cell] = len(own)
    return taken


def _trials(cell: CellSearch, rows: Sequence[TrialRow]) -> list[FrozenTrial]:
    """The trials in the order of their numbers, gaps filled; none if a row is not of the space."""
    by_number = {row.trial: row for row in rows}
    made = [_trial(cell, by_number.get(number)) for number in range(1, max(by_number) + 1)]
    if len(by_number) < len(rows) or min(by_number) < 1 or None in made:
        return []
    return [trial for trial in made if trial is not None]


def _trial(cell: CellSearch, row: TrialRow | None) -> FrozenTrial | None:
    from optuna.trial import TrialState, create_trial

    with quiet():
        if row is None:
            return create_trial(state=TrialState.FAIL)
        space = cell.searched.space
        values = from_text(space, row.settings)
        if values is None:
            return None
        states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
        return create_trial(
            state=states.get(row.state, TrialState.FAIL),
            value=row.valid_error_percent if row.counts else None,
            params=dict(values),
            distributions={key: distribution_of(domain) for key, domain in space.items()},
            user_attrs={ROW: row.plain()},
        )
