"""Run jobs in parallel, each in its own process, on this machine or on a Dask cluster."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from dae_cli.stopping import StopRequest
from dae_cli.study.processes import Killed, Processes, RunJob
from dae_cli.study.progress import Watcher
from dae_cli.study.run.job import Job, Unfinished

if TYPE_CHECKING:
    from dae_cli.study.cluster import Cluster

R = TypeVar("R")

POLL_SECONDS = 0.25
WAIT_SECONDS = 0.5
"""Time before the next check whether other commands have released or finished a job."""
STOPPING = "stopping: runs finish their step and save a checkpoint; interrupt again to stop at once"


def distribute(
    jobs: Iterable[Job | None],
    run_job: Callable[[Job, Watcher, StopRequest], R | Unfinished],
    *,
    workers: int,
    watcher: Watcher,
    stop: StopRequest,
    cluster: Cluster | None = None,
) -> Generator[tuple[Job, R | Unfinished | Killed], None, None]:
    """Run jobs, at most `workers` at a time, and yield each with its result when it ends.

    The generator ends when all jobs have ended, or when `stop.signal` is set and the running jobs
    have saved a checkpoint; check `stop.signal` afterwards. It is set by a signal (signals are
    delayed meanwhile), by the caller, or if somebody else asked one of the processes to stop. A
    killed job resumes from its checkpoint after all others, and from then on one job fewer runs at
    a time; if killed again, its result is `Killed`. Closing the generator kills all processes.

    Args:
        jobs: each name once; the next job is requested when a worker is free. None: no job is
            available now, but one may be later, because other commands are running some.
        run_job: can be pickled, and so can its result, which is `Unfinished` if the job was stopped
            or another process is running it. An exception ends all jobs.
        workers: with one worker and no cluster, jobs run in this process, and `run_job` delays
            signals.

    Raises:
        DaeError: no process can be started, or the cluster cannot run the jobs.
    """
    if workers == 1 and cluster is None:
        return _run_here(jobs, run_job, watcher, stop)
    return _run_at(cluster or Processes(watcher), jobs, run_job, workers, watcher, stop)


def _run_here(
    jobs: Iterable[Job | None], run_job: RunJob, watcher: Watcher, stop: StopRequest
) -> Generator[tuple[Job, Any], None, None]:
    for job in jobs:
        if job is None:
            time.sleep(WAIT_SECONDS)
        else:
            yield job, run_job(job, watcher, stop)
        if stop.signal:
            return


def _run_at(
    place: Processes | Cluster,
    jobs: Iterable[Job | None],
    run_job: RunJob,
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
                        place.start(job, run_job)
                    break
                else:
                    is_over = True
            if retries and not place.running and not stop.signal:
                workers = 1
                place.start(retries.pop(0), run_job)
            for job, result in place.results(POLL_SECONDS):
                if isinstance(result, Killed):
                    job.is_held()  # removes the lock file that the process left
                    if stop.signal:
                        continue  # its last checkpoint remains
                    if not (result.final or job.name in killed):
                        killed.add(job.name)
                        retries.append(job)
                        workers = max(1, min(workers, place.size) - 1)
                        watcher.note(
                            f"{result.why}; {job.name} will resume from its checkpoint after the "
                            f"others, which now run {workers} at a time"
                        )
                        continue
                if isinstance(result, Unfinished) and result.why == "stopped" and not stop.signal:
                    stop.request(signal.SIGTERM)
                yield job, result
            if stop.signal:
                place.stop()
