"""The workers of a Dask cluster, which share the folder of the results with the command.

The scheduler gives out the jobs, and gives one whose worker is gone to another, which goes on from
the checkpoint in the shared folder. On the worker a task starts the job's process; whoever ends the
worker, or wants the task no longer, is seen in the worker's own state, and the process is stopped.
The scheduler takes a task back when its command is gone, even killed.
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
from dae_cli.study.processes import Killed, Make, Processes
from dae_cli.study.progress import SendingWatcher, Watcher, receive
from dae_cli.study.run.job import LOCK, Job, Unfinished, hidden
from dae_cli.study.run.provenance import INSTALLED, commit, known
from dae_cli.training.version import NUMERICS_VERSION

ANSWER_SECONDS = 6
"""In which there is a connection, then a greeting, then an answer to who it is."""
POLL_SECONDS = 0.2
"""Between two looks of a worker whether its task is still wanted."""
ENDING_SECONDS = 30.0
"""In which jobs save a checkpoint when they are asked to stop."""
_ONE_AT_A_TIME = threading.Lock()
"""However many threads a worker was started with: a job takes a whole core."""


class ClusterError(DaeError):
    """The cluster is not there, or no longer."""


class WorkerMismatchError(ConfigError):
    """A worker cannot take part (exit code 2); the message names it."""


# The command's end


class Cluster:
    """A Dask cluster as a place for `distribute`; `require` comes before the first job."""

    def __init__(self, client: Any, address: str, watcher: Watcher, data_dir: Path | None) -> None:
        self._client, self._address, self._watcher = client, address, watcher
        self._data_dir = data_dir.absolute() if data_dir else None
        self._topic = f"dae-{secrets.token_hex(8)}"
        self._progress: SimpleQueue[bytes] = SimpleQueue()
        self._required: tuple[dict[str, str], Path] | None = None
        """Versions, and a file in the jobs' folder whose lock the command holds."""
        self.lock = ExitStack()
        """Of the file by which the workers know the folder; who leaves it removes the file."""
        self._running: dict[str, tuple[Job, Make, Any]] = {}
        self._workers: dict[str, int] = {}
        self._look_after()
        if not self._workers:
            raise ClusterError(
                f"--scheduler {address}: has no workers; start some with "
                f"`dask worker {address} --nthreads 1`, one for each core"
            )
        for worker, threads in self._workers.items():
            if threads > 1:
                watcher.note(f"{worker}: has {threads} threads, of which one is used")
        # It is called in another thread.
        client.subscribe_topic(self._topic, lambda event: self._progress.put(event[1]))

    @property
    def size(self) -> int:
        """Jobs that can be made at a time: one a worker."""
        return len(self._workers)

    @property
    def running(self) -> int:
        """Jobs that are being made."""
        return len(self._running)

    def require(self, folder: Path, *packages: str) -> None:
        """Make sure that every worker sees the jobs' folder, its locks too, and has the versions.

        Those of dae, torch and the packages that jobs need besides. Raises WorkerMismatchError.
        """
        lock = hidden(folder.absolute() / f"cluster-{secrets.token_hex(8)}", LOCK)
        self.lock.enter_context(file_lock(lock))
        self._required = _versions_here(("torch", *packages)), lock
        with self._or_lost():
            answers = self._client.run(_mismatch, *self._required, on_error="return")
        if unfit := [f"{worker}: {why}" for worker, why in sorted(answers.items()) if why]:
            raise WorkerMismatchError("\n".join(unfit))

    def start(self, job: Job, make: Make) -> None:
        """Make a job in a process beside a worker, which has a folder of its own to work in."""
        absolute = replace(job, data=replace(job.data, path=job.data.path.absolute()))
        # Pickled, so that the worker itself imports nothing for it, torch least of all.
        local = partial(_make_with_local_data, pickle.dumps(make), self._data_dir)
        assert self._required
        with self._or_lost():
            future = self._client.submit(
                _make_on_worker,
                absolute,
                local,
                self._topic,
                *self._required,
                key=f"{job.name}-{secrets.token_hex(4)}",
                pure=False,
            )
        self._running[job.name] = job, make, future

    def results(self, seconds: float) -> Iterator[tuple[Job, Any]]:
        """Wait for news, at most so many seconds; yield the jobs that ended, and their results.

        A job whose worker ended before it, or is lost, is given to another one. Raises
        WorkerMismatchError where a worker cannot do it, such as one that came later.
        """
        self._look_after()
        ended = [entry for entry in self._running.values() if entry[2].status != "pending"]
        if not ended:
            time.sleep(seconds)
        while not self._progress.empty():
            receive(pickle.loads(self._progress.get()), self._watcher)
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
        """Let the workers know that no job is wanted any longer."""
        for _, _, future in self._running.values():
            future.release()
        self._running.clear()

    def _result(self, future: Any) -> Any:
        """Return the result of a task that has ended; None if it is lost."""
        from distributed.scheduler import KilledWorker

        if future.status in ("cancelled", "lost"):  # with a worker that had the result, or with
            return None  # the scheduler; whether that is there is looked at next
        with self._or_lost():
            if future.status != "error":
                return future.result()
            error = future.exception()
        if isinstance(error, KilledWorker):
            why = "its worker was killed again and again, perhaps because the memory ran out"
            return Killed(why, final=True)
        self.stop()
        raise error

    def _look_after(self) -> None:
        """Look who works here, and whether the scheduler is there."""
        with self._or_lost():
            if self._client.status != "running":
                raise ConnectionError
            now = dict(self._client.nthreads())
        if self._workers and not now:
            self._watcher.note(f"{self._address}: no worker is left; waiting for one")
        self._workers = now

    @contextmanager
    def _or_lost(self) -> Iterator[None]:
        """Turn what the client raises without its scheduler into words."""
        from distributed import CancelledError

        try:
            yield
        except (OSError, TimeoutError, CancelledError) as error:
            self.stop()
            raise ClusterError(
                f"the connection to the Dask scheduler {self._address} is lost; the runs keep "
                "their checkpoints, and the same command goes on when the scheduler is back"
            ) from error


