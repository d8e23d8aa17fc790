"""Trials side by side, within a budget; killed or stopped, the same command goes on."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

from dae_cli.search.claim import TrialLeftError, prospect
from dae_cli.search.cluster_trials import make_on_cluster
from dae_cli.search.next_trial import fail_left, make_next
from dae_cli.search.plan import TRIALS, SearchPlan
from dae_cli.stopping import Interrupted, SignalStop, WorkerStop
from dae_cli.study.progress import Watcher
from dae_cli.study.rows import TrialRow
from dae_cli.study.workers.cluster import Cluster
from dae_cli.study.workers.files import STOPPING, WorkerFiles
from dae_cli.study.workers.pool import (
    KILLED,
    WorkerKilledError,
    end_workers,
    in_workers,
    require_semaphores,
)

WAIT_SECONDS = 0.5


class TimedStop:
    """Asks to stop when a signal does, or when the time is over."""

    def __init__(self, signals: SignalStop, seconds: float | None) -> None:
        """Give the seconds from now on; None for no limit."""
        self.signals = signals
        self._until = None if seconds is None else time.monotonic() + seconds

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return self._until is not None and time.monotonic() >= self._until

    def asked(self) -> int:
        """Return the signal's number, or SIGTERM's when the time is over, else 0."""
        return self.signals.asked() or (signal.SIGTERM if self.late else 0)

    def deferred(self) -> AbstractContextManager[None]:
        """As of the signals."""
        return self.signals.deferred()


def run_trials(
    plan: SearchPlan,
    *,
    workers: int,
    cluster: Cluster | None,
    seconds: float | None,
    since: Sequence[int],
    watcher: Watcher,
    ended: Callable[[TrialRow], None],
) -> bool:
    """Make trials until every cell has its number, or the time is over.

    Args:
        plan: the search.
        workers: trials at a time, one process each.
        cluster: whose workers make the trials, if not this machine.
        seconds: that the command may take; trials that are being made then keep a checkpoint.
        since: trials that each cell had when the command began.
        watcher: hears what is worth a line.
        ended: is called with the row of each trial that ends here.

    Returns:
        Whether the time ran out.

    Raises:
        Interrupted: the command was asked to stop; every trial has kept a checkpoint.
        DaeError: no worker process can be started, the cluster cannot do it, or results cannot be
            written.
    """
    alone = cluster is None and workers == 1
    # Of several workers, the thread that passes the wish on tells of it.
    signals = SignalStop((lambda: watcher.note(STOPPING)) if alone else (lambda: None))
    stop = TimedStop(signals, seconds)
    told = False
    while not stop.asked():
        for row in _made(plan, workers, cluster, stop, since, watcher):
            ended(row)
        what = "done" if stop.asked() else prospect(plan, since)
        if what == "done":
            break
        if what == "waiting":
            if not told:
                watcher.note("another dae process is making the last trials; waiting for it")
                told = True
            time.sleep(WAIT_SECONDS)
    if number := signals.asked():
        raise Interrupted(number)
    return stop.late


def _made(
    plan: SearchPlan,
    workers: int,
    cluster: Cluster | None,
    stop: TimedStop,
    since: Sequence[int],
    watcher: Watcher,
) -> Iterator[TrialRow]:
    """Make trials wherever it shall be."""
    if cluster is not None:
        return make_on_cluster(
            plan, cluster, workers=workers, stop=stop, since=since, watcher=watcher
        )
    if workers > 1:
        return _side_by_side(plan, workers, stop, since, watcher)
    return _here(plan, stop, since)


def _here(plan: SearchPlan, stop: TimedStop, since: Sequence[int]) -> Iterator[TrialRow]:
    while not stop.asked() and isinstance(row := make_next(plan, stop, since), TrialRow):
        yield row


def _side_by_side(
    plan: SearchPlan, workers: int, stop: TimedStop, since: Sequence[int], watcher: Watcher
) -> Iterator[TrialRow]:
    """Make trials in worker processes; where one is killed, go on with fewer at a time.

    At one at a time it is known whose trial was killed: that one fails, and the others go on.
    """
    require_semaphores()
    trials = plan.folder / TRIALS
    with WorkerFiles((), watcher, stop, trials) as files, stop.deferred():
        while not stop.asked():
            try:
                with closing(_round(plan, workers, files, since)) as rows:
                    yield from rows
                break
            except WorkerKilledError:
                if stop.asked():
                    continue
                if workers > 1:
                    workers -= 1
                    at_a_time = "one trial" if workers == 1 else f"{workers} trials"
                    watcher.note(f"{KILLED}; going on from the checkpoints, {at_a_time} at a time")
                elif row := fail_left(plan, since, f"{KILLED}; smaller layers need less memory"):
                    yield row
    if stop.asked():
        end_workers(())


def _round(
    plan: SearchPlan, workers: int, files: WorkerFiles, since: Sequence[int]
) -> Generator[TrialRow, None, None]:
    """Make trials until a worker finds none to make; those of the others come to their end.

    Raises:
        TrialLeftError: a trial could not go on; those of the others have kept a checkpoint.
    """
    from joblib import delayed

    over, left = False, None

    def calls() -> Iterator[Any]:
        while not over:
            yield delayed(_make_in_worker)(plan, files.stop_file, tuple(since))

    with closing(in_workers(calls(), workers)) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, TrialRow):
                yield outcome
                continue
            over = True
            if isinstance(outcome, TrialLeftError):
                left = left or outcome
                files.ask_to_stop()
    if left:
        raise left


def _make_in_worker(
    plan: SearchPlan, stop_file: Path, since: Sequence[int]
) -> TrialRow | TrialLeftError | None:
    stop = WorkerStop(stop_file)
    try:
        row = None if stop.asked() else make_next(plan, stop, since)
    except TrialLeftError as error:
        return error  # as what it came to: raised, it would end the others where they are
    if isinstance(row, TrialRow):
        return row
    time.sleep(WAIT_SECONDS)  # until the command knows, and asks no more
    return None
