"""Trials side by side, within a budget; killed or stopped, the same command goes on."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial

from dae_cli.search.claim import TrialLeftError, prospect
from dae_cli.search.cluster_trials import make_on_cluster
from dae_cli.search.next_trial import fail_left, make_next
from dae_cli.search.plan import TRIALS, SearchPlan
from dae_cli.stopping import Interrupted, SignalStop, Stop
from dae_cli.study.progress import Watcher
from dae_cli.study.rows import TrialRow
from dae_cli.study.run.job import sweep_runs
from dae_cli.study.run.run import one_thread_in_processes
from dae_cli.study.workers.cluster import Cluster
from dae_cli.study.workers.files import STOPPING
from dae_cli.study.workers.pool import POLL_SECONDS, continuing
from dae_cli.study.workers.processes import Lost, Processes

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
    # Where there are several workers, whoever asks them to stop notes it.
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
    """Make trials in processes until one finds none to make; those of the others come to their end.

    Where a process is killed, the next one goes on with its trial, with fewer at a time. A trial
    that is killed when there is one at a time has failed.

    Raises:
        TrialLeftError: a trial could not go on; those of the others have kept a checkpoint.
    """
    over, left = False, None
    make = partial(_make_in_process, plan, tuple(since))
    one_thread_in_processes()
    started = Processes[None, TrialRow | TrialLeftError | None]()
    with stop.deferred(), closing(started) as processes:
        while processes or not (over or stop.asked()):
            while len(processes) < workers and not (over or stop.asked()):
                processes.start(None, make)
            for _, outcome in processes.ended(POLL_SECONDS):
                if isinstance(outcome, TrialRow):
                    yield outcome
                elif not isinstance(outcome, Lost):
                    over, left = True, left or outcome
                elif stop.asked():
                    continue
                elif workers > 1:
                    workers -= 1
                    watcher.note(f"{outcome}; {continuing(workers, 'trial')}")
                elif row := fail_left(plan, since, f"{outcome}; smaller layers need less memory"):
                    yield row
            if (stop.asked() or left) and processes.ask_to_stop():
                watcher.note(STOPPING)
    sweep_runs(plan.folder / TRIALS)
    if left:
        raise left


def _make_in_process(
    plan: SearchPlan, since: Sequence[int], stop: Stop
) -> TrialRow | TrialLeftError | None:
    """Make one trial; None where it was stopped, or there is none to make now."""
    try:
        row = None if stop.asked() else make_next(plan, stop, since)
    except TrialLeftError as error:
        return error  # as what it came to: raised, it would end the others where they are
    return row if isinstance(row, TrialRow) else None
