"""Jobs that are made side by side on this machine, each in a process of its own.

On Linux, processes are forked from a server that has imported everything once (multiprocessing's
`forkserver`), which takes less than a tenth of a second each. SIGTERM asks a process to stop. What
the terminal sends to all its processes is left to the command, which decides.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection, forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dae_cli.errors import DaeError
from dae_cli.machine import one_thread_in_processes
from dae_cli.stopping import SIGNALS, StopRequest, WorkerStopRequest
from dae_cli.study.progress import SendingWatcher, Watcher, receive

if TYPE_CHECKING:
    from dae_cli.study.run.job import Job

Make = Callable[["Job", Watcher, StopRequest], Any]
"""Makes a job; it can be pickled, and so can what it returns."""

PRELOADED = "dae_cli.study.preloaded"
ENDING_SECONDS = 10.0
"""In which a process that has sent its result must have ended."""
# Elsewhere a library may have started threads, which a fork would lose.
_START = "forkserver" if sys.platform == "linux" else "spawn"
_CONTEXT: Any = multiprocessing.get_context(_START)
_CANNOT_START = "worker processes cannot be started ({}); --jobs 1 needs none"


@dataclass(frozen=True)
class Killed:
    """In place of a result: the process that made the job ended without one."""

    why: str
    final: bool = False
    """Whether it was killed often enough."""


class Processes:
    """The processes of one command, or beside one worker of a cluster."""

    size = sys.maxsize
    """Jobs that can be made at a time: the caller decides."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._running: dict[Connection, tuple[Job, Any]] = {}
        self._stopping = False

    @property
    def running(self) -> int:
        """Jobs that are being made."""
        return len(self._running)

    def start(self, job: Job, make: Make) -> None:
        """Make a job in a process of its own; raises DaeError if there is none."""
        reader, writer = _CONTEXT.Pipe(duplex=False)
        # Pickled here, since what fails in a process before the call is not reported by anyone.
        arguments = (Path.cwd(), pickle.dumps((job, make)), writer)
        process = _CONTEXT.Process(target=_work, args=arguments, daemon=True)
        try:
            start_server()
            if _START == "forkserver":
                process.start()  # waits while the server imports: Ctrl-C is heard
            else:
                with _signals_blocked():
                    process.start()
        except (OSError, EOFError) as error:
            reader.close()
            raise DaeError(_CANNOT_START.format(_why_none_starts() or error)) from error
        finally:
            writer.close()
        self._running[reader] = job, process

    def results(self, seconds: float) -> Iterator[tuple[Job, Any]]:
        """Wait for news, at most so many seconds; yield the jobs that ended, and their results.

        What `make` raised is raised here.
        """
        for reader in connection.wait([*self._running], seconds):
            assert isinstance(reader, Connection)
            job, process = self._running[reader]
            try:
                kind, content = reader.recv()
            except (EOFError, ConnectionResetError):
                process.join()
                kind, content = "result", Killed(_why_lost(process.exitcode))
            if kind == "progress":
                receive(content, self._watcher)
                continue
            process.join(ENDING_SECONDS)
            process.kill()
            del self._running[reader]
            reader.close()
            if kind == "error":
                raise content
            yield job, content

    def stop(self) -> None:
        """Ask all processes to stop, once: each saves a checkpoint and sends its result."""
        if not self._stopping:
            self._stopping = True
            for _, process in self._running.values():
                process.terminate()

    def close(self) -> None:
        """Kill those that are left."""
        for _, process in self._running.values():
            process.kill()
        for reader, (_, process) in self._running.items():
            process.join()
            reader.close()
        self._running.clear()


def start_server() -> None:
    """Start the server and let it import; nothing, if it runs or processes need none."""
    one_thread_in_processes()
    if _START == "forkserver":
        _CONTEXT.set_forkserver_preload([PRELOADED])
        with _signals_blocked():  # it inherits the mask, and its processes from it
            forkserver.ensure_running()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Let processes that are started now be deaf to signals until they choose what to hear.

    A mask is inherited, a handler is not. What comes meanwhile, this process hears afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _why_none_starts() -> str:
    """Start an interpreter as processes are, and return how it ends and its last words."""
    command = [sys.executable, "-c", f"import {PRELOADED}"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:
        return str(error)
    if ended.returncode == 0:
        return ""
    last = " ".join(ended.stderr.split("\n")[-3:]).strip()
    return f"{_exit_text(ended.returncode)}: {last}"


def _why_lost(code: int) -> str:
    """Return why there is no result; a negative code is that of the signal, as everywhere."""
    if code == -signal.SIGKILL:
        return "a worker process was killed, perhaps because the memory ran out"
    return f"a worker process ended with {_exit_text(code)}"


def _exit_text(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"


# In the process that makes a job. Nothing is imported at the top that could fail: who is to hear of
# it would not.


def _work(folder: Path, pickled: bytes, writer: Connection) -> None:
    """Make a job; what is sent is its progress, then ("result", …) or ("error", …).

    Args:
        folder: the current one of the command.
        pickled: the job and what makes it.
        writer: leads to the command.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    stop = WorkerStopRequest()
    os.chdir(folder)
    result: tuple[str, object]
    try:
        job, make = pickle.loads(pickled)
        try:
            result = "result", make(job, SendingWatcher(partial(_send_progress, writer)), stop)
        except BaseException as error:
            result = "error", error
    except ImportError as error:
        result = "error", DaeError(_CANNOT_START.format(error))
    writer.send(result)


def _send_progress(writer: Connection, message: tuple[Any, ...]) -> None:
    """Send it, unless the command has not read for a while: the job goes on in any case."""
    with suppress(OSError):
        if select.select([], [writer], [], 0)[1]:
            writer.send(("progress", message))


def _end_with_parent() -> None:
    """End this process, wherever it is, as soon as the command is gone, even killed.

    The next command will go on from the checkpoint.
    """
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)
