"""The workers of a Dask cluster, which share the folder of the results with the command.

The scheduler gives out the jobs, and gives one whose worker is gone to another, which goes on from
the checkpoint in the shared folder.
"""

from __future__ import annotations

import pickle
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from dae_cli.errors import ConfigError, DaeError
from dae_cli.files import file_lock
from dae_cli.study.cluster_task import (
    Requirements,
    Task,
    WorkerMismatch,
    make_on_worker,
    mismatch,
    versions_here,
)
from dae_cli.study.processes import Killed, Make
from dae_cli.study.progress import Watcher, receive
from dae_cli.study.run.job import LOCK, Job, Unfinished, hidden

EVERY_WORKER = sys.maxsize
"""Jobs at a time: as many as there are workers, those that come later too."""
LOOK_SECONDS = 5.0
"""Between two looks at which workers there are."""
ENDING_SECONDS = 30.0
"""In which jobs save a checkpoint when they are asked to stop."""
LOST = (
    "the connection to the Dask scheduler {address} is lost; the runs keep their checkpoints, and "
    "the same command goes on from there when the scheduler is back"
)
KILLED = Killed(
    "its worker was killed again and again, perhaps because the memory ran out", final=True
)


class ClusterError(DaeError):
    """The cluster is not there, or no longer."""


class WorkerMismatchError(ConfigError):
    """A worker cannot take part (exit code 2); the message names it."""


class Cluster:
    """A Dask cluster as a place for `distribute`."""

    def __init__(
        self, client: Any, address: str, watcher: Watcher, data_dir: Path | None = None
    ) -> None:
        self._client = client
        self._address = address
        self._watcher = watcher
        self._data_dir = data_dir.absolute() if data_dir else None
        self._required: Requirements | None = None
        self._topic = f"dae-{secrets.token_hex(8)}"
        self._progress: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        self._lock = ExitStack()
        self._workers: dict[str, int] = {}
        self._looked = 0.0
        self._running: dict[str, tuple[Job, Make, Any]] = {}

    def __enter__(self) -> Cluster:
        """Look which workers there are."""
        self._look_after()
        if not self._workers:
            raise ClusterError(
                f"--scheduler {self._address}: has no workers; start some with "
                f"`dask worker {self._address} --nthreads 1`, one for each core"
            )
        for worker, threads in self._workers.items():
            if threads > 1:
                self._watcher.note(
                    f"{worker}: has {threads} threads, of which one is used; start it with "
                    f"--nworkers {threads} --nthreads 1 to use all"
                )
        self._client.subscribe_topic(self._topic, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what was written to see whether the workers see it."""
        self._lock.close()

    @property
    def size(self) -> int:
        """Jobs that can be made at a time: one a worker."""
        return len(self._workers)

    def require(self, folder: Path, *packages: str) -> None:
        """Make sure that every worker sees the folder, its locks too, and has the same versions.

        Args:
            folder: where the jobs have their folders.
            packages: what jobs need besides torch.

        Raises:
            WorkerMismatchError: some do not; the message names each.
            ClusterError: the scheduler is gone.
        """
        self._lock.close()
        lock = hidden(folder.absolute() / f"cluster-{secrets.token_hex(8)}", LOCK)
        self._lock.enter_context(file_lock(lock))
        names = ("torch", *packages)
        required = Requirements(versions_here(names), names, lock)
        with self._or_lost():
            answers = self._client.run(mismatch, required, on_error="return")
        if unfit := [f"{worker}: {_text(why)}" for worker, why in sorted(answers.items()) if why]:
            raise WorkerMismatchError("\n".join(unfit))
        self._required = required

    @property
    def running(self) -> int:
        """Jobs that are being made."""
        return len(self._running)

    def start(self, job: Job, make: Make) -> None:
        """Make a job in a process beside a worker; `require` comes before."""
        assert self._required
        # A worker has a folder of its own to work in.
        absolute = replace(job, data=replace(job.data, path=job.data.path.absolute()))
        task = Task(absolute, pickle.dumps(make), self._required, self._data_dir, self._topic)
        with self._or_lost():
            key = f"{job.name}-{secrets.token_hex(4)}"
            future = self._client.submit(make_on_worker, task, key=key, pure=False)
        self._running[job.name] = job, make, future

    def results(self, seconds: float) -> Iterator[tuple[Job, Any]]:
        """Wait for news, at most so many seconds; yield the jobs that ended, and their results.

        A job whose worker ended before it, or is lost, is given to another one.

        Raises:
            WorkerMismatchError: a worker cannot do it, such as one that came later.
            ClusterError: the scheduler is gone.
        """
        self._look_after()
        ended = [entry for entry in self._running.values() if entry[2].status != "pending"]
        if not ended:
            time.sleep(seconds)
        while not self._progress.empty():
            receive(self._progress.get(), self._watcher)
        for job, make, future in ended:
            del self._running[job.name]
            result = self._result(future)
            if result is None or (isinstance(result, Unfinished) and result.why == "stopped"):
                self.start(job, make)
            else:
                yield job, result

    def stop(self) -> None:
        """Ask all jobs to save a checkpoint and end; wait until they have, though not for ever."""
        jobs = [job for job, _, _ in self._running.values()]
        self.close()
        end = time.monotonic() + ENDING_SECONDS
        while any(job.is_held() for job in jobs) and time.monotonic() < end:
            time.sleep(0.1)

    def close(self) -> None:
        """Let the workers know that no job is wanted any longer, so that they stop them."""
        for _, _, future in self._running.values():
            future.release()
        self._running.clear()

    def _hear(self, event: tuple[float, bytes]) -> None:
        """Take a message of progress; called in another thread."""
        self._progress.put(pickle.loads(event[1]))

    def _result(self, future: Any) -> Any:
        """Return the result of a task that has ended; None if it is lost."""
        from distributed.scheduler import KilledWorker

        if future.status in ("cancelled", "lost"):  # with a worker that had the result, or with
            return None  # the scheduler; whether that is there is looked at next
        worker = ""
        with self._or_lost():
            if future.status == "error":
                error = future.exception()
                if isinstance(error, KilledWorker):
                    return KILLED
                raise error
            worker = next(iter(self._client.who_has([future]).get(future.key, ())), "a worker")
            result = future.result()
        if isinstance(result, WorkerMismatch):
            self.stop()
            raise WorkerMismatchError(f"{worker}: {result.why}")
        return result

    def _look_after(self) -> None:
        """Look now and then who works here, and whether the scheduler is there."""
        if self._client.status != "running":
            self.stop()
            raise ClusterError(LOST.format(address=self._address))
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        with self._or_lost():
            now = dict(self._client.nthreads())
        if self._workers and not now:
            self._watcher.note(f"{self._address}: no worker is left; waiting for one")
        self._workers, self._looked = now, time.monotonic()

    @contextmanager
    def _or_lost(self) -> Iterator[None]:
        """Turn what the client raises without its scheduler into words."""
        from distributed import CancelledError

        try:
            yield
        except (OSError, TimeoutError, CancelledError) as error:
            self.stop()
            raise ClusterError(LOST.format(address=self._address)) from error


def _text(answer: object) -> str:
    if isinstance(answer, ModuleNotFoundError):
        return f"cannot import {answer.name}; install dae in the environment of the workers"
    return f"{type(answer).__name__}: {answer}" if isinstance(answer, Exception) else str(answer)
