"""A process that has imported everything `dae` needs, and forks a child for each command.

Starting a command costs two seconds of imports; forking one costs a few milliseconds. The result
is the real command: a separate process and session, with real signals, limits and files.

Each connection is one command: it receives a pickled `Request` with three file descriptors and
returns the process ID, then the wait status.
"""

from __future__ import annotations

import array
import atexit
import gc
import io
import os
import pickle
import selectors
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

REPLY = struct.Struct("!i")
_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Request:
    """A command to run."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    prepare: tuple[Callable[[], None], ...] = ()
    """Functions at the top of a module, called in the process before it becomes the command."""


def without_disk(descriptor: object) -> None:
    """Replaces `os.fsync`, a quarter of a small study's time, because no test cuts the power."""


def load_everything() -> None:
    """Import what commands import when they are called."""
    import importlib
    import pkgutil

    import dae_cli

    libraries = ("matplotlib.pyplot", "scipy.stats", "sklearn.svm", "torch")
    modules = pkgutil.walk_packages(dae_cli.__path__, "dae_cli.")
    for name in (*libraries, "matplotlib.backends.backend_agg", *(m.name for m in modules)):
        importlib.import_module(name)


def serve(path: str) -> Request | None:
    """Fork a child for each connection; return its request in the child, None at the end."""
    wake, woken = socket.socketpair()
    for end in (wake, woken):
        end.setblocking(False)
    signal.set_wakeup_fd(woken.fileno())
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(f"{path}.new")
    listener.listen(64)
    Path(f"{path}.new").rename(path)  # once it exists, clients can connect
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(wake, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    children: dict[int, socket.socket] = {}
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:  # the parent closed it, or ended
                for pid in children:
                    os.killpg(pid, signal.SIGKILL)
                return None
            if key.fileobj is wake:
                wake.recv(4096)
                _report_ended(children)
            else:
                connection, _ = listener.accept()
                request, descriptors = _receive(connection)
                pid = os.fork()
                if pid == 0:
                    selector.close()
                    for end in (wake, woken, listener, *children.values()):
                        end.close()
                    _become(request, descriptors)
                    with connection:  # signals are allowed from here on
                        connection.sendall(REPLY.pack(os.getpid()))
                    return request
                for descriptor in descriptors:
                    os.close(descriptor)
                children[pid] = connection


def _report_ended(children: dict[int, socket.socket]) -> None:
    for pid in list(children):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            with children.pop(pid) as connection:
                try:
                    connection.sendall(REPLY.pack(status))
                except OSError:
                    continue  # no client is waiting any more


def _receive(connection: socket.socket) -> tuple[Request, list[int]]:
    """Read a pickled request after its length, and the descriptors sent with the length."""
    descriptors = array.array("i")
    length, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(3 * descriptors.itemsize))
    for _, _, data in ancillary:
        descriptors.frombytes(data)
    content = b""
    while len(content) < REPLY.unpack(length)[0]:
        content += connection.recv(65536)
    request = pickle.loads(content)
    assert isinstance(request, Request)
    return request, list(descriptors)


def _become(request: Request, descriptors: list[int]) -> None:
    """Set up session, streams, environment and folder like those of a new process."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for heard in (*_STOP, signal.SIGCHLD):
        signal.signal(heard, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
        os.close(descriptor)
    for number, name in ((1, "stdout"), (2, "stderr")):  # the old ones are the parent's
        raw = open(number, "wb", buffering=0, closefd=False)  # noqa: SIM115
        terminal = number == 2 or os.isatty(number)
        stream = io.BufferedWriter(raw) if number == 1 else raw
        setattr(sys, name, io.TextIOWrapper(stream, "utf-8", line_buffering=terminal))
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    for prepare in request.prepare:
        prepare()


def main() -> None:
    """Serve requests; in a child, run the command until the process exits normally."""
    import dae_cli.__main__ as entry

    load_everything()
    os.fsync = without_disk  # type: ignore[assignment]
    gc.freeze()  # children share these pages until they are written to
    request = serve(sys.argv[1])
    if request is None:
        return
    sys.argv = ["dae", *request.arguments]
    sys.modules["__main__"] = entry  # imported by worker processes
    code: object = 0
    try:
        entry.main()
    except SystemExit as ended:
        code = ended.code
    _end(code if isinstance(code, int) else 0 if code is None else 1)


def _end(code: int) -> None:
    """Exit like an interpreter, but without unloading all modules, which takes a second."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
