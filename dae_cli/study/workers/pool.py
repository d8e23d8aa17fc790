"""Runs side by side: one process a run, one thread a process."""

from __future__ import annotations

import signal
from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from dae_cli.stopping import Interrupted, SignalStop, Stop
from dae_cli.study.progress import Watcher
from dae_cli.study.rows import RunRow
from dae_cli.study.run.job import Job
from dae_cli.study.run.run import Unfinished, one_thread_in_processes, run_job
from dae_cli.study.workers.files import STOPPING, FileWatcher, ProgressFiles
from dae_cli.study.workers.processes import Lost, Processes

if TYPE_CHECKING:
    from dae_cli.study.workers.cluster import Cluster

POLL_SECONDS = 0.25


def run_jobs(
    jobs: Sequence[Job],
    *,
    workers: int,
    watcher: Watcher,
    command: str,
    scheduler: Cluster | None = None,
) -> Generator[RunRow | Unfinished, None, None]:
    """Run jobs, at most `workers` at a time, and yield what each came to when it ends.

    Runs on this machine, or on the workers of a cluster if there is a scheduler. The results do
    not depend on either. A failed run does not stop the others. When the
    command is asked to stop, every run finishes its step and keeps a checkpoint; if the caller
    stops early or is interrupted again, the workers are ended at once.

    Raises:
        Interrupted: the command was asked to stop, and all runs have.
        DaeError: no worker process can be started, or the cluster cannot do it.
    """
    if scheduler is not None and jobs:
        from dae_cli.study.workers.cluster_runs import run_on_cluster

        return run_on_cluster(
            jobs, workers=workers, watcher=watcher, command=command, cluster=scheduler
        )
    if min(workers, len(jobs)) <= 1:
        return _run_here(jobs, watcher, command)
    return _run_in_processes(jobs, workers, watcher, command)


def _run_here(
    jobs: Sequence[Job], watcher: Watcher, command: str
) -> Generator[RunRow | Unfinished, None, None]:
    stop = SignalStop(lambda: watcher.note(STOPPING))
    for job in jobs:
        outcome = run_job(job, watcher, command, stop)
        if isinstance(outcome, RunRow):
            watcher.finished(outcome)
        yield outcome
        if stop.asked():
            raise Interrupted(stop.asked())


def _run_in_processes(
    jobs: Sequence[Job], workers: int, watcher: Watcher, command: str
) -> Generator[RunRow | Unfinished, None, None]:
    """Run in processes; where one is killed, its run is made again, with fewer at a time.

    A run that is killed a second time, when there is one at a time, has failed.
    """
    ahead = list(reversed(jobs))
    killed = set[str]()
    stop, number = SignalStop(lambda: None), 0
    one_thread_in_processes()
    with (
        closing(ProgressFiles(jobs, watcher)) as progress,
        stop.deferred(),
        closing(Processes[Job, RunRow | Unfinished]()) as processes,
    ):
        while processes or (ahead and not number):
            while ahead and len(processes) < workers and not (number := number or stop.asked()):
                processes.start(ahead[-1], partial(_run, ahead[-1], command))
                ahead.pop()
            for job, outcome in processes.ended(POLL_SECONDS):
                if isinstance(outcome, RunRow):
                    progress.finish(outcome)
                    yield outcome
                elif isinstance(outcome, Unfinished):
                    progress.leave(job.name)
                    if outcome.why == "stopped":  # by the command, or by a scheduler
                        number = number or stop.asked() or signal.SIGTERM
                    yield outcome
                elif number or stop.asked():
                    continue
                elif workers > 1 or job.name not in killed:
                    killed.add(job.name)
                    ahead.insert(0, job)
                    workers = max(1, workers - 1)
                    watcher.note(f"{outcome}; {continuing(workers, 'run')}")
                else:
                    row = _killed_row(job, outcome, command)
                    progress.finish(row)
                    yield row
            progress.poll()
            if (number := number or stop.asked()) and processes.ask_to_stop():
                watcher.note(STOPPING)
    if number:
        raise Interrupted(number)


def continuing(workers: int, what: str) -> str:
    """Say how work goes on after a process was lost."""
    at_a_time = f"one {what}" if workers == 1 else f"{workers} {what}s"
    return f"going on from the checkpoints, {at_a_time} at a time"


def _killed_row(job: Job, lost: Lost, command: str) -> RunRow:
    from dae_cli.study.run.run import lost_row

    remedy = "the same command goes on from the checkpoint; smaller layers need less memory"
    return lost_row(job, f"{lost}; {remedy}", command)


def _run(job: Job, command: str, stop: Stop) -> RunRow | Unfinished:
    """Make a run in a process of its own."""
    if stop.asked():
        return Unfinished(job.name, "stopped")
    return run_job(job, FileWatcher(job), command, stop)
