"""Trials side by side, within a budget; killed or stopped, the same command goes on."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import Any

from dae_cli.search.claim import Claim, claim_next, prospect
from dae_cli.search.plan import TRIALS, SearchPlan
from dae_cli.search.rows import TrialRow
from dae_cli.search.table import write_search_csv
from dae_cli.stopping import Interrupted, SignalStop, Stop, WorkerStop
from dae_cli.study.pool import (
    KILLED,
    WorkerKilledError,
    end_workers,
    in_workers,
    require_semaphores,
)
from dae_cli.study.progress import Watcher
from dae_cli.study.worker_files import STOPPING, WorkerFiles

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
    seconds: float | None,
    since: Sequence[int],
    watcher: Watcher,
    ended: Callable[[TrialRow], None],
) -> bool:
    """Make trials until every cell has its number, or the time is over.

    Args:
        plan: the search.
        workers: trials at a time, one process each.
        seconds: that the command may take; trials that are being made then keep a checkpoint.
        since: trials that each cell had when the command began.
        watcher: hears what is worth a line.
        ended: is called with the row of each trial that ends here.

    Returns:
        Whether the time ran out.

    Raises:
        Interrupted: the command was asked to stop; every trial has kept a checkpoint.
        DaeError: no worker process can be started, or results cannot be written.
    """
    if workers > 1:
        require_semaphores()
    # Of several workers, the thread that passes the wish on tells of it.
    signals = SignalStop((lambda: None) if workers > 1 else (lambda: watcher.note(STOPPING)))
    stop = TimedStop(signals, seconds)
    makers = _side_by_side if workers > 1 else _here
    told = False
    while not stop.asked():
        for row in makers(plan, workers, stop, since, watcher):
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


def _here(
    plan: SearchPlan, _workers: int, stop: TimedStop, since: Sequence[int], _watcher: Watcher
) -> Iterator[TrialRow]:
    while not stop.asked() and isinstance(row := _make_next(plan, stop, since), TrialRow):
        yield row


def _side_by_side(
    plan: SearchPlan, workers: int, stop: TimedStop, since: Sequence[int], watcher: Watcher
) -> Iterator[TrialRow]:
    """Make trials in worker processes; where one is killed, go on with fewer at a time.

    At one at a time it is known whose trial was killed: that one fails, and the others go on.
    """
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
                elif row := _fail_left(plan, since):
                    yield row
    if stop.asked():
        end_workers(())


def _round(
    plan: SearchPlan, workers: int, files: WorkerFiles, since: Sequence[int]
) -> Generator[TrialRow, None, None]:
    """Make trials until a worker finds none to make; those of the others come to their end."""
    from joblib import delayed

    over = False

    def calls() -> Iterator[Any]:
        while not over:
            yield delayed(_make_in_worker)(plan, files.stop_file, tuple(since))

    with closing(in_workers(calls(), workers)) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, TrialRow):
                yield outcome
            else:
                over = True


def _make_in_worker(plan: SearchPlan, stop_file: Path, since: Sequence[int]) -> TrialRow | None:
    stop = WorkerStop(stop_file)
    row = None if stop.asked() else _make_next(plan, stop, since)
    if row is None:
        time.sleep(WAIT_SECONDS)  # until the command knows, and asks no more
    return row


def _make_next(plan: SearchPlan, stop: Stop, since: Sequence[int]) -> TrialRow | None:
    """Make one trial and write it down; None if there is none to make, or it was stopped."""
    from dae_cli.search.trial import make_trial
    from dae_cli.study.run_status import Stopped

    with ExitStack() as held:
        claim = claim_next(plan, held, since)
        if not isinstance(claim, Claim):
            return None
        try:
            row = make_trial(plan, claim, stop)
        except Stopped:
            return None
    write_search_csv(plan)
    return row


def _fail_left(plan: SearchPlan, since: Sequence[int]) -> TrialRow | None:
    """End the trial that was being made when the only worker was killed."""
    from dae_cli.search.trial import conclude, row_of

    with ExitStack() as held:
        claim = claim_next(plan, held, since, only_left=True)
        if not isinstance(claim, Claim):
            return None
        why = f"{KILLED}; smaller layers need less memory"
        row = conclude(plan, claim, row_of(claim, None, "failed", why, minutes=0.0))
    write_search_csv(plan)
    return row
