"""Which trial a worker makes next: one that a killed worker left, else a new one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Literal

from dae_cli.config.search_cells import Values
from dae_cli.config.search_space import Choices
from dae_cli.errors import DaeError
from dae_cli.files import HeldError, file_lock
from dae_cli.search.plan import LOCK_SECONDS, TRIALS, CellSearch, SearchPlan, place_of
from dae_cli.search.sampling import draw, sampler_of, tells
from dae_cli.search.storage import open_storage, open_study, quiet
from dae_cli.study.run.job import Job

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

CALL = "call"
"""The attribute of a trial that names the call of a cluster's worker that makes it; empty for a
process on this machine."""
GIVE_UP = 10
"""So many trials of a cell in succession that diverge or fail end its search in a command."""

Prospect = Literal["trial", "waiting", "done"]
"""A trial can be made; the last ones are being made by others; nothing is left to be done."""


class TrialLeftError(DaeError):
    """A trial cannot go on now, by no fault of its own; it is not over and keeps its checkpoint."""


@dataclass(frozen=True)
class Claim:
    """A trial that this process makes, and no other."""

    cell: CellSearch
    study: Study
    trial_id: int
    number: int
    """From 0."""
    values: Values
    job: Job


def claim_next(
    plan: SearchPlan,
    held: ExitStack,
    since: Sequence[int],
    *,
    call: str = "",
    only_left: bool = False,
) -> Claim | Prospect:
    """Take the next trial; `held` holds its lock from then on.

    Args:
        plan: the search.
        held: closed by the caller when the trial is over.
        since: trials that each cell had when the command began.
        call: that a cluster's worker was given.
        only_left: take up what a killed worker left, or nothing; with a call, what it left.
    """
    (plan.folder / TRIALS).mkdir(parents=True, exist_ok=True)
    place = place_of(plan)
    with file_lock(plan.folder / ".claim.lock", wait=LOCK_SECONDS):
        # A sampler reads the trials when it draws: whatever it remembers must be of this moment.
        studies = [open_study(plan.storage, cell.study_name) for cell in plan.cells]
        waiting = False
        for cell, study in zip(plan.cells, studies, strict=True):
            for trial in _running(_trials(study), place):
                if only_left and call and trial.user_attrs.get(CALL) != call:
                    continue
                claim = _take_up(plan, cell, study, trial, held, call)
                if claim is not None:
                    return claim
                waiting = True
        ahead = [
            (counted(trials), k)
            for k, study in enumerate(studies)
            if _wants_more(plan.cells[k], trials := _trials(study), since[k])
        ]
        if not ahead or only_left:
            return "waiting" if waiting else "done"
        k = min(ahead)[1]  # the cell with the fewest trials
        return _begin(plan, plan.cells[k], studies[k], place, held, call)


def prospect(plan: SearchPlan, since: Sequence[int]) -> Prospect:
    """Tell what `claim_next` would find, without taking anything."""
    place, waiting = place_of(plan), False
    for cell, known in zip(plan.cells, since, strict=True):
        trials = _trials(open_study(plan.storage, cell.study_name))
        if _wants_more(cell, trials, known):
            return "trial"
        for trial in _running(trials, place):
            job = plan.job(cell, trial.number, cell.searched.experiment)
            if not job.is_held():
                return "trial"
            waiting = True
    return "waiting" if waiting else "done"


def elsewhere(plan: SearchPlan) -> int:
    """Return how many trials are being made, or were left, in other results folders."""
    place = place_of(plan)
    return sum(
        trial.state.name == "RUNNING" and trial.user_attrs.get("place") != place
        for cell in plan.cells
        for trial in _trials(open_study(plan.storage, cell.study_name))
    )


def being_made(plan: SearchPlan) -> list[tuple[str, Job]]:
    """Return the trials that calls on a cluster's workers were making last, with their calls."""
    place = place_of(plan)
    return [
        (trial.user_attrs[CALL], plan.job(cell, trial.number, cell.searched.experiment))
        for cell in plan.cells
        for trial in _running(trials_of(plan, cell), place)
        if trial.user_attrs.get(CALL)
    ]


def counted(trials: Sequence[FrozenTrial]) -> int:
    """Return how many trials count towards a budget: complete, pruned, and being made."""
    return sum(trial.state.name in ("COMPLETE", "PRUNED", "RUNNING") for trial in trials)


def begun(plan: SearchPlan) -> list[int]:
    """Return how many trials each cell has, of all states."""
    return [len(_trials(open_study(plan.storage, cell.study_name))) for cell in plan.cells]


