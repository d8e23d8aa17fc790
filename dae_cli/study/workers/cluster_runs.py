"""The runs of a study on the workers of a Dask cluster."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

from dae_cli.stopping import Interrupted, SignalStop
from dae_cli.study.progress import Watcher
from dae_cli.study.rows import RunRow
from dae_cli.study.run.job import Job
from dae_cli.study.run.run import Unfinished
from dae_cli.study.workers.cluster import (
    POLL_SECONDS,
    Cluster,
    ClusterError,
    Killed,
    UnfitWorkerError,
)
from dae_cli.study.workers.cluster_worker import make_run
from dae_cli.study.workers.files import ClusterFiles

ENDING_SECONDS = 30.0
"""In which jobs keep a checkpoint where the command ends for want of a cluster."""
KILLED = (
    "its worker was killed again and again, perhaps because the memory ran out; the same command "
    "goes on from the checkpoint; smaller layers or workers with more memory help"
)


def run_on_cluster(
    jobs: Sequence[Job], *, workers: int, watcher: Watcher, command: str, cluster: Cluster
) -> Generator[RunRow | Unfinished, None, None]:
    """Run jobs on a cluster, as `pool.run_jobs` does on this machine.

    Raises:
        Interrupted: the command was asked to stop, and all runs have.
        UnfitWorkerError: a worker cannot do what it was given.
        ClusterError: the scheduler is gone; runs that were going have kept a checkpoint.
    """
    by_name = {job.name: job for job in jobs}
    calls = [
        (job.name, partial(make_run, _with_absolute_paths(job), command, cluster.data_dir))
        for job in jobs
    ]
    stop = SignalStop(lambda: None)  # ClusterFiles notes it
    with closing(ClusterFiles(jobs, watcher, stop)) as files, stop.deferred():
        ended = cluster.run(
            calls,
            at_most=workers,
            stop=stop,
            stop_file=files.stop_file,
            poll=files.poll,
            is_begun=lambda name: by_name[name].is_held(),
        )
        try:
            with closing(ended):
                for name, result in ended:
                    if isinstance(result, Unfinished):  # another command is making it
                        files.leave(name)
                        yield result
                    else:
                        row = _row(result, by_name[name], command)
                        files.finish(row)
                        yield row
        except (ClusterError, UnfitWorkerError):
            files.ask_to_stop()
            wait_for_checkpoints(jobs)
            raise
    if number := stop.asked():
        raise Interrupted(number)


def _with_absolute_paths(job: Job) -> Job:
    """A worker has a folder of its own to work in."""
    return replace(job, data=replace(job.data, path=job.data.path.absolute()))


def _row(result: RunRow | Killed, job: Job, command: str) -> RunRow:
    if isinstance(result, RunRow):
        return result
    from dae_cli.study.run.run import lost_row

    return lost_row(job, KILLED, command)


def wait_for_checkpoints(jobs: Sequence[Job]) -> None:
    """Wait, not for long, until no job is being made."""
    end = time.monotonic() + ENDING_SECONDS
    while any(job.is_held() for job in jobs) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
