"""Calls on the workers of a Dask cluster, which share the folder of the results with the command.

The scheduler gives out the calls, and gives one whose worker is gone to another. Everything else
is as with worker processes on one machine, and lies in the shared folder: checkpoints, locks,
progress, the wish to stop.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from dae_cli.errors import ConfigError, DaeError
from dae_cli.files import file_lock, part_of, write_text
from dae_cli.stopping import Stop
from dae_cli.study.progress import Watcher
from dae_cli.study.workers.cluster_worker import (
    Call,
    CalledOff,
    Requirements,
    Unfit,
    Versions,
    nothing_more,
    on_worker,
    unfitness,
)

EVERY_WORKER = sys.maxsize
"""Calls at a time: as many as there are workers, those that come later too."""
POLL_SECONDS = 0.1
LOOK_AFTER_SECONDS = 5.0
"""Between two looks at which workers there are."""
LOST = (
    "the connection to the Dask scheduler {address} is lost; the runs keep their checkpoints, and "
    "the same command goes on from there when the scheduler is back"
)


class ClusterError(DaeError):
    """The cluster is not there, or no longer."""


class UnfitWorkerError(ConfigError):
    """A worker cannot take part (exit code 2); the message names it."""


class Killed:
    """In place of a result: each worker that had the call was killed, as often as is allowed."""


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

    def require(self, folder: Path, also: Callable[[], str] = nothing_more) -> None:
        """Make sure that every worker sees the folder, its locks too, and has the same versions.

        Args:
            folder: where the workers write.
            also: whatever else a worker is asked; returns why it does not fit, or nothing. Can be
                pickled.

        Raises:
            UnfitWorkerError: some do not; the message names each.
            ClusterError: the scheduler is gone.
        """
        self._left_at_end.close()
        folder = folder.absolute()
        probe, lock = part_of(folder / "probe"), part_of(folder / "probe-lock")
        required = Requirements(Versions.here(), probe, secrets.token_hex(16), lock, also)
        self._left_at_end.callback(lambda: probe.unlink(missing_ok=True))
        write_text(probe, required.text)
        self._left_at_end.enter_context(file_lock(lock))
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
        calls: Iterable[tuple[str, Callable[[Stop], Any]]],
        *,
        at_most: int,
        stop: Stop,
        stop_file: Path,
        poll: Callable[[], None],
        is_begun: Callable[[str], bool],
    ) -> Generator[tuple[str, Any], None, None]:
        """Make calls on the workers, in order, and yield what each came to, or Killed.

        A call whose worker is lost is made again on another. Ended early, all that runs is told to
        stop. `require` comes before.

        Args:
            calls: names, each its own, and functions; the next one is asked for only when a worker
                is free for it. Each can be pickled and looks at its `Stop` now and then. One that
                returns CalledOff is made again, unless all are to stop. What it raises ends
                everything here; a DaeError tells that its worker is unfit.
            at_most: calls at a time.
            stop: asked here; then no call is begun, and those that are not yet are called off.
            stop_file: what the workers look for; the caller makes it.
            poll: called several times a second.
            is_begun: whether a call of this name does work that is worth waiting for.

        Raises:
            UnfitWorkerError: a worker cannot do it, such as one that came later.
            ClusterError: the scheduler is gone.
        """
        ahead, again, over = iter(calls), list[Call[Any]](), False
        running = dict[str, tuple[Call[Any], Any]]()
        try:
            while running or not (over or stop.asked()):
                self._look_after()
                while len(running) < min(at_most, self.size) and not stop.asked():
                    following = again.pop() if again else _next(ahead, stop_file)
                    if over := following is None:
                        break
                    running[following.name] = following, self._submit(following)
                ended = [name for name, (_, future) in running.items() if _has_ended(future)]
                for name in ended:
                    call, future = running.pop(name)
                    result = self._result(future)
                    if not isinstance(result, CalledOff):
                        yield name, result
                    elif not stop.asked():  # its worker ends, so another one shall have it
                        again.append(call)
                        over = False
                if not ended:
                    time.sleep(POLL_SECONDS)
                poll()
                if stop.asked():
                    for name in [name for name in running if not is_begun(name)]:
                        running.pop(name)[1].release()
        finally:
            for _, future in running.values():
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


def _next(ahead: Iterator[tuple[str, Callable[[Stop], Any]]], stop_file: Path) -> Call[Any] | None:
    following = next(ahead, None)
    return None if following is None else Call(*following, stop_file)


def _has_ended(future: Any) -> bool:
    return bool(future.status != "pending")


def _in_words(answer: object) -> str:
    if isinstance(answer, ModuleNotFoundError):
        return f"cannot import {answer.name}; install dae in the environment of the workers"
    return f"{type(answer).__name__}: {answer}" if isinstance(answer, Exception) else str(answer)
