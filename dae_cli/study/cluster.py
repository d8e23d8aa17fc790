"""Runs on the workers of a Dask cluster, which share the folder of the results with the command.

The scheduler gives out the runs, and gives a run whose worker is gone to another one. Everything
else is as with worker processes on one machine, and lies in the shared folder: checkpoints, locks,
progress, the wish to stop.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from dae_cli.errors import ConfigError, DaeError
from dae_cli.files import part_of, write_text
from dae_cli.stopping import Interrupted, SignalStop, Stop
from dae_cli.study.cluster_worker import (
    Call,
    CalledOff,
    Requirements,
    Unfit,
    Versions,
    make_run,
    on_worker,
    unfitness,
)
from dae_cli.study.locks import hold
from dae_cli.study.progress import Watcher
from dae_cli.study.rows import RunRow
from dae_cli.study.run_folder import Job, Left
from dae_cli.study.worker_files import WorkerFiles

CONNECT_SECONDS = 10
POLL_SECONDS = 0.1
LOOK_AFTER_SECONDS = 5.0
"""Between two looks at which workers there are."""
ENDING_SECONDS = 30.0
"""In which runs keep a checkpoint where the command ends for want of a cluster."""
LOST = (
    "the connection to the Dask scheduler {address} is lost; the runs keep their checkpoints, and "
    "the same command goes on from there when the scheduler is back"
)
KILLED = (
    "its worker was killed again and again, perhaps because the memory ran out; the same command "
    "goes on from the checkpoint; smaller layers or workers with more memory help"
)


class ClusterError(DaeError):
    """The cluster is not there, or no longer."""


class UnfitWorkerError(ConfigError):
    """A worker cannot take part (exit code 2); the message names it."""


class Killed:
    """In place of a result: each worker that had the call was killed, as often as is allowed."""


@contextmanager
def connected(address: str, watcher: Watcher, data_dir: Path | None = None) -> Iterator[Cluster]:
    """Connect to a Dask scheduler.

    Args:
        address: such as tcp://HOST:8786.
        watcher: hears of workers that come and go.
        data_dir: the user's data files, where a worker has them as well.

    Raises:
        ConfigError: the address is none, or dask[distributed] is not installed.
        ClusterError: nobody answers, or there is no worker.
    """
    client = _client(address)
    try:
        with Cluster(client, address, watcher, data_dir) as cluster:
            yield cluster
    finally:
        with suppress(Exception):  # what was to come of it has come, and the scheduler may be gone
            client.close(timeout=2)


class Cluster:
    """A Dask cluster, and what its workers must be."""

    def __init__(
        self, client: Any, address: str, watcher: Watcher, data_dir: Path | None = None
    ) -> None:
        self.data_dir = data_dir.absolute() if data_dir else None
        self._client = client
        self._address = address
        self._watcher = watcher
        self._required: Requirements | None = None
        self._left_at_end = ExitStack()
        self._workers: dict[str, int] = {}
        self._looked = 0.0

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
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what was written to see whether the workers see it."""
        self._left_at_end.close()

    @property
    def size(self) -> int:
        """Calls that can run at a time: one a worker."""
        return len(self._workers)

    def require(self, folder: Path) -> None:
        """Make sure that every worker sees the folder, its locks too, and has the same versions.

        Raises:
            UnfitWorkerError: some do not; the message names each.
            ClusterError: the scheduler is gone.
        """
        self._left_at_end.close()
        folder = folder.absolute()
        probe, lock = part_of(folder / "probe"), part_of(folder / "probe-lock")
        required = Requirements(Versions.here(), probe, secrets.token_hex(16), lock)
        self._left_at_end.callback(lambda: probe.unlink(missing_ok=True))
        write_text(probe, required.text)
        self._left_at_end.enter_context(hold(lock))
        with self._or_lost():
            answers = self._client.run(unfitness, required, on_error="return")
        unfit = [
            f"{worker}: {_in_words(answer)}" for worker, answer in sorted(answers.items()) if answer
        ]
        if unfit:
            raise UnfitWorkerError("\n".join(unfit))
        self._required = required

    def run(
        self,
        functions: Mapping[str, Callable[[Stop], Any]],
        *,
        at_most: int,
        stop: Stop,
        stop_file: Path,
        is_begun: Callable[[str], bool] = lambda name: True,
    ) -> Generator[tuple[str, Any], None, None]:
        """Call functions on the workers, in order, and yield what each came to, or Killed.

        A call whose worker is lost is made again on another. Ended early, all that runs is told to
        stop. `require` comes before.

        Args:
            functions: by name; each can be pickled and looks at its `Stop` now and then. One that
                returns CalledOff is made again, unless all are to stop. What it raises ends
                everything here; a DaeError tells that its worker is unfit.
            at_most: calls at a time.
            stop: asked here; then no call is begun, and those that are not yet are called off.
            stop_file: what the workers look for; the caller makes it.
            is_begun: whether a call of this name does work that is worth waiting for.

        Raises:
            UnfitWorkerError: a worker cannot do it, such as one that came later.
            ClusterError: the scheduler is gone.
        """
        ahead, running = list(functions), dict[str, Any]()
        try:
            while running or (ahead and not stop.asked()):
                self._look_after()
                while ahead and len(running) < min(at_most, self.size) and not stop.asked():
                    name = ahead.pop(0)
                    running[name] = self._submit(Call(name, functions[name], stop_file))
                ended = [name for name, future in running.items() if future.status != "pending"]
                for name in ended:
                    result = self._result(running.pop(name))
                    if not isinstance(result, CalledOff):
                        yield name, result
                    elif not stop.asked():  # its worker ends, so another one shall have it
                        ahead.insert(0, name)
                if not ended:
                    time.sleep(POLL_SECONDS)
                if stop.asked():
                    for name in [name for name in running if not is_begun(name)]:
                        running.pop(name).release()
        finally:
            for future in running.values():
                future.release()  # which a call that runs hears as a wish to stop

    def _submit(self, call: Call[Any]) -> Any:
        key = f"{call.name}-{secrets.token_hex(4)}"
        with self._or_lost():
            return self._client.submit(on_worker, call, self._required, key=key, pure=False)

    def _result(self, future: Any) -> Any:
        from distributed.scheduler import KilledWorker

        if future.status in ("cancelled", "lost"):  # with a worker that had the result, or with
            return CalledOff()  # the scheduler; whether that is there is looked at next
        worker = ""
        with self._or_lost():
            if future.status == "error":
                error = future.exception()
                if isinstance(error, KilledWorker):
                    return Killed()
                raise error
            worker = next(iter(self._client.who_has([future]).get(future.key, ())), "a worker")
            result = future.result()
        if isinstance(result, Unfit):
            raise UnfitWorkerError(f"{worker}: {result.why}")
        return result

    def _look_after(self) -> None:
        """Look now and then who works here, and whether the scheduler is there."""
        if self._client.status != "running":
            raise ClusterError(LOST.format(address=self._address))
        if time.monotonic() - self._looked < LOOK_AFTER_SECONDS:
            return
        with self._or_lost():
            now = dict(self._client.nthreads())
        if self._workers and not now:
            self._watcher.note(f"{self._address}: no worker is left; waiting for one")
        self._workers, self._looked = now, time.monotonic()
        if self._required:
            for path in (self._required.probe, self._required.lock):
                with suppress(OSError):  # so that nobody takes them for left behind
                    os.utime(path)

    @contextmanager
    def _or_lost(self) -> Iterator[None]:
        """Turn what the client raises without its scheduler into words."""
        from distributed import CancelledError

        try:
            yield
        except (OSError, TimeoutError, CancelledError) as error:
            raise ClusterError(LOST.format(address=self._address)) from error


