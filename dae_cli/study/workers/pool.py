"""Runs side by side: one process a run, one thread a process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dae_cli.errors import DaeError
from dae_cli.stopping import SIGNALS, Interrupted, SignalStop, WorkerStop
from dae_cli.study.progress import Watcher
from dae_cli.study.rows import RunRow
from dae_cli.study.run.folder import Job
from dae_cli.study.run.outcome import Left, outcome_of
from dae_cli.study.workers.files import STOPPING, FileWatcher, WorkerFiles

if TYPE_CHECKING:
    from dae_cli.study.workers.cluster import Cluster

PARENT_SECONDS = 0.5
SEMAPHORES = 16
"""Twice as many as the queues of a pool take."""
KILLED = "a worker process was killed, perhaps because the memory ran out"


class WorkerKilledError(DaeError):
    """A worker process was killed from outside."""


def run_jobs(
    jobs: Sequence[Job],
    *,
    workers: int,
    watcher: Watcher,
    command: str,
    scheduler: Cluster | None = None,
) -> Generator[RunRow | Left, None, None]:
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
    require_semaphores()
    return _run_in_workers(jobs, min(workers, len(jobs)), watcher, command)


def _run_here(
    jobs: Sequence[Job], watcher: Watcher, command: str
) -> Generator[RunRow | Left, None, None]:
    stop = SignalStop(lambda: watcher.note(STOPPING))
    for job in jobs:
        outcome = outcome_of(job, watcher, command, stop)
        if isinstance(outcome, RunRow):
            watcher.finished(outcome)
        yield outcome
        if stop.asked():
            raise Interrupted(stop.asked())


def _run_in_workers(
    jobs: Sequence[Job], workers: int, watcher: Watcher, command: str
) -> Generator[RunRow | Left, None, None]:
    """Run in worker processes; where one is killed, go on with fewer at a time.

    At one at a time it is known whose run was killed: that one fails, and the others go on.
    """
    ahead = {job.name: job for job in jobs}
    stop = SignalStop(lambda: None)  # the thread that passes it on to the workers tells it
    number = 0
    with WorkerFiles(jobs, watcher, stop) as files, stop.deferred():
        while ahead and not (number := number or stop.asked()):
            try:
                started = _parallel(list(ahead.values()), workers, files.stop_file, command)
                with closing(started) as outcomes:
                    for outcome in outcomes:
                        del ahead[outcome.run]
                        if isinstance(outcome, RunRow):
                            files.finish(outcome)
                        elif outcome.why == "stopped":  # by the command, or by a scheduler
                            number = stop.asked() or signal.SIGTERM
                            files.ask_to_stop()
                        else:
                            files.leave(outcome.run)
                        yield outcome
            except WorkerKilledError:
                if stop.asked():
                    continue
                if workers > 1:
                    workers -= 1
                    at_a_time = "one run" if workers == 1 else f"{workers} runs"
                    watcher.note(f"{KILLED}; going on from the checkpoints, {at_a_time} at a time")
                else:
                    row = _killed_row(ahead.pop(next(iter(ahead))), command)
                    files.finish(row)
                    yield row
    if number := number or stop.asked():
        end_workers(())
        raise Interrupted(number)


def require_semaphores() -> None:
    """Make sure of what processes talk through; joblib would fall back to threads, and fail."""
    try:
        _ = [multiprocessing.Semaphore() for _ in range(SEMAPHORES)]
    except (OSError, ImportError) as error:
        raise DaeError(
            f"worker processes cannot be started ({error}): they need a little room in /dev/shm; "
            "make some there, or give --jobs 1"
        ) from error


def _killed_row(job: Job, command: str) -> RunRow:
    from dae_cli.study.run.execute import lost_row

    remedy = "the same command goes on from the checkpoint; smaller layers need less memory"
    return lost_row(job, f"{KILLED}; {remedy}", command)


def _parallel(
    jobs: Sequence[Job], workers: int, stop_file: Path, command: str
) -> Generator[RunRow | Left, None, None]:
    """Run jobs in joblib's worker processes, in order, `workers` at a time."""
    from joblib import delayed

    return in_workers((delayed(_run_in_worker)(job, command, stop_file) for job in jobs), workers)


def in_workers(calls: Iterable[Any], workers: int) -> Generator[Any, None, None]:
    """Yield what joblib's delayed `calls` return, made in worker processes, `workers` at a time.

    `calls` is asked for the next one only when a worker is free for it, from another thread.

    Raises:
        WorkerKilledError: a worker process was killed; the others are ended.
    """
    from joblib import Parallel, parallel_config
    from joblib.externals.loky import BrokenProcessPool

    results: Any = ()
    try:
        # Two at least, since joblib would run the only one here, where nobody outlives it. How
        # many have a run is settled by what is dispatched: one by one, since a run lasts minutes,
        # and what waits can be called off.
        settings = {"backend": "loky", "n_jobs": max(2, workers), "inner_max_num_threads": 1}
        # From its first moment, for a worker that has no run yet would wait for one for minutes.
        start = {"initializer": die_with, "initargs": (os.getpid(),)}
        with parallel_config(**settings, **start), _deaf_children():
            pool = Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch=workers)
            results = pool(calls)
        # Not `yield from`: ended early, joblib would warn of what is known here.
        for outcome in results:  # noqa: UP028
            yield outcome
    except BrokenProcessPool as error:
        end_workers(results)
        raise WorkerKilledError(KILLED) from error
    except BaseException:
        end_workers(results)
        raise


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Let processes that are started now not hear what the terminal sends to all, from the first.

    A mask is inherited, a handler is not. What comes meanwhile this process hears afterwards.
    """
    if os.name == "nt":
        yield
        return
    left_to_us = {number for number in SIGNALS if number != signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, left_to_us)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_workers(results: Any) -> None:
    """Kill the workers now; without this the pool would wait for their runs to end."""
    from joblib.externals.loky import get_reusable_executor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joblib tells what was called off; that is known here
        if hasattr(results, "close"):
            results.close()
        # The line above does it, unless the interrupt came while joblib was still dispatching.
        get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)


def _run_in_worker(job: Job, command: str, stop_file: Path) -> RunRow | Left:
    stop = WorkerStop(stop_file)
    if stop.asked():
        return Left(job.name, "stopped")
    return outcome_of(job, FileWatcher(job), command, stop)


def die_with(parent: int) -> None:
    """Let this process end, wherever it is, as soon as its parent is gone.

    The next command will go on from the checkpoint.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os._exit(1)

    if os.name != "nt":  # there, the pool's pipes end the workers
        threading.Thread(target=watch, daemon=True).start()
