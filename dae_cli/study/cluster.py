"""Run jobs on the workers of a Dask cluster, which share the results folder with the command.

The scheduler assigns jobs to workers. If a worker is lost, another one resumes its job from the
checkpoint in the shared folder. On a worker, a task starts a process for the job and watches the
worker's state: if the worker shuts down or the task is cancelled, the task stops the process. When
the command ends, even by SIGKILL, the scheduler cancels its tasks.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import pickle
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import dae_cli
from dae_cli.data.cache import sound_entry
from dae_cli.data.dataset import Prepared
from dae_cli.data.datasets import PHOTOGRAPHS, spec_of
from dae_cli.data.sources import DataOptions, prepare
from dae_cli.errors import ConfigError, DaeError, DataError, plain
from dae_cli.files import HeldError, file_lock
from dae_cli.machine import version_of
from dae_cli.stopping import StopRequest
from dae_cli.study.processes import Killed, Processes, RunJob
from dae_cli.study.progress import SendingWatcher, Watcher, receive
from dae_cli.study.run.job import LOCK, Job, Unfinished, hidden
from dae_cli.study.run.provenance import INSTALLED, commit, known
from dae_cli.training.version import NUMERICS_VERSION

ANSWER_SECONDS = 6
"""Timeout of each step of connecting: the connection, the greeting, the server's identity."""
POLL_SECONDS = 0.2
"""Interval at which a worker checks whether its task is still wanted."""
ENDING_SECONDS = 30.0
"""Time that jobs have to save a checkpoint when they are asked to stop."""
_ONE_AT_A_TIME = threading.Lock()
"""Held by the task whose job runs: a job uses a whole core, but a worker may have many threads."""


class ClusterError(DaeError):
    """The cluster cannot be reached, has no workers, or was lost."""


class WorkerMismatchError(ConfigError):
    """A worker cannot run the jobs (exit code 2); the message names the worker."""


# In the command


class Cluster:
    """A Dask cluster on which `distribute` runs jobs; call `require` before the first job."""

    def __init__(self, client: Any, address: str, watcher: Watcher, data_dir: Path | None) -> None:
        self._client, self._address, self._watcher = client, address, watcher
        self._data_dir = data_dir.absolute() if data_dir else None
        self._topic = f"dae-{secrets.token_hex(8)}"
        self._progress: SimpleQueue[bytes] = SimpleQueue()
        self._required: tuple[dict[str, str], Path] | None = None
        """Versions, and a file in the jobs' folder that the command has locked."""
        self.lock = ExitStack()
        """Lock on that file, by which workers recognize the folder; leaving it removes the file."""
        self._running: dict[str, tuple[Job, RunJob, Any]] = {}
        self._workers: dict[str, int] = {}
        self._update_workers()
        if not self._workers:
            raise ClusterError(
                f"--scheduler {address}: this scheduler has no workers; start one per core with "
                f"`dask worker {address} --nthreads 1`"
            )
        for worker, threads in self._workers.items():
            if threads > 1:
                watcher.note(f"{worker}: has {threads} threads, but dae uses only one")
        # Dask calls this in another thread.
        client.subscribe_topic(self._topic, lambda event: self._progress.put(event[1]))

    @property
    def size(self) -> int:
        """Number of jobs that can run at a time: one per worker."""
        return len(self._workers)

    @property
    def running(self) -> int:
        """Number of jobs that are running."""
        return len(self._running)

    def require(self, folder: Path, *packages: str) -> None:
        """Check that every worker sees the jobs' folder and its locks, and has the same versions.

        The versions are those of dae, torch and `packages`. Raises WorkerMismatchError.
        """
        lock = hidden(folder.absolute() / f"cluster-{secrets.token_hex(8)}", LOCK)
        self.lock.enter_context(file_lock(lock))
        self._required = _versions_here(("torch", *packages)), lock
        with self._or_lost():
            answers = self._client.run(_mismatch, *self._required, on_error="return")
        if unfit := [f"{worker}: {why}" for worker, why in sorted(answers.items()) if why]:
            raise WorkerMismatchError("\n".join(unfit))

    def start(self, job: Job, run_job: RunJob) -> None:
        """Submit a job; paths are made absolute because workers run in another directory."""
        absolute = replace(job, data=replace(job.data, path=job.data.path.absolute()))
        # Pickled so that the worker itself does not import torch and other modules of the job.
        local = partial(_run_with_local_data, pickle.dumps(run_job), self._data_dir)
        assert self._required
        with self._or_lost():
            future = self._client.submit(
                _run_on_worker,
                absolute,
                local,
                self._topic,
                *self._required,
                key=f"{job.name}-{secrets.token_hex(4)}",
                pure=False,
            )
        self._running[job.name] = job, run_job, future

    def results(self, seconds: float) -> Iterator[tuple[Job, Any]]:
        """Wait up to `seconds` for news; yield the jobs that ended, with their results.

        A job whose worker stopped or was lost is submitted again. Raises WorkerMismatchError if a
        worker cannot run its job, for example one that joined later.
        """
        self._update_workers()
        ended = [entry for entry in self._running.values() if entry[2].status != "pending"]
        if not ended:
            time.sleep(seconds)
        while not self._progress.empty():
            receive(pickle.loads(self._progress.get()), self._watcher)
        for job, run_job, future in ended:
            del self._running[job.name]
            result = self._result(future)
            if result is None or (isinstance(result, Unfinished) and result.why == "stopped"):
                self.start(job, run_job)
            else:
                yield job, result

    def stop(self) -> None:
        """Ask all jobs to save a checkpoint and end; wait for them up to `ENDING_SECONDS`."""
        jobs = [job for job, _, _ in self._running.values()]
        self.close()
        end = time.monotonic() + ENDING_SECONDS
        while any(job.is_held() for job in jobs) and time.monotonic() < end:
            time.sleep(0.1)

    def close(self) -> None:
        """Release all tasks, so that the workers stop the jobs."""
        for _, _, future in self._running.values():
            future.release()
        self._running.clear()

    def _result(self, future: Any) -> Any:
        """Return the result of a task that has ended; None if the result is lost."""
        from distributed.scheduler import KilledWorker

        # Lost with its worker, or with the scheduler, which `_update_workers` checks next.
        if future.status in ("cancelled", "lost"):
            return None
        with self._or_lost():
            if future.status != "error":
                return future.result()
            error = future.exception()
        if isinstance(error, KilledWorker):
            why = "its worker was killed repeatedly, perhaps because the memory ran out"
            return Killed(why, final=True)
        self.stop()
        raise error

    def _update_workers(self) -> None:
        """Update the list of workers; raise ClusterError if the scheduler is gone."""
        with self._or_lost():
            if self._client.status != "running":
                raise ConnectionError
            now = dict(self._client.nthreads())
        if self._workers and not now:
            self._watcher.note(f"{self._address}: no worker is left; waiting for one")
        self._workers = now

    @contextmanager
    def _or_lost(self) -> Iterator[None]:
        """Raise ClusterError for what the client raises when it has lost its scheduler."""
        from distributed import CancelledError

        try:
            yield
        except (OSError, TimeoutError, CancelledError) as error:
            self.stop()
            raise ClusterError(
                f"lost the connection to the Dask scheduler {self._address}; run the same command "
                "again when it is back, to resume the runs from their checkpoints"
            ) from error


