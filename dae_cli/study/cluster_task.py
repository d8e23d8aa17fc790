"""What happens on a worker of a Dask cluster: a job at a time, in a process beside the worker.

A task runs in a thread of the worker, beside the thread that talks to the scheduler. Whoever ends
the worker, or wants the task no longer, is seen in the worker's own state: then the process is
asked to stop. The scheduler takes a task back when its command is gone, even killed.
"""

from __future__ import annotations

import multiprocessing
import pickle
import threading
import time
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import dae_cli
from dae_cli.data.cache import sound_entry
from dae_cli.data.dataset import Prepared
from dae_cli.data.datasets import PHOTOGRAPHS, spec_of
from dae_cli.data.sources import DataOptions, prepare
from dae_cli.errors import DaeError, DataError
from dae_cli.files import HeldError, file_lock
from dae_cli.machine import version_of
from dae_cli.stopping import StopRequest
from dae_cli.study.processes import Make, Processes
from dae_cli.study.progress import SendingWatcher, Watcher
from dae_cli.study.run.job import Job, Unfinished
from dae_cli.study.run.provenance import INSTALLED, commit, known
from dae_cli.training.version import NUMERICS_VERSION

LOOK_SECONDS = 0.2
"""Between two looks whether a task is still wanted."""
PROGRESS_SECONDS = 1.0
"""Between two messages of how far a job is."""
_ENDING = ("stopping", "stopped", "closing", "closing_gracefully", "closed", "failed")
_ONE_AT_A_TIME = threading.Lock()
"""However many threads a worker was started with: a job takes a whole core."""


@dataclass(frozen=True)
class Requirements:
    """What the command asks of each worker."""

    versions: str
    """Of all that must be the same in every process that makes jobs of one study."""
    packages: tuple[str, ...]
    """Whose versions are among them."""
    lock: Path
    """A file in the folder of the runs, whose lock the command holds."""


@dataclass(frozen=True)
class Task:
    """A job for a worker."""

    job: Job
    make: bytes
    """Pickled, so that the worker itself imports nothing for it, torch least of all."""
    required: Requirements
    data_dir: Path | None
    topic: str
    """Of the messages about progress."""


@dataclass(frozen=True)
class WorkerMismatch:
    """In place of a result: this worker cannot make the job."""

    why: str


def versions_here(packages: tuple[str, ...]) -> str:
    """Return the versions of this process; the packages are not imported for it."""
    ours = f"numerics {NUMERICS_VERSION}, commit {known(commit()) or INSTALLED}"
    others = (f"{name} {version_of(name)}" for name in packages)
    return ", ".join([f"dae {dae_cli.__version__} ({ours})", *others])


def mismatch(required: Requirements) -> str:
    """Return why this process cannot make jobs for the command; empty if it can."""
    if (here := versions_here(required.packages)) != required.versions:
        return f"has {here}, the command has {required.versions}; install the same on both"
    folder = required.lock.parent
    if not required.lock.exists():
        return (
            f"does not see what the command wrote to {folder}; the folder of the results must be "
            "one that all machines share; choose it with --out"
        )
    try:
        with file_lock(required.lock):
            return f"does not see the command's lock in {folder}; its file system must have locks"
    except HeldError:
        return ""
    except DaeError as error:
        return f"cannot write where the results are: {error}"


def make_on_worker(task: Task) -> Any:
    """Make a job as soon as this worker makes no other; return its result or WorkerMismatch.

    Not wanted here any longer, the job ends with a checkpoint and is `Unfinished`.
    """
    from distributed import get_worker

    worker: Any = get_worker()
    key = worker.get_current_task()

    def is_wanted() -> bool:
        state = worker.state.tasks.get(key)
        cancelled = state is None or state.state == "cancelled"
        return not cancelled and worker.status.name not in _ENDING

    while not _ONE_AT_A_TIME.acquire(timeout=LOOK_SECONDS):
        if not is_wanted():
            return Unfinished(task.job.name, "stopped")
    try:
        # The command has asked before, but workers come and go.
        if why := mismatch(task.required):
            return WorkerMismatch(why)
        # A nanny starts its workers as daemons, to which multiprocessing denies children.
        multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
        with closing(Processes(SendingWatcher(_Topic(worker, task.topic).send))) as processes:
            processes.start(task.job, partial(_make_with_local_data, task.make, task.data_dir))
            while True:
                for _, result in processes.results(LOOK_SECONDS):
                    return result
                if not is_wanted():
                    processes.stop()
    except DaeError as error:
        return WorkerMismatch(str(error))
    finally:
        _ONE_AT_A_TIME.release()


class _Topic:
    """Sends messages to the command, by way of the scheduler; not more of a job than it shows."""

    def __init__(self, worker: Any, name: str) -> None:
        self._worker, self._name = worker, name
        self._next = 0.0

    def send(self, message: tuple[Any, ...]) -> None:
        if message[0] == "moved":
            if time.monotonic() < self._next:
                return
            self._next = time.monotonic() + PROGRESS_SECONDS
        self._worker.log_event(self._name, pickle.dumps(message))


def _make_with_local_data(
    pickled: bytes, data_dir: Path | None, job: Job, watcher: Watcher, stop: StopRequest
) -> Any:
    """Make a job with the data that this machine has.

    Raises:
        DaeError: it has other data, or not the engine.
    """
    from dae_cli.engines.engine import chosen_device, engine_for

    engine_for(job.engine, chosen_device(job.device))
    make: Make = pickle.loads(pickled)
    return make(replace(job, data=local_data(job.data, data_dir)), watcher, stop)


def local_data(data: Prepared, data_dir: Path | None) -> Prepared:
    """Return the same content as this machine has it: in the shared cache, or prepared here.

    Photographs are those that a path names on every machine, or those that dae comes with.

    Raises:
        DataError: what can be had here has another digest, or nothing can.
    """
    photographs = data.name == PHOTOGRAPHS
    entry = None if photographs else sound_entry(data.path, spec_of(data.name))
    if entry and (entry.sha256, entry.origin) == (data.sha256, data.origin):
        return data
    folder = data_dir if data_dir and data_dir.is_dir() else None
    photos = data.path if data.origin == "own" and data.path.is_dir() else None
    prepared = prepare(data.name, DataOptions(folder, data.origin, True, photos))
    if prepared.sha256 != data.sha256:
        remedy = "a shared --data-dir, or DAE_CACHE_DIR on a shared disk"
        if photographs:
            remedy = "a folder that all share, named with --photos"
        raise DataError(
            f"has {data.name} with SHA-256 {prepared.sha256[:12]}… ({prepared.source}), the "
            f"command's has {data.sha256[:12]}… ({data.source}); give all machines the same "
            f"files: {remedy}"
        )
    return replace(prepared, source=data.source, trust=data.trust)
