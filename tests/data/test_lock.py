"""One process at a time: with true processes, since the lock is the operating system's."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from dae_cli.data import lock
from dae_cli.data.lock import alone
from dae_cli.errors import DataError

HOLD = """
import sys, time
from pathlib import Path
from dae_cli.data.lock import alone
with alone(Path(sys.argv[1]), "convex", print):
    print("held", flush=True)
    time.sleep(60)
"""

PREPARE = """
import sys
from pathlib import Path
from dae_cli.data.lock import alone
from dae_cli.data.sources.download import RemoteFile, fetched
cache, url, known = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
with alone(cache, "convex", print):
    if not (cache / "convex").exists():
        with fetched(RemoteFile("convex.zip", (url,), known), cache, print) as path:
            path.replace(cache / "convex")
"""


def _process(script: str, *arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _held(cache: Path) -> subprocess.Popen[str]:
    """A process that has the lock."""
    process = _process(HOLD, cache)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def _kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_one_alone_does_not_wait_and_leaves_only_the_file_of_the_lock(cache: Path) -> None:
    notes: list[str] = []
    for _ in range(2):
        with alone(cache, "convex", notes.append), alone(cache, "rect", notes.append):
            pass
    assert notes == []
    assert sorted(path.name for path in cache.iterdir()) == [".convex.lock", ".rect.lock"]


def test_the_lock_of_a_killed_process_does_not_block(cache: Path) -> None:
    _kill(_held(cache))
    notes: list[str] = []
    with alone(cache, "convex", notes.append):
        pass
    assert notes == []


def test_a_wait_is_told_once_and_ends_with_the_other_process(cache: Path) -> None:
    process = _held(cache)
    notes: list[str] = []

    def note(line: str) -> None:
        notes.append(line)
        _kill(process)

    with alone(cache, "convex", note):
        pass
    assert notes == ["waiting for another dae process that prepares convex"]


def test_a_wait_without_end_is_an_error(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "WAIT_SECONDS", 0.1)
    process = _held(cache)
    with (
        pytest.raises(DataError, match=r"another dae process has prepared convex for .* end it"),
        alone(cache, "convex", lambda _: None),
    ):
        pass
    _kill(process)


def test_the_lock_is_free_after_an_error(cache: Path) -> None:
    with pytest.raises(ZeroDivisionError), alone(cache, "convex", print):
        raise ZeroDivisionError
    with alone(cache, "convex", pytest.fail):
        pass


def test_a_folder_that_cannot_be_written_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(DataError, match=r"file: cannot be written \(.*\); set DAE_CACHE_DIR"),
        alone(tmp_path / "file", "convex", print),
    ):
        pass


def test_a_folder_without_permission_is_the_users_error(
    cache: Path, unprivileged: AbstractContextManager[None]
) -> None:
    with alone(cache, "rect", print):
        pass  # imported what it needs
    cache.chmod(0o500)
    with (
        unprivileged,
        pytest.raises(DataError, match=r"cache: cannot be written \(Permission denied\)"),
        alone(cache, "convex", print),
    ):
        pass


def test_two_processes_at_once_fetch_a_file_once(server: Any, cache: Path) -> None:
    data = b"the archive " * 1000

    def slowly(handler: Any) -> None:
        time.sleep(0.2)
        server.serve(data, "/again")
        server.at["/again"](handler)

    known = f"sha1:{hashlib.sha1(data).hexdigest()}"
    url = server.do(slowly, "/convex.zip")
    processes = [_process(PREPARE, cache, url, known) for _ in range(2)]
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, out
    assert server.asked == ["/convex.zip"]
    assert sorted(path.name for path in cache.iterdir()) == [".convex.lock", "convex"]
    assert (cache / "convex").read_bytes() == data


def test_what_a_killed_download_left_is_gone_after_the_next(server: Any, cache: Path) -> None:
    data = b"the archive " * 100_000

    def stop(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[:-1])
        server.closing.wait(30)

    known = f"sha1:{hashlib.sha1(data).hexdigest()}"
    killed = _process(PREPARE, cache, server.do(stop, "/stops"), known)
    deadline = time.monotonic() + 30
    while not list(cache.glob(".download-*/*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    _kill(killed)
    assert list(cache.glob(".download-*/*")) != []
    after = _process(PREPARE, cache, server.serve(data), known)
    after.communicate(timeout=60)
    assert sorted(path.name for path in cache.iterdir()) == [".convex.lock", "convex"]
