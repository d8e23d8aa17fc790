from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dae_cli import files
from dae_cli.data.temporary import sweep_cache, temporary_folder
from dae_cli.errors import DataError
from dae_cli.files import part_of


def _ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def _left_by(pid: int, folder: Path, machine: str | None = None) -> Path:
    left = folder / f".download-{machine or files.machine_tag()}-{pid}-abcd_12"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"half a file")
    return left


def test_the_folder_is_gone_on_exit_with_all_it_holds(tmp_path: Path) -> None:
    with temporary_folder(tmp_path / "cache") as place:
        (place / "file").touch()
        assert place.parent == tmp_path / "cache"
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    _left_by(_ended_process(), tmp_path)
    with temporary_folder(tmp_path) as place:
        assert list(tmp_path.iterdir()) == [place]


def test_the_folder_of_a_living_process_stays(tmp_path: Path) -> None:
    left = _left_by(os.getpid(), tmp_path)
    sweep_cache(tmp_path)
    assert left.exists()


def test_the_folder_of_another_machine_stays_for_a_day(tmp_path: Path) -> None:
    left = _left_by(_ended_process(), tmp_path, machine="elsewhere-2")
    sweep_cache(tmp_path)
    assert left.exists()
    os.utime(left, (0, 0))
    sweep_cache(tmp_path)
    assert not left.exists()


def test_other_files_are_not_touched(tmp_path: Path) -> None:
    for name in ("convex.npz", ".convex.lock", ".download-of-the-user"):
        (tmp_path / name).touch()
    sweep_cache(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_folder_that_cannot_be_made_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(DataError, match=r"cannot be written \(Not a directory\)"),
        temporary_folder(tmp_path / "file" / "cache"),
    ):
        pass


def test_half_written_files_of_killed_processes_are_swept(tmp_path: Path) -> None:
    mine = part_of(tmp_path / "convex-original-1.npz")
    mine.touch()
    theirs = tmp_path / mine.name.replace(f"-{os.getpid()}-", f"-{_ended_process()}-")
    theirs.touch()
    sweep_cache(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [mine.name]