# The connection


@contextmanager
def connected(address: str, watcher: Watcher, data_dir: Path | None = None) -> Iterator[Cluster]:
    """Connect to the Dask scheduler at an address such as tcp://HOST:8786.

    Workers that see the folder `data_dir` use its data files as well.

    Raises:
        ConfigError: the address is malformed or not that of a Dask scheduler, or
            dask[distributed] is not installed.
        ClusterError: there is no answer, or the scheduler has no workers.
    """
    client = _client(address)
    try:
        cluster = Cluster(client, address, watcher, data_dir)
        with cluster.lock:
            yield cluster
    finally:
        with suppress(Exception):  # the results have arrived, and the scheduler may be gone
            client.close(timeout=2)


def _client(address: str) -> Any:
    parts = re.fullmatch(r"(tcp|tls|ws|wss|ucx)://(\[[^\]]+\]|[^:/]+):(\d{1,5})", address)
    if not parts:
        raise ConfigError(
            f"--scheduler {address}: not the address of a Dask scheduler; expected one such as "
            "tcp://HOST:8786, which `dask scheduler` prints"
        )
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError(
            f"--scheduler needs Dask, which is not installed ({error}); run "
            "pip install '.[cluster]' in dae's source folder, here and on all workers"
        ) from error
    for name in logging.root.manager.loggerDict:  # dae reports lost workers itself
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    scheme, host, port = parts.groups()
    try:
        # Without these checks, the client would retry a closed port until its timeout, wait
        # forever for a service with another protocol, and print a traceback if it finds a worker.
        there = host.strip("[]"), int(port)
        with socket.create_connection(there, timeout=ANSWER_SECONDS) as connection:
            if scheme == "tcp":
                _require_dask(connection)
        who = asyncio.run(_identity(address))
        if "workers" not in who:
            raise ValueError(f"a Dask {who['type']} answers")
        connect: Any = Client
        return connect(address, timeout=ANSWER_SECONDS, set_as_default=False)
    except Exception as error:
        if isinstance(error, TimeoutError):
            why = f"no answer within {ANSWER_SECONDS} seconds"
        else:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        no_answer = isinstance(error, OSError | OverflowError | UnicodeError)
        raise (ClusterError if no_answer else ConfigError)(
            f"--scheduler {address}: there is no Dask scheduler at this address "
            f"({plain(why.partition(chr(10))[0])}); pass the address that `dask scheduler` prints"
        ) from error