def gives_up(trials: Sequence[FrozenTrial], since: int) -> bool:
    """Tell whether the last trials of this command have all diverged or failed."""
    last = [t for t in trials if t.number >= since and t.state.is_finished()][-GIVE_UP:]
    return len(last) == GIVE_UP and all(trial.state.name == "FAIL" for trial in last)


def trials_of(plan: SearchPlan, cell: CellSearch) -> list[FrozenTrial]:
    """Return all trials of a cell, in the order of their numbers."""
    return _trials(open_study(plan.storage, cell.study_name))


def _trials(study: Study) -> list[FrozenTrial]:
    return sorted(study.get_trials(deepcopy=False), key=lambda trial: trial.number)


def _running(trials: Sequence[FrozenTrial], place: str) -> list[FrozenTrial]:
    return [
        trial
        for trial in trials
        if trial.state.name == "RUNNING" and trial.user_attrs.get("place") == place
    ]


def used_up(cell: CellSearch, trials: Sequence[FrozenTrial]) -> bool:
    """Tell whether every setting of a space of choices has been tried: none would tell more.

    A trial that failed for another reason than its settings does not count, as anywhere.
    """
    domains = cell.searched.space.values()
    sizes = [len(domain.values) for domain in domains if isinstance(domain, Choices)]
    if len(sizes) < len(domains):
        return False
    tried = {repr(sorted(t.params.items())) for t in trials if t.params and tells(t)}
    return len(tried) >= prod(sizes)


def _wants_more(cell: CellSearch, trials: Sequence[FrozenTrial], since: int) -> bool:
    enough = cell.trials is not None and counted(trials) >= cell.trials
    return not (enough or used_up(cell, trials) or gives_up(trials, since))


def _take_up(
    plan: SearchPlan,
    cell: CellSearch,
    study: Study,
    trial: FrozenTrial,
    held: ExitStack,
    call: str,
) -> Claim | None:
    """Take a trial that was begun here, unless a process is making it or it has just ended."""
    try:
        held.enter_context(file_lock(plan.job(cell, trial.number, cell.searched.experiment).lock))
    except HeldError:
        return None
    if _state(study, trial.number) != "RUNNING":
        held.close()
        return None
    return _claimed(plan, cell, study, trial, call)


def _begin(
    plan: SearchPlan, cell: CellSearch, study: Study, place: str, held: ExitStack, call: str
) -> Claim:
    """Begin a new trial; who made it, and with what, is in the storage from its first moment."""
    from optuna.trial import TrialState, create_trial

    about = {
        "place": place,
        "sampler": plan.sampler,
        "sampler_seed": cell.sampler_seed,
        "engine": plan.engine,
        "device": plan.device,
        **({CALL: call} if call else {}),
    }
    with quiet():
        template = create_trial(state=TrialState.RUNNING, user_attrs=about)
        storage = open_storage(plan.storage)
        study_id = storage.get_study_id_from_name(cell.study_name)
        trial = storage.get_trial(storage.create_new_trial(study_id, template))
    job = plan.job(cell, trial.number, cell.searched.experiment)
    # Waited for, though it is new: others look now and then whether it is held.
    held.enter_context(file_lock(job.lock, wait=LOCK_SECONDS))
    for left in (job.folder, job.partial):  # of a storage that somebody has removed
        shutil.rmtree(left, ignore_errors=True)
    return _claimed(plan, cell, study, trial, call)


def _claimed(
    plan: SearchPlan, cell: CellSearch, study: Study, trial: FrozenTrial, call: str
) -> Claim:
    """Draw the settings, or what is lacking of them, and describe the trial."""
    from optuna.trial import Trial

    storage = open_storage(plan.storage)
    study_id = storage.get_study_id_from_name(cell.study_name)
    trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
    about = trial.user_attrs
    study.sampler = sampler_of(about["sampler"], about["sampler_seed"], cell.searched.space)
    with quiet():
        if about.get(CALL, "") != call:
            storage.set_trial_user_attr(trial_id, CALL, call)
        values = draw(Trial(study, trial_id), cell.searched.space)
    job = plan.job(cell, trial.number, cell.searched.with_values(values))
    job = replace(job, engine=about["engine"], device=about["device"])
    return Claim(cell, study, trial_id, trial.number, values, job)


def _state(study: Study, number: int) -> str:
    return next(t.state.name for t in study.get_trials(deepcopy=False) if t.number == number)
