"""What a worker does, wherever it works: take the next trial, make it, write it down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Literal

from dae_cli.search.claim import Claim, Prospect, claim_next
from dae_cli.search.plan import SearchPlan
from dae_cli.search.table import write_search_csv
from dae_cli.stopping import Stop
from dae_cli.study.rows import TrialRow
from dae_cli.study.run.job import Job


def make_next(
    plan: SearchPlan,
    stop: Stop,
    since: Sequence[int],
    *,
    call: str = "",
    as_here: Callable[[Job], Job] = lambda job: job,
) -> TrialRow | Prospect | Literal["stopped"]:
    """Make one trial and write it down, or tell why not.

    Args:
        plan: the search.
        stop: asked in the middle of the trial, which then keeps a checkpoint.
        since: trials that each cell had when the command began.
        call: that a cluster's worker was given; the storage names it with the trial.
        as_here: returns a trial's job with what this machine has.
    """
    from dae_cli.search.trial import make_trial
    from dae_cli.study.run.checkpoints import Stopped

    with ExitStack() as held:
        claim = claim_next(plan, held, since, call=call)
        if not isinstance(claim, Claim):
            return claim
        try:
            row = make_trial(plan, replace(claim, job=as_here(claim.job)), stop)
        except Stopped:
            return "stopped"
    write_search_csv(plan)
    return row


def fail_left(
    plan: SearchPlan, since: Sequence[int], why: str, *, call: str = ""
) -> TrialRow | None:
    """End the trial that was being made when its worker was killed, as failed.

    Args:
        plan: the search.
        since: trials that each cell had when the command began.
        why: the row's error.
        call: the one that made the trial; without it, any trial that was left.
    """
    from dae_cli.search.trial import conclude, row_of

    with ExitStack() as held:
        claim = claim_next(plan, held, since, call=call, only_left=True)
        if not isinstance(claim, Claim):
            return None
        row = conclude(plan, claim, row_of(claim, None, "failed", why, minutes=0.0))
    write_search_csv(plan)
    return row