def run_on_cluster(
    jobs: Sequence[Job], *, workers: int, watcher: Watcher, command: str, cluster: Cluster
) -> Generator[RunRow | Left, None, None]:
    """Run jobs on a cluster, as `pool.run_jobs` does on this machine.

    Raises:
        Interrupted: the command was asked to stop, and all runs have.
        UnfitWorkerError: a worker cannot do what it was given.
        ClusterError: the scheduler is gone; runs that were going have kept a checkpoint.
    """
    by_name = {job.name: job for job in jobs}
    functions = {
        job.name: partial(make_run, _with_absolute_paths(job), command, cluster.data_dir)
        for job in jobs
    }
    stop = SignalStop(lambda: None)  # the thread that passes it on to the workers tells it
    with WorkerFiles(jobs, watcher, stop) as files, stop.deferred():
        ended = cluster.run(
            functions,
            at_most=workers,
            stop=stop,
            stop_file=files.stop_file,
            is_begun=lambda name: by_name[name].is_held(),
        )
        try:
            with closing(ended):
                for name, result in ended:
                    if isinstance(result, Left):  # another command is making it
                        files.leave(name)
                        yield result
                    else:
                        row = _row(result, by_name[name], command)
                        files.finish(row)
                        yield row
        except (ClusterError, UnfitWorkerError):
            files.ask_to_stop()
            _wait_for_checkpoints(jobs)
            raise
    if number := stop.asked():
        raise Interrupted(number)


def _with_absolute_paths(job: Job) -> Job:
    """A worker has a folder of its own to work in."""
    return replace(job, data=replace(job.data, path=job.data.path.absolute()))


def _row(result: RunRow | Killed, job: Job, command: str) -> RunRow:
    if isinstance(result, RunRow):
        return result
    from dae_cli.study.execute import lost_row

    return lost_row(job, KILLED, command)


def _wait_for_checkpoints(jobs: Sequence[Job]) -> None:
    """Wait, not for long, until no run is being made."""
    end = time.monotonic() + ENDING_SECONDS
    while any(job.is_held() for job in jobs) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)


def _client(address: str) -> Any:
    found = re.fullmatch(r"(tcp|tls|ws|wss|ucx)://(\[[^\]]+\]|[^:/]+):(\d{1,5})", address)
    if not found:
        raise ConfigError(
            f"--scheduler {address}: is no address of a Dask scheduler; expected one such as "
            "tcp://HOST:8786, as `dask scheduler` prints it"
        )
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError(
            f"--scheduler needs Dask, which is not installed ({error}): "
            "pip install 'dae[cluster]' here and on all workers"
        ) from error
    _silence()
    _, host, port = found.groups()
    try:
        # The client would try a port that nobody listens at for as long as it may take.
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
        connect: Any = Client
        return connect(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, OverflowError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise ClusterError(
            f"--scheduler {address}: no Dask scheduler answers there ({reason}); start one with "
            "`dask scheduler`, or correct the address"
        ) from error


def _silence() -> None:
    """What Dask would print of a lost worker or scheduler is told in our words."""
    for name in logging.root.manager.loggerDict:
        if name == "distributed" or name.startswith("distributed."):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _in_words(answer: object) -> str:
    if isinstance(answer, ModuleNotFoundError):
        return f"cannot import {answer.name}; install dae in the environment of the workers"
    return f"{type(answer).__name__}: {answer}" if isinstance(answer, Exception) else str(answer)
