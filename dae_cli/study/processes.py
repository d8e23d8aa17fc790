"""Run jobs in parallel on this machine, each in its own process.

On Linux, processes are forked from a server that has imported everything once (multiprocessing's
`forkserver`), so that each starts in less than 0.1 seconds. SIGTERM asks a process to stop. The
processes ignore the signals of a terminal, such as Ctrl-C, and leave the decision to the command.
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

RunJob = Callable[["Job", Watcher, StopRequest], Any]
"""A function that runs a job; it can be pickled, and so can its result."""

PRELOADED = "dae_cli.study.preloaded"
ENDING_SECONDS = 10.0
"""Time within which a process must end after it has sent its result."""
# On other systems, libraries may have started threads, which a fork would lose.
_START = "forkserver" if sys.platform == "linux" else "spawn"
_CONTEXT: Any = multiprocessing.get_context(_START)
_CANNOT_START = "cannot start worker processes ({}); pass --jobs 1, which needs none"


@dataclass(frozen=True)
class Killed:
    """The result of a job whose process ended without sending one."""

    why: str
    final: bool = False
    """Whether the job must not be retried."""


class Processes:
    """The processes of one command, or of one worker of a cluster."""

    size = sys.maxsize
    """Number of jobs that can run at a time; the caller sets the limit."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._running: dict[Connection, tuple[Job, Any]] = {}
        self._stopping = False

    @property
    def running(self) -> int:
        """Number of jobs that are running."""
        return len(self._running)

    def start(self, job: Job, run_job: RunJob) -> None:
        """Run a job in a new process; raises DaeError if no process can be started."""
        reader, writer = _CONTEXT.Pipe(duplex=False)
        # Pickled here, because nobody would see an error that occurs before `_work` is called.
        arguments = (Path.cwd(), pickle.dumps((job, run_job)), writer)
        process = _CONTEXT.Process(target=_work, args=arguments, daemon=True)
        try:
            start_server()
            if _START == "forkserver":
                process.start()  # waits while the server imports, so Ctrl-C must not be blocked
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
        """Wait up to `seconds` for news; yield the jobs that ended, with their results.

        Exceptions of `run_job` are raised here.
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
        """Ask all processes to save a checkpoint and send their results; later calls do nothing."""
        if not self._stopping:
            self._stopping = True
            for _, process in self._running.values():
                process.terminate()

    def close(self) -> None:
        """Kill the remaining processes."""
        for _, process in self._running.values():
            process.kill()
        for reader, (_, process) in self._running.items():
            process.join()
            reader.close()
        self._running.clear()


def start_server() -> None:
    """Start the server and its imports, unless it is running or this system does not use one."""
    one_thread_in_processes()
    if _START == "forkserver":
        _CONTEXT.set_forkserver_preload([PRELOADED])
        with _signals_blocked():  # the server and its processes inherit the mask
            forkserver.ensure_running()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block signals in processes that are started now, until they set their own handlers.

    They inherit the mask but no handlers. This process gets the signals afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _why_none_starts() -> str:
    """Start an interpreter like a worker's; return how it failed and its last lines, or nothing."""
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
    """Return why there is no result; a negative exit code is a signal's number."""
    if code == -signal.SIGKILL:
        return "a worker process was killed, perhaps because the memory ran out"
    return f"a worker process ended with {_exit_text(code)}"


def _exit_text(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"


# In the process that runs a job. This module imports nothing at the top that could fail, because
# nothing would report the error to the command.


def _work(folder: Path, pickled: bytes, writer: Connection) -> None:
    """Run a job; send its progress, then ("result", …) or ("error", …).

    Args:
        folder: the command's current directory.
        pickled: the job and the function that runs it.
        writer: the pipe to the command.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    stop = WorkerStopRequest()
    os.chdir(folder)
    result: tuple[str, object]
    try:
        job, run_job = pickle.loads(pickled)
        try:
            result = "result", run_job(job, SendingWatcher(partial(_send_progress, writer)), stop)
        except BaseException as error:
            result = "error", error
    except ImportError as error:
        result = "error", DaeError(_CANNOT_START.format(error))
    writer.send(result)


def _send_progress(writer: Connection, message: tuple[Any, ...]) -> None:
    """Send a message, or drop it if the command does not read, so that the job never waits."""
    with suppress(OSError):
        if select.select([], [writer], [], 0)[1]:
            writer.send(("progress", message))


def _end_with_parent() -> None:
    """End this process at once when the command has ended, even by SIGKILL.

    The next command resumes from the checkpoint.
    """
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)
