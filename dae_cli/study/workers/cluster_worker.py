"""What happens on a worker of a Dask cluster: whether it fits, a run at a time, and when to stop.

A task runs in a thread of the worker, beside the thread that talks to the scheduler. So no signal
is listened to here: whoever ends a worker, or calls off a task, is seen in the worker's own state.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import dae_cli
from dae_cli.data.cache import sound_entry
from dae_cli.data.dataset import Prepared
from dae_cli.data.datasets import PHOTOGRAPHS, spec_of
from dae_cli.data.sources import DataOptions, prepare
from dae_cli.errors import DaeError, DataError
from dae_cli.files import HeldError, file_lock
from dae_cli.machine import version_of
from dae_cli.stopping import LOOK_SECONDS, Stop
from dae_cli.study.rows import RunRow
from dae_cli.study.run.job import Job
from dae_cli.study.run.provenance import INSTALLED, commit, known
from dae_cli.study.run.run import Unfinished, run_job
from dae_cli.training.version import NUMERICS_VERSION

T = TypeVar("T")

_ENDING = ("stopping", "stopped", "closing", "closing_gracefully", "closed", "failed")
_ALONE = threading.Lock()
"""Held by the one call at a time, however many threads a worker was started with: the number of
threads of BLAS and torch is the whole process's."""


@dataclass(frozen=True)
class Versions:
    """What must be the same in every process that makes runs of one study."""

    dae: str
    numerics: int
    torch: str
    commit: str

    @classmethod
    def here(cls) -> Versions:
        """Those of this process; torch is not imported for it."""
        commit_or_not = known(commit()) or INSTALLED
        return cls(dae_cli.__version__, NUMERICS_VERSION, version_of("torch"), commit_or_not)

    def __str__(self) -> str:
        return (
            f"dae {self.dae} (numerics {self.numerics}, commit {self.commit}), torch {self.torch}"
        )


def nothing_more() -> str:
    """Ask nothing else of a worker."""
    return ""


@dataclass(frozen=True)
class Requirements:
    """What the command asks of each worker."""

    versions: Versions
    probe: Path
    """A file in the folder of the runs, there as long as the command is."""
    text: str
    """What is in it."""
    lock: Path
    """A file beside it whose lock the command holds."""
    also: Callable[[], str] = nothing_more
    """Whatever else: returns why this process does not fit."""


@dataclass(frozen=True)
class Unfit:
    """In place of a result: this worker cannot do what it was given."""

    why: str


@dataclass(frozen=True)
class CalledOff:
    """In place of a result: it was to stop before its end."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """Something to be called on a worker; all in it can be pickled."""

    name: str
    function: Callable[[Stop], T]
    """Is given what tells it to stop; raises DaeError only where another worker might do it."""
    stop_file: Path
    """Appears in the shared folder when the command wants all to stop."""


def unfitness(required: Requirements) -> str:
    """Return why this process cannot make runs for the command; empty if it can."""
    if (found := Versions.here()) != required.versions:
        return f"has {found}, the command has {required.versions}; install the same on both"
    folder = required.probe.parent
    shared = "the folder of the results must be one that all machines share; choose it with --out"
    try:
        text = required.probe.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return f"does not see what the command wrote to {folder} ({reason}); {shared}"
    if text != required.text:
        return f"sees something else in {folder} than the command; {shared}"
    try:
        with file_lock(required.lock):
            return f"does not see the command's lock in {folder}; its file system must have locks"
    except HeldError:
        return required.also()
    except DaeError as error:
        return f"cannot write where the results are: {error}"


def on_worker(call: Call[T], required: Requirements) -> T | Unfit | CalledOff:
    """Do what a task does: make sure that this worker fits, then call, one call at a time."""
    stop = TaskStop(call.stop_file)
    while not _ALONE.acquire(timeout=LOOK_SECONDS):
        if stop.asked():
            return CalledOff()
    try:
        if stop.asked():
            return CalledOff()
        # Again, though the command has asked: workers come and go.
        if why := unfitness(required):
            return Unfit(why)
        return call.function(stop)
    except DaeError as error:
        return Unfit(str(error))
    finally:
        _ALONE.release()


class TaskStop:
    """Asked to stop by the command's file, by a worker that ends, or since nobody wants the task.

    The scheduler takes a task back when its command is gone, killed even.
    """

    def __init__(self, file: Path) -> None:
        from distributed import get_worker

        self._file = file
        self._worker: Any = get_worker()
        self._key = self._worker.get_current_task()
        self._number = 0
        self._next_look = 0.0

    def asked(self) -> int:
        """Return SIGTERM's number once it is to stop, else 0."""
        now = time.monotonic()
        if not self._number and now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            if self._worker_ends() or self._is_taken_back() or self._file.exists():
                self._number = signal.SIGTERM
        return self._number

    def deferred(self) -> AbstractContextManager[None]:
        """Change nothing: no signal is heard here."""
        return nullcontext()

    def _worker_ends(self) -> bool:
        return self._worker.status.name in _ENDING

    def _is_taken_back(self) -> bool:
        task = self._worker.state.tasks.get(self._key)
        return task is None or task.state == "cancelled"


def make_run(
    job: Job, command: str, data_dir: Path | None, stop: Stop
) -> RunRow | Unfinished | CalledOff:
    """Make a run with the data that this worker has; progress goes into the shared folder.

    Returns CalledOff where it was stopped and has kept a checkpoint, from which it can go on.

    Raises:
        DaeError: this worker has other data, or not the engine.
    """
    from dae_cli.study.workers.files import FileWatcher

    own = as_here(job, data_dir)
    ended = run_job(own, FileWatcher(own), command, stop)
    return CalledOff() if isinstance(ended, Unfinished) and ended.why == "stopped" else ended


def as_here(job: Job, data_dir: Path | None) -> Job:
    """Return the job with the data that this worker has; its engine is to be had here.

    Raises:
        DaeError: this worker has other data, or not the engine.
    """
    from dae_cli.engines.engine import chosen_device, engine_for

    engine_for(job.engine, chosen_device(job.device))
    return replace(job, data=own_data(job.data, data_dir))


def own_data(data: Prepared, data_dir: Path | None) -> Prepared:
    """Return the same content as this machine has it: in the shared cache, or prepared here.

    Photographs are those that a path names on every machine, or those that dae comes with.

    Raises:
        DataError: what can be had here has another digest, or nothing can.
    """
    photographs = data.name == PHOTOGRAPHS
    known = None if photographs else sound_entry(data.path, spec_of(data.name))
    if known and (known.sha256, known.origin) == (data.sha256, data.origin):
        return data
    folder = data_dir if data_dir and data_dir.is_dir() else None
    photos = data.path if data.origin == "own" and data.path.is_dir() else None
    found = prepare(data.name, DataOptions(folder, data.origin, True, photos))
    if found.sha256 != data.sha256:
        remedy = "a shared --data-dir, or DAE_CACHE_DIR on a shared disk"
        if photographs:
            remedy = "a folder that all share, named with --photos"
        raise DataError(
            f"has {data.name} with SHA-256 {found.sha256[:12]}… ({found.source}), the command's "
            f"has {data.sha256[:12]}… ({data.source}); give all machines the same files: {remedy}"
        )
    return replace(found, source=data.source, trust=data.trust)