# The connection


@contextmanager
def connected(address: str, watcher: Watcher, data_dir: Path | None = None) -> Iterator[Cluster]:
    """Connect to the Dask scheduler at an address such as tcp://HOST:8786.

    `data_dir` has the user's data files, where a worker sees it as well.

    Raises:
        ConfigError: the address is none or something else's, or dask[distributed] is not installed.
        ClusterError: nobody answers, or there is no worker.
    """
    client = _client(address)
    try:
        cluster = Cluster(client, address, watcher, data_dir)
        with cluster.lock:
            yield cluster
    finally:
        with suppress(Exception):  # what was to come of it has come, and the scheduler may be gone
            client.close(timeout=2)


def _client(address: str) -> Any:
    parts = re.fullmatch(r"(tcp|tls|ws|wss|ucx)://(\[[^\]]+\]|[^:/]+):(\d{1,5})", address)
    if not parts:
        raise ConfigError(
            f"--scheduler {address}: is no address of a Dask scheduler; expected one such as "
            "tcp://HOST:8786, as `dask scheduler` prints it"
        )
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError(
            f"--scheduler needs Dask, which is not installed ({error}): "
            "pip install '.[cluster]' where dae's source is, here and on all workers"
        ) from error
    for name in logging.root.manager.loggerDict:  # what Dask says of lost workers, dae says
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    scheme, host, port = parts.groups()
    try:
        # The client would try a port that nobody listens at for as long as it may take, wait for
        # ever for another protocol, and leave a traceback where it finds a worker.
        there = host.strip("[]"), int(port)
        with socket.create_connection(there, timeout=ANSWER_SECONDS) as connection:
            if scheme == "tcp":
                _require_dask(connection)
        who = asyncio.run(_identity(address))
        if "workers" not in who:
            raise ValueError(f"a Dask {who['type']} does")
        connect: Any = Client
        return connect(address, timeout=ANSWER_SECONDS, set_as_default=False)
    except Exception as error:
        if isinstance(error, TimeoutError):
            why = f"nothing is said in {ANSWER_SECONDS} seconds"
        else:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        nobody = isinstance(error, OSError | OverflowError | UnicodeError)
        raise (ClusterError if nobody else ConfigError)(
            f"--scheduler {address}: no Dask scheduler answers there "
            f"({plain(why.partition(chr(10))[0])}); give the address that `dask scheduler` prints"
        ) from error


