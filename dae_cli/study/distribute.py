"""Jobs side by side: a process each, on this machine or beside the workers of a Dask cluster."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from dae_cli.stopping import StopRequest
from dae_cli.study.processes import Killed, Make, Processes
from dae_cli.study.progress import Watcher
from dae_cli.study.run.job import Job, Unfinished

if TYPE_CHECKING:
    from dae_cli.study.cluster import Cluster

R = TypeVar("R")

POLL_SECONDS = 0.25
WAIT_SECONDS = 0.5
"""Until it is looked again whether other commands have left or ended a job."""
STOPPING = "stopping: runs finish their step and keep a checkpoint; once more stops at once"


def distribute(
    jobs: Iterable[Job | None],
    make: Callable[[Job, Watcher, StopRequest], R | Unfinished],
    *,
    workers: int,
    watcher: Watcher,
    stop: StopRequest,
    cluster: Cluster | None = None,
) -> Generator[tuple[Job, R | Unfinished | Killed], None, None]:
    """Make jobs, at most `workers` at a time, and yield each with its result when it ends.

    It ends when all jobs have, or when `stop.signal` is set (by a signal, which is delayed
    meanwhile, by the caller, or since a process was asked to stop by somebody else) and all that
    were going have saved a checkpoint: look at it afterwards. A killed job goes on from its
    checkpoint when there are no others; killed again, its result is `Killed`. From the first kill
    on there is one place fewer. Closing the generator ends all processes at once.

    Args:
        jobs: each once, by its name, and asked for only when there is a place for it. None: none
            can be made now, but perhaps later, since others are at it.
        make: can be pickled, and so can what it returns: `Unfinished` where it was stopped, or
            another process makes the job. What it raises ends everything here.
        workers: with one, and no cluster, jobs are made in this process, where `make` delays
            signals.

    Raises:
        DaeError: no process can be started, or the cluster cannot do it.
    """
    if workers == 1 and cluster is None:
        return _make_here(jobs, make, watcher, stop)
    return _make_at(cluster or Processes(watcher), jobs, make, workers, watcher, stop)


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
    place: Processes | Cluster,
    jobs: Iterable[Job | None],
    make: Make,
    workers: int,
    watcher: Watcher,
    stop: StopRequest,
) -> Generator[tuple[Job, Any], None, None]:
    jobs = iter(jobs)
    is_over = False
    ask_at = 0.0
    retries: list[Job] = []
    killed: set[str] = set()
    with closing(place), stop.delay_signals():
        while place.running or not (stop.signal or (is_over and not retries)):
            while (
                place.running < min(workers, place.size)
                and not (stop.signal or is_over)
                and time.monotonic() >= ask_at
            ):
                for job in jobs:
                    if job is None:
                        ask_at = time.monotonic() + WAIT_SECONDS
                    else:
                        place.start(job, make)
                    break
                else:
                    is_over = True
            if retries and not place.running and not stop.signal:
                workers = 1
                place.start(retries.pop(0), make)
            for job, result in place.results(POLL_SECONDS):
                if isinstance(result, Killed):
                    job.is_held()  # removes the lock file that the process left
                    if stop.signal:
                        continue  # it has its last checkpoint
                    if not (result.final or job.name in killed):
                        killed.add(job.name)
                        retries.append(job)
                        workers = max(1, min(workers, place.size) - 1)
                        watcher.note(
                            f"{result.why}; {job.name} goes on from its checkpoint when the others "
                            f"have ended, which are made {workers} at a time from now on"
                        )
                        continue
                if isinstance(result, Unfinished) and result.why == "stopped" and not stop.signal:
                    stop.request(signal.SIGTERM)
                yield job, result
            if stop.signal:
                place.stop()
