"""Files are written whole or not at all: on a full disk, after an interrupt, with leftovers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.entry_points.data import forget_small, register_small
from tests.support.commands import Ended
from tests.support.tiny import snapshot

Dae = Callable[..., Ended]
SHEET = ("data", "show", "small", "--out", "sheets/rect.png")


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    register_small()
    yield
    forget_small()


def test_a_file_is_replaced_as_a_whole_and_folders_are_made(dae: Dae) -> None:
    dae(*SHEET).succeeded()
    first = snapshot(Path("sheets"))
    assert list(first) == ["rect.png"]
    dae(*SHEET, "--split", "test").succeeded()
    second = snapshot(Path("sheets"))
    assert list(second) == ["rect.png"]
    assert first != second


def test_an_interrupt_and_a_disk_that_fails_leave_the_old_file(
    dae: Dae, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("sheets").mkdir()
    Path("sheets/rect.png").write_bytes(b"old")
    seen = []

    def fails(*_: Any) -> None:
        seen.append(sorted(path.name for path in Path("sheets").iterdir()))
        raise OSError(28, "No space left on device")

    def interrupts(*_: Any) -> None:
        raise KeyboardInterrupt

    for broken, failure in (("fsync", fails), ("replace", fails), ("fsync", interrupts)):
        with monkeypatch.context() as patch:
            patch.setattr(Path if broken == "replace" else os, broken, failure)
            ended = dae(*SHEET)
        assert ended.code != 0
        if failure is fails:
            ended.failed(1, "sheets/rect.png", "No space left on device")
        assert snapshot(Path("sheets")) == {"rect.png": b"old"}
    # An incomplete file has a separate name that identifies the process.
    (hidden, whole), _ = seen
    assert whole == "rect.png"
    assert hidden.startswith(".rect.png@")
    assert f"-{os.getpid()}-" in hidden
    assert hidden.endswith(".part")


def test_what_killed_processes_left_is_removed_at_once_and_what_others_write_stays(
    dae: Dae, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: names.extend(p.name for p in done.glob(".*.part")))
    dae("report", "tiny").succeeded()
    ours = names[0].partition("@")[2].rpartition(f"-{os.getpid()}-")[0]
    ended = subprocess.Popen(["true"])
    ended.wait()
    killed, going = (done / f".runs.csv@{ours}-{p}-ab.part" for p in (ended.pid, os.getppid()))
    elsewhere, old = (done / f".runs.csv@elsewhere{k}-{ended.pid}-ab.part" for k in (1, 2))
    for left in (killed, going, elsewhere, old):
        left.touch()
    os.utime(old, (0, 0))
    dae("report", "tiny").succeeded()
    assert set(done.glob(".*.part")) == {going, elsewhere}


def test_a_place_that_cannot_be_written_is_reported_with_the_file(dae: Dae) -> None:
    name = "r" * 300 + ".png"
    dae(*SHEET[:-1], name).failed(2, name[:200])
    long = "ü" * 120 + ".png"  # 244 bytes; the temporary name must not be longer
    assert dae(*SHEET[:-1], long).succeeded().lines == [long]
    assert Path(long).is_file()
    Path("file").touch()
    dae(*SHEET[:-1], "file/rect.png").failed(1, "file/rect.png")
    assert Path("file").read_bytes() == b""


def test_the_cache_is_where_the_environment_or_the_system_says(
    dae: Dae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place() -> Path:
        return Path(dae("data", "fetch", "small", "--format", "json").json[0]["path"]).parent

    monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path / "mine"))
    assert place() == tmp_path / "mine"
    monkeypatch.delenv("DAE_CACHE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "system"))
    assert place().name == "dae"
    assert tmp_path in place().parents
