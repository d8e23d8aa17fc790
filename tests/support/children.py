"""`dae` as a separate process: for signals, kills, locks, limits and full disks."""

from __future__ import annotations

import atexit
import functools
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from tests.support.commands import Ended, with_defaults
from tests.support.zygote import REPLY, Request

MARK, ZYGOTE = "DAE_TEST_CHILD", "DAE_TEST_ZYGOTE"
ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 100.0
"""Seconds within which a command must end."""
GRACE = 20.0
"""Seconds within which the processes of a killed command must end."""


@functools.cache
def zygote() -> str:
    """Start the process that forks commands; return the path of the socket it will listen on.

    If the environment has a path, such a process is already running. The variable is removed so
    that a pytest started by a test does not use it.
    """
    if path := os.environ.pop(ZYGOTE, ""):
        return path
    folder = tempfile.mkdtemp(prefix="dae-zygote-")
    path = f"{folder}/socket"
    server = subprocess.Popen(
        [sys.executable, "-c", "from tests.support import zygote; zygote.main()", path],
        stdin=subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,
    )

    def end() -> None:
        assert server.stdin
        server.stdin.close()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return path


class Child:
    """A running command, in a separate process and session, with its output in files.

    Args:
        words: after `dae`.
        environment: added to this process's environment.
        prepare: functions at the top of a module, called in the process before the command.
        inside: arguments of a program that runs the command.
        executed: start a new interpreter instead of forking one that has loaded everything.
        stdout: a descriptor instead of a file, such as the end of a pipe or a terminal.
        stderr: likewise.
    """

    def __init__(
        self,
        *words: str | Path,
        environment: Mapping[str, str] | None = None,
        prepare: tuple[Callable[[], None], ...] = (),
        inside: tuple[str, ...] = (),
        executed: bool = False,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        self.mark = token_hex(8)
        self._logs = Path(tempfile.mkdtemp(prefix="dae-child-"))
        atexit.register(shutil.rmtree, self._logs, ignore_errors=True)
        self._code: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        arguments = tuple(with_defaults(words))
        environment = {**os.environ, **(environment or {}), MARK: self.mark}
        with (
            self._out.open("wb") as out,
            self._err.open("wb") as err,
            Path(os.devnull).open() as nothing,
        ):
            streams = (
                nothing.fileno(),
                out.fileno() if stdout is None else stdout,
                err.fileno() if stderr is None else stderr,
            )
            if executed or inside:
                self._execute(
                    (*inside, sys.executable, "-m", "dae_cli", *arguments),
                    environment,
                    prepare,
                    streams,
                )
            else:
                self._fork(Request(arguments, environment, Path.cwd(), prepare), streams)

    def _fork(self, request: Request, streams: tuple[int, int, int]) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = Path(zygote())
        wait_until(path.exists)
        self._socket.connect(str(path))
        content = pickle.dumps(request)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", streams))
        self._socket.sendmsg([REPLY.pack(len(content))], [rights])
        self._socket.sendall(content)
        self.pid: int = REPLY.unpack(self._socket.recv(4))[0]

    def _execute(
        self,
        command: tuple[str, ...],
        environment: Mapping[str, str],
        prepare: tuple[Callable[[], None], ...],
        streams: tuple[int, int, int],
    ) -> None:
        def call() -> None:
            for function in prepare:
                function()

        self._process = subprocess.Popen(
            command,
            env={"PYTHONPATH": str(ROOT), **environment},
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            preexec_fn=call if prepare else None,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def poll(self, seconds: float = 0.0) -> int | None:
        """Return the exit code as a shell reports it, or None if the command still runs."""
        if self._code is None and self._process:
            with suppress(subprocess.TimeoutExpired):
                code = self._process.wait(seconds)
                self._code = 128 - code if code < 0 else code
        elif self._code is None:
            self._socket.settimeout(max(seconds, 0.001))
            with suppress(TimeoutError):
                code = os.waitstatus_to_exitcode(REPLY.unpack(self._socket.recv(4))[0])
                self._socket.close()
                self._code = 128 - code if code < 0 else code
        return self._code

    def wait(self, seconds: float = PATIENCE) -> Ended:
        """Wait for the end; kill it and fail if it takes longer."""
        code = self.poll(seconds)
        if code is None:
            self.kill_group()
            raise AssertionError(f"still running after {seconds} s:\n{self.err}")
        return Ended(code, self.out, self.err)

    @property
    def out(self) -> str:
        """Standard output so far."""
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        """Standard error so far."""
        return self._err.read_text(encoding="utf-8")

    def send(self, number: int) -> None:
        """Send a signal to the command only."""
        os.kill(self.pid, number)

    def end(self, number: int) -> Ended:
        """Send a signal, and wait for the end."""
        self.send(number)
        return self.wait()

    def kill(self) -> None:
        """Kill only the command itself, not its workers."""
        with suppress(ProcessLookupError):
            self.send(signal.SIGKILL)
        self.poll(PATIENCE)

    def kill_group(self) -> None:
        """Kill all processes at once, like a crash of the machine."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        for pid in self.others():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.poll(PATIENCE)

    def others(self) -> list[int]:
        """Return the living processes that the command started, directly or indirectly."""
        sought = f"{MARK}={self.mark}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                ours = sought in (path / "environ").read_bytes().split(b"\0")
                state, _, _, session = (path / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            ours = ours or int(session) == self.pid
            if ours and int(path.name) != self.pid and state != "Z":
                found.append(int(path.name))
        return sorted(found)

    def workers(self) -> list[int]:
        """Return the processes that execute runs, without the servers that started them."""
        return [pid for pid in self.others() if _parent(pid) not in (None, self.pid)]

    def survivors(self) -> list[int]:
        """Return the processes that are still there after the time allowed for ending."""
        end = time.monotonic() + GRACE
        while (left := self.others()) and time.monotonic() < end:
            time.sleep(0.02)
        return left

    @property
    def _out(self) -> Path:
        return self._logs / "out"

    @property
    def _err(self) -> Path:
        return self._logs / "err"


def _parent(pid: int) -> int | None:
    """Return the parent of a process; None if the process has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def wait_until(condition: Callable[[], object], child: Child | None = None) -> None:
    """Wait until a condition is true; fail if the command ends first or the time is over."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert child is None or child.poll() is None or condition(), child.err
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)