def _require_dask(connection: socket.socket) -> None:
    """Refuse a service whose greeting is not Dask's.

    That begins with the number of bytes that follow, the number of frames, and their lengths
    (distributed/comm/utils.py), eight bytes each.
    """
    greeting = connection.makefile("rb").read(16)
    if not greeting:
        raise ConnectionError("the connection is closed at once")
    length, frames = (int.from_bytes(greeting[at : at + 8], "little") for at in (0, 8))
    if len(greeting) < 16 or not frames or not 8 + 8 * frames <= length < 2**32:
        raise ValueError(f"what does begins with {greeting.decode('latin-1').strip()!a}")


async def _identity(address: str) -> dict[str, Any]:
    """Return what the server says that it is: a scheduler, a worker, its nanny, …"""
    import distributed

    security: Any = distributed.Security
    rpc: Any = distributed.rpc
    arguments = security().get_connection_args("client")
    async with (
        asyncio.timeout(ANSWER_SECONDS),
        rpc(address, timeout=ANSWER_SECONDS, connection_args=arguments) as server,
    ):
        return dict(await server.identity())


# The worker's end


def _versions_here(packages: Iterable[str]) -> dict[str, str]:
    """Return what must be the same in all processes that make jobs of one study.

    The packages are not imported for it.
    """
    commit_here = known(commit()) or INSTALLED
    ours = f"{dae_cli.__version__} (numerics {NUMERICS_VERSION}, commit {commit_here})"
    return {**{name: version_of(name) for name in packages}, "dae": ours}


def _mismatch(versions: Mapping[str, str], lock: Path) -> str:
    """Return why this process cannot make jobs for the command; empty if it can."""
    for name, here in _versions_here(versions).items():
        if here != versions[name]:
            return f"has {name} {here}, the command has {versions[name]}; install the same on both"
    folder = lock.parent
    if not lock.exists():
        return f"does not see {folder}; choose a folder that all machines share with --out"
    try:
        with file_lock(lock):
            return f"does not see the command's lock in {folder}; its file system must have locks"
    except HeldError:
        return ""
    except DaeError as error:
        return f"cannot write where the results are: {error}"


def _make_on_worker(
    job: Job, make: Make, topic: str, versions: Mapping[str, str], lock: Path
) -> Any:
    """Make a job as soon as this worker makes no other, and return its result.

    Not wanted here any longer, the job ends with a checkpoint and is `Unfinished`. Raises
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
        # The command has asked before, but workers come and go.
        if why := _mismatch(versions, lock):
            raise DaeError(why)
        # A nanny starts its workers as daemons, to which multiprocessing denies children.
        multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
        with closing(Processes(SendingWatcher(send))) as processes:
            processes.start(job, make)
            while True:
                for _, result in processes.results(POLL_SECONDS):
                    return result
                if not is_wanted():
                    processes.stop()
    except DaeError as error:
        raise WorkerMismatchError(f"{worker.address}: {error}") from error
    finally:
        _ONE_AT_A_TIME.release()


def _make_with_local_data(
    pickled: bytes, data_dir: Path | None, job: Job, watcher: Watcher, stop: StopRequest
) -> Any:
    """Make a job with the data that this machine has; DaeError: it has others, or no engine."""
    from dae_cli.engines.engine import chosen_device, engine_for

    engine_for(job.engine, chosen_device(job.device))
    make: Make = pickle.loads(pickled)
    return make(replace(job, data=_local_data(job.data, data_dir)), watcher, stop)


def _local_data(data: Prepared, data_dir: Path | None) -> Prepared:
    """Return the same content as this machine has it: in the shared cache, or prepared here.

    Photographs are those that a path names on every machine, or those that dae comes with. Raises
    DataError where what can be had has another digest, or nothing can.
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
            f"has {data.name} with SHA-256 {prepared.sha256[:12]}… ({prepared.source}), the "
            f"command's has {data.sha256[:12]}… ({data.source}); give all machines the same "
            "files: a shared --data-dir or --photos, or DAE_CACHE_DIR on a shared disk"
        )
    return replace(prepared, source=data.source, trust=data.trust)
