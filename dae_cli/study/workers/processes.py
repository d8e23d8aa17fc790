"""Functions that run side by side on this machine, each in a process of its own.

On Linux, processes are forked from a server that has imported everything once (multiprocessing's
`forkserver`), which takes less than a tenth of a second each. Who asks a process to stop sends it
SIGTERM. What the terminal sends to all its processes is left to the command, which decides.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection, forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from dae_cli.errors import DaeError
from dae_cli.stopping import SIGNALS, Stop, WorkerStop

K = TypeVar("K")
T = TypeVar("T")

PRELOADED = "dae_cli.study.preloaded"
ENDING_SECONDS = 10.0
"""In which a process that has told its result must have ended."""
# Elsewhere a library may have started threads, which a fork would lose.
_START = "forkserver" if sys.platform == "linux" else "spawn"
_CONTEXT: Any = multiprocessing.get_context(_START)


class StartError(DaeError):
    """No process can be started here."""

    @classmethod
    def because(cls, why: object) -> Self:
        """Say why, and what to do."""
        return cls(f"worker processes cannot be started ({why}); --jobs 1 needs none")


@dataclass(frozen=True)
class Lost:
    """In place of a result: the process ended without one."""

    exit_code: int
    """As multiprocessing has it: negative for the signal that ended it."""

    def __str__(self) -> str:
        if self.exit_code == -signal.SIGKILL:
            return "a worker process was killed, perhaps because the memory ran out"
        return f"a worker process ended with {_exit_in_words(self.exit_code)}"


@dataclass(frozen=True)
class _Raised:
    error: BaseException


class Processes(Generic[K, T]):
    """The processes of one command."""

    def __init__(self) -> None:
        self._running: dict[Connection, tuple[K, Any]] = {}
        self._asked = False

    def __len__(self) -> int:
        return len(self._running)

    def close(self) -> None:
        """Kill those that are left."""
        for _, process in self._running.values():
            process.kill()
        for reader, (_, process) in self._running.items():
            process.join()
            reader.close()
        self._running.clear()

    def start(self, key: K, function: Callable[[Stop], T]) -> None:
        """Call a function in a process of its own; all in it can be pickled.

        Args:
            key: what `ended` calls it.
            function: looks at its `Stop` now and then. What it raises, `ended` raises here.

        Raises:
            StartError: there is no process.
        """
        reader, writer = _CONTEXT.Pipe(duplex=False)
        # Pickled here, since what fails in a process before it calls is told by nobody.
        words = (Path.cwd(), pickle.dumps(function), writer)
        process = _CONTEXT.Process(target=_call, args=words, daemon=True)
        try:
            with _signals_blocked():
                if _START == "forkserver":
                    _CONTEXT.set_forkserver_preload([PRELOADED])
                    forkserver.ensure_running()  # inherits the mask, and its processes from it
                else:
                    process.start()
            if _START == "forkserver":
                process.start()  # waits while the server imports: Ctrl-C is heard
        except (OSError, EOFError) as error:
            reader.close()
            raise StartError.because(_why_none_starts() or error) from error
        finally:
            writer.close()
        self._running[reader] = key, process

    def ended(self, seconds: float) -> Iterator[tuple[K, T | Lost]]:
        """Wait for ends, at most so many seconds; yield what each process came to."""
        for reader in connection.wait([*self._running], seconds):
            assert isinstance(reader, Connection)
            key, process = self._running[reader]
            try:
                result = pickle.loads(reader.recv_bytes())
            except (EOFError, ConnectionResetError):
                process.join()
                result = Lost(process.exitcode)
            else:
                process.join(ENDING_SECONDS)
                process.kill()
            del self._running[reader]
            reader.close()
            if isinstance(result, _Raised):
                raise result.error
            yield key, result

    def ask_to_stop(self) -> bool:
        """Let each function that runs know; tell whether this is the first time."""
        first, self._asked = not self._asked, True
        if first:
            for _, process in self._running.values():
                process.terminate()
        return first


def _call(folder: Path, function: bytes, writer: Connection) -> None:
    """Do what a process is for."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    stop = WorkerStop()
    os.chdir(folder)
    try:
        called = pickle.loads(function)
        try:
            result = called(stop)
        except BaseException as error:
            result = _Raised(error)
    except ImportError as error:
        result = _Raised(StartError.because(error))
    writer.send_bytes(pickle.dumps(result))


def _end_with_parent() -> None:
    """End this process, wherever it is, as soon as the command is gone, killed even.

    The next command will go on from the checkpoint.
    """
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Let processes that are started now be deaf to signals until they choose what to hear.

    A mask is inherited, a handler is not. What comes meanwhile, this process hears afterwards.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _why_none_starts() -> str:
    """Start an interpreter as processes are, and return how it ends and what it says last."""
    command = [sys.executable, "-c", f"import {PRELOADED}"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:
        return str(error)
    if ended.returncode == 0:
        return ""
    last = " ".join(ended.stderr.split("\n")[-3:]).strip()
    return f"{_exit_in_words(ended.returncode)}: {last}"


def _exit_in_words(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"
