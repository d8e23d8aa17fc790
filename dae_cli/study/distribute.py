"""Jobs side by side: a process each, on this machine or beside the workers of a Dask cluster."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Protocol, TypeVar

from dae_cli.stopping import Interrupted, StopRequest
from dae_cli.study.processes import Killed, Make, Processes
from dae_cli.study.progress import Watcher
from dae_cli.study.rows import RunRow
from dae_cli.study.run.job import Job, Unfinished
from dae_cli.study.run.record import lost_row

R = TypeVar("R")

POLL_SECONDS = 0.25
WAIT_SECONDS = 0.5
"""Until it is looked again whether other commands have left or ended a job."""
STOPPING = "stopping: runs finish their step and keep a checkpoint; once more stops at once"


class Place(Protocol):
    """Where jobs are made."""

    @property
    def size(self) -> int:
        """Jobs that can be made at a time."""

    @property
    def running(self) -> int:
        """Jobs that are being made."""

    def start(self, job: Job, make: Make) -> None:
        """Make a job in a process of its own."""

    def results(self, seconds: float) -> Iterator[tuple[Job, Any]]:
        """Wait for news, at most so many seconds; yield the jobs that ended, and their results."""

    def stop(self) -> None:
        """Ask all jobs to save a checkpoint and end; more calls change nothing."""

    def close(self) -> None:
        """End what is left, without waiting for checkpoints."""


def distribute(
    jobs: Iterable[Job | None],
    make: Callable[[Job, Watcher, StopRequest], R | Unfinished],
    *,
    workers: int,
    watcher: Watcher,
    stop: StopRequest,
    place: Place | None = None,
) -> Generator[tuple[Job, R | Unfinished | Killed], None, None]:
    """Make jobs, at most `workers` at a time, and yield each with its result when it ends.

    It ends when all jobs have, or when `stop.signal` is set and all that were going have saved a
    checkpoint: look at `stop.signal` afterwards. Jobs whose process is asked to stop by somebody
    else, such as a scheduler, set it as well. Meanwhile the first signal is delayed;
    of jobs in this process, only where `make` does that.

    A job whose process is killed goes on from its checkpoint in the end, when there are no others;
    killed again, its result is `Killed`. From the first kill on there is one place fewer.
    A caller that closes the generator, or is interrupted again, ends all processes at once.

    Args:
        jobs: asked for the next one only when there is a place for it. None: none can be made now,
            but perhaps later, since others are at it. Each job comes once, by its name.
        make: called with the job, a watcher for its progress and the request to stop, which it
            looks at now and then. It can be pickled (a function of a module, or a `partial` of
            one), and so can what it returns. Returns `Unfinished` where it was stopped ("stopped",
            with a checkpoint) or another process makes the job ("held"). What it raises ends
            everything here; on a cluster, DaeError means that its worker is unfit.
        workers: with one, and no `place`, jobs are made in this process, one after the other.
        watcher: hears the progress of all jobs, in this process.
        stop: set by signals, or by the caller, such as when the time is over.
        place: a `Cluster`; else this machine.

    Raises:
        DaeError: no process can be started, or the cluster cannot do it.
    """
    if workers == 1 and place is None:
        return _make_here(jobs, make, watcher, stop)
    where = Processes(watcher) if place is None else place
    return _make_at(where, iter(jobs), make, workers, watcher, stop)


def _make_here(
    jobs: Iterable[Job | None], make: Make, watcher: Watcher, stop: StopRequest
) -> Generator[tuple[Job, Any], None, None]:
    for job in jobs:
        if job is None:
            time.sleep(WAIT_SECONDS)
        else:
            yield job, make(job, watcher, stop)
        if stop.signal:
            return


def _make_at(
    place: Place,
    jobs: Iterator[Job | None],
    make: Make,
    workers: int,
    watcher: Watcher,
    stop: StopRequest,
) -> Generator[tuple[Job, Any], None, None]:
    queue = _Queue(jobs)
    with closing(place), stop.delay_signals():
        while place.running or not (stop.signal or queue.is_empty):
            while place.running < min(workers, place.size) and not stop.signal:
                if (job := queue.next_job()) is None:
                    break
                place.start(job, make)
            if not place.running and not stop.signal and (job := queue.next_retry()):
                workers = 1
                place.start(job, make)
            for job, result in place.results(POLL_SECONDS):
                if isinstance(result, Killed):
                    job.is_held()  # removes the lock file that the process left
                    if stop.signal:
                        continue  # it has its last checkpoint
                    if queue.retry(job, result):
                        workers = max(1, min(workers, place.size) - 1)
                        watcher.note(f"{result.why}; {_retry_text(job, workers)}")
                        continue
                if isinstance(result, Unfinished) and result.why == "stopped" and not stop.signal:
                    stop.request(signal.SIGTERM)
                yield job, result
            if stop.signal:
                place.stop()


class _Queue:
    """The jobs that are still to be made, and those whose process was killed."""

    def __init__(self, jobs: Iterator[Job | None]) -> None:
        self._jobs = jobs
        self._is_over = False
        self._ask_at = 0.0
        self._retries: list[Job] = []
        self._killed: set[str] = set()

    @property
    def is_empty(self) -> bool:
        """Whether there will be no more."""
        return self._is_over and not self._retries

    def next_job(self) -> Job | None:
        """Return the next job that was not killed; None where there is none now."""
        if self._is_over or time.monotonic() < self._ask_at:
            return None
        for job in self._jobs:
            if job is None:
                self._ask_at = time.monotonic() + WAIT_SECONDS
            return job
        self._is_over = True
        return None

    def next_retry(self) -> Job | None:
        """Return a job that was killed, if there is one."""
        return self._retries.pop(0) if self._retries else None

    def retry(self, job: Job, killed: Killed) -> bool:
        """Take a killed job in again, unless that was done before or it was killed too often."""
        if killed.final or job.name in self._killed:
            return False
        self._killed.add(job.name)
        self._retries.append(job)
        return True


def _retry_text(job: Job, workers: int) -> str:
    return (
        f"{job.name} goes on from its checkpoint when the others have ended, which are made "
        f"{'one' if workers == 1 else workers} at a time from now on"
    )


def make_runs(
    jobs: Sequence[Job],
    *,
    workers: int,
    watcher: Watcher,
    command: str,
    place: Place | None = None,
) -> Generator[RunRow | Unfinished, None, None]:
    """Make runs, at most `workers` at a time, and yield what each came to when it ends.

    The results do not depend on where they are made. A failed run does not stop the others.

    Raises:
        Interrupted: the command was asked to stop, and all runs have saved a checkpoint.
        DaeError: no process can be started, or the cluster cannot do it.
    """
    stop = StopRequest(lambda: watcher.note(STOPPING))
    ended = distribute(
        jobs,
        partial(_make_run, command),
        workers=max(1, min(workers, len(jobs))),
        watcher=watcher,
        stop=stop,
        place=place,
    )
    with closing(ended):
        for job, result in ended:
            row = _killed_row(job, result, command) if isinstance(result, Killed) else result
            if isinstance(row, RunRow):
                watcher.finished(row)
            yield row
    if stop.signal:
        raise Interrupted(stop.signal)


def _make_run(command: str, job: Job, watcher: Watcher, stop: StopRequest) -> RunRow | Unfinished:
    if stop.signal:
        return Unfinished(job.name, "stopped")
    from dae_cli.study.run.run import run_job  # torch, which a command of several jobs never needs

    return run_job(job, watcher, command, stop)


def _killed_row(job: Job, killed: Killed, command: str) -> RunRow:
    remedy = "the same command goes on from the checkpoint; smaller layers need less memory"
    return lost_row(job, f"{killed.why}; {remedy}", command)