def _require_dask(connection: socket.socket) -> None:
    """Raise ValueError if the greeting of a service is not Dask's.

    Dask's greeting begins with the number of bytes that follow, the number of frames, and the
    lengths of the frames, in eight bytes each (distributed/comm/utils.py).
    """
    greeting = connection.makefile("rb").read(16)
    if not greeting:
        raise ConnectionError("the server closed the connection at once")
    length, frames = (int.from_bytes(greeting[at : at + 8], "little") for at in (0, 8))
    if len(greeting) < 16 or not frames or not 8 + 8 * frames <= length < 2**32:
        raise ValueError(f"the answer begins with {greeting.decode('latin-1').strip()!a}")


async def _identity(address: str) -> dict[str, Any]:
    """Return how the server identifies itself: as a scheduler, a worker, a nanny, …"""
    import distributed

    security: Any = distributed.Security
    rpc: Any = distributed.rpc
    arguments = security().get_connection_args("client")
    async with (
        asyncio.timeout(ANSWER_SECONDS),
        rpc(address, timeout=ANSWER_SECONDS, connection_args=arguments) as server,
    ):
        return dict(await server.identity())


# On the worker


def _versions_here(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions that must agree in all processes that run jobs of one study.

    The packages are not imported.
    """
    commit_here = known(commit()) or INSTALLED
    version = f"{dae_cli.__version__} (numerics {NUMERICS_VERSION}, commit {commit_here})"
    return {**{name: version_of(name) for name in packages}, "dae": version}


def _mismatch(versions: Mapping[str, str], lock: Path) -> str:
    """Return why this process cannot run the command's jobs; empty if it can."""
    for name, here in _versions_here(versions).items():
        if here != versions[name]:
            there = versions[name]
            return f"has {name} {here}, but the command has {there}; install the same on both"
    folder = lock.parent
    if not lock.exists():
        return f"does not see {folder}; pass a folder that all machines share with --out"
    try:
        with file_lock(lock):
            return f"does not see the command's lock in {folder}; its file system must have locks"
    except HeldError:
        return ""
    except DaeError as error:
        return f"cannot write to the results folder: {error}"


def _run_on_worker(
    job: Job, run_job: RunJob, topic: str, versions: Mapping[str, str], lock: Path
) -> Any:
    """Run a job once this worker runs no other, and return its result.

    If the task is cancelled, the job saves a checkpoint and the result is `Unfinished`. Raises
    WorkerMismatchError.
    """
    from distributed import get_worker

    worker: Any = get_worker()
    key = worker.get_current_task()

    def is_wanted() -> bool:
        state = worker.state.tasks.get(key)
        cancelled = state is None or state.state == "cancelled"
        return not cancelled and worker.status.name in ("running", "paused")

    def send(message: tuple[Any, ...]) -> None:
        worker.log_event(topic, pickle.dumps(message))

    while not _ONE_AT_A_TIME.acquire(timeout=POLL_SECONDS):
        if not is_wanted():
            return Unfinished(job.name, "stopped")
    try:
        # `require` has checked the first workers, but this one may have joined later.
        if why := _mismatch(versions, lock):
            raise DaeError(why)
        # A nanny starts its workers as daemons, which multiprocessing allows no children.
        multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
        with closing(Processes(SendingWatcher(send))) as processes:
            processes.start(job, run_job)
            while True:
                for _, result in processes.results(POLL_SECONDS):
                    return result
                if not is_wanted():
                    processes.stop()
    except DaeError as error:
        raise WorkerMismatchError(f"{worker.address}: {error}") from error
    finally:
        _ONE_AT_A_TIME.release()


def _run_with_local_data(
    pickled: bytes, data_dir: Path | None, job: Job, watcher: Watcher, stop: StopRequest
) -> Any:
    """Run a job with this machine's data; raises DaeError if they or the engine do not match."""
    from dae_cli.engines.engine import chosen_device, engine_for

    engine_for(job.engine, chosen_device(job.device))
    run_job: RunJob = pickle.loads(pickled)
    return run_job(replace(job, data=_local_data(job.data, data_dir)), watcher, stop)


def _local_data(data: Prepared, data_dir: Path | None) -> Prepared:
    """Return the same data from this machine: from the shared cache, or prepared here.

    Photographs come from a path that all machines share, or from the packages that dae needs.
    Raises DataError if the data are not available or have another digest.
    """
    if data.name != PHOTOGRAPHS:
        entry = sound_entry(data.path, spec_of(data.name))
        if entry and (entry.sha256, entry.origin) == (data.sha256, data.origin):
            return data
    folder = data_dir if data_dir and data_dir.is_dir() else None
    photos = data.path if data.origin == "own" and data.path.is_dir() else None
    prepared = prepare(data.name, DataOptions(folder, data.origin, True, photos))
    if prepared.sha256 != data.sha256:
        raise DataError(
            f"has {data.name} with SHA-256 {prepared.sha256[:12]}… ({prepared.source}), but the "
            f"command has {data.sha256[:12]}… ({data.source}); give all machines the same files: "
            "use a shared --data-dir or --photos, or put DAE_CACHE_DIR on a shared disk"
        )
    return replace(prepared, source=data.source, trust=data.trust)
