"""Trials on the workers of a Dask cluster.

A call takes whatever trial is next, as a worker process on one machine does: one that a killed
worker left, else a new one. So the scheduler need not know of trials, nor the storage of workers.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from dae_cli.errors import ConfigError
from dae_cli.search.claim import TrialLeftError, being_made
from dae_cli.search.cluster_storage import cannot_use
from dae_cli.search.next_trial import fail_left, make_next
from dae_cli.search.plan import TRIALS, CellSearch, SearchPlan
from dae_cli.stopping import Stop
from dae_cli.study.progress import Watcher
from dae_cli.study.rows import TrialRow
from dae_cli.study.workers.cluster import Cluster, ClusterError, Killed, UnfitWorkerError
from dae_cli.study.workers.cluster_runs import wait_for_checkpoints
from dae_cli.study.workers.cluster_worker import CalledOff, as_here
from dae_cli.study.workers.files import ClusterFiles

KILLED = (
    "its worker was killed again and again, perhaps because the memory ran out; smaller layers or "
    "workers with more memory help"
)
KILLED_BEFORE = (
    "workers are killed again and again before they have a trial, perhaps because the memory runs "
    "out; workers with more memory help, and the same command goes on"
)
GIVE_UP = 3
"""So many calls in succession that came to nothing, their workers killed, end the command."""


def make_on_cluster(
    plan: SearchPlan,
    cluster: Cluster,
    *,
    workers: int,
    stop: Stop,
    since: Sequence[int],
    watcher: Watcher,
) -> Generator[TrialRow, None, None]:
    """Make trials until a worker finds none to make; those of the others come to their end.

    A trial whose worker is killed goes on from its checkpoint in the next call that is made.

    Args:
        plan: the search.
        cluster: whose workers see the storage.
        workers: trials at a time, at most one on a worker.
        stop: asked here, and passed on by a file.
        since: trials that each cell had when the command began.
        watcher: hears that the workers are told to stop.

    Raises:
        UnfitWorkerError: a worker cannot do what it was given.
        TrialLeftError: a trial cannot go on now; every trial has kept a checkpoint.
        ClusterError: the scheduler is gone; trials that were going have kept a checkpoint.
    """
    plan = _with_absolute_paths(plan)
    ours, over, in_vain = f"trial-{secrets.token_hex(4)}-", False, 0

    def calls() -> Iterator[tuple[str, Callable[[Stop], Any]]]:
        count = 0
        while not over:
            name = f"{ours}{(count := count + 1)}"
            yield name, partial(_make_on_worker, plan, tuple(since), cluster.data_dir, name)

    with closing(ClusterFiles((), watcher, stop, plan.folder / TRIALS)) as files, stop.deferred():
        ended = cluster.run(
            calls(),
            at_most=workers,
            stop=stop,
            stop_file=files.stop_file,
            poll=files.poll,
            is_begun=_begun_when_first_asked(plan),
        )
        try:
            with closing(ended):
                for name, outcome in ended:
                    if isinstance(outcome, TrialLeftError):
                        raise outcome
                    killed = isinstance(outcome, Killed)
                    row = fail_left(plan, since, KILLED, call=name) if killed else outcome
                    if row is not None:
                        in_vain = 0
                        yield row
                    elif not killed:
                        over = True
                    elif (in_vain := in_vain + 1) == GIVE_UP:
                        raise ClusterError(KILLED_BEFORE)
        except (ClusterError, TrialLeftError, UnfitWorkerError):
            files.ask_to_stop()
            wait_for_checkpoints([job for call, job in being_made(plan) if call.startswith(ours)])
            raise


def _make_on_worker(
    plan: SearchPlan, since: tuple[int, ...], data_dir: Path | None, call: str, stop: Stop
) -> TrialRow | TrialLeftError | CalledOff | None:
    """Make one trial with the data that this worker has; None if there is none to make.

    That a trial cannot go on is what the call comes to; it does not make the worker unfit.

    Raises:
        DaeError: this worker has other data, not the engine, or lost the storage.
    """
    from optuna.exceptions import OptunaError

    try:
        made = make_next(plan, stop, since, call=call, as_here=partial(as_here, data_dir=data_dir))
    except OptunaError as error:
        raise ConfigError(cannot_use(plan.storage, error)) from error
    except TrialLeftError as error:
        return error
    if isinstance(made, TrialRow):
        return made
    return CalledOff() if made == "stopped" else None


def _begun_when_first_asked(plan: SearchPlan) -> Callable[[str], bool]:
    """Return what tells whether a call is making a trial, of those that had one at first.

    The storage is read once: a call that takes a trial later stops at once, being called off.
    """

    @cache
    def jobs() -> list[Any]:
        return being_made(plan)

    return lambda name: any(job.is_held() for call, job in jobs() if call == name)


def _with_absolute_paths(plan: SearchPlan) -> SearchPlan:
    """A worker has a folder of its own to work in."""

    def there(cell: CellSearch) -> CellSearch:
        return replace(cell, data=replace(cell.data, path=cell.data.path.absolute()))

    return replace(plan, out=plan.out.absolute(), cells=tuple(map(there, plan.cells)))
