"""A results folder that cannot be written to: from the start, or from the midst of a run on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
REPLICATE = ("replicate", "tiny", "--engine", "torch")
COMMANDS = (REPLICATE, (*REPLICATE, "--force"), ("train", "tiny/rect-0", "--engine", "torch"))


@pytest.mark.parametrize("command", COMMANDS, ids=["replicate", "force", "train"])
def test_a_read_only_disk_is_refused_before_anything_is_computed(
    here: Run, child: Run, disk: Any, study: Any, command: tuple[str, ...]
) -> None:
    out = disk.seen / "results"
    shutil.copytree(study.sound, out)
    before = study.snapshot(out)
    disk.make_read_only()
    folder = disk.path / "results" if command[0] == "replicate" else disk.path / "results" / "runs"
    if disk.inside:
        ended = child(*command, "--out", folder, inside=disk.inside)
    else:
        ended = here(*command, "--out", folder)
    told = f"{folder}: cannot be written to (Read-only file system); choose another folder"
    ended.told(2, f"{told} with --out")
    assert "started" not in ended.err
    assert study.snapshot(out) == before


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(COMMANDS[0], id="replicate"),
        pytest.param(COMMANDS[1], id="force", marks=pytest.mark.slow),
        pytest.param(COMMANDS[2], id="train", marks=pytest.mark.slow),
    ],
)
def test_a_folder_without_permission_is_refused_before_anything_is_computed(
    child: Run, without_right: Any, study: Any, tmp_path: Path, command: tuple[str, ...]
) -> None:
    out = tmp_path / "results" / "tiny"
    shutil.copytree(study.sound, out)
    before = study.snapshot(out)
    runs = out / "runs"
    for folder in (runs, out):
        folder.chmod(0o555)
    try:
        ended = child(*command, prepare=without_right)
    finally:
        for folder in (out, runs):
            folder.chmod(0o755)
    ended.told(2, "cannot be written to (Permission denied); choose another folder with --out")
    assert "started" not in ended.err
    assert study.snapshot(out) == before


def test_a_parent_without_permission_is_refused_by_the_name_of_the_folder(
    child: Run, without_right: Any, tmp_path: Path
) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    ended = child(*REPLICATE, "--out", "locked/new", prepare=without_right)
    ended.told(2, "locked/new: cannot be made (Permission denied); choose --out")


@pytest.mark.parametrize("workers", [pytest.param("1", marks=pytest.mark.slow), "2"])
def test_a_disk_that_becomes_read_only_in_mid_run_is_told_and_the_runs_go_on_later(
    child: Run, disk: Any, study: Any, workers: str
) -> None:
    out = disk.seen / "results"
    before: dict[str, bytes] = {}

    def turn_read_only() -> None:
        deadline = time.monotonic() + 60
        while not list(out.glob("runs/*.partial/checkpoint.safetensors")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        disk.make_read_only()
        before.update(study.snapshot(out))

    run = (*REPLICATE, "--set", "pretrain.epochs=600", "--out", disk.path / "results")
    ended = child(*run, "--jobs", workers, inside=disk.inside, meanwhile=turn_read_only)
    ended.told(1, "cannot be written (Read-only file system); make room, or choose a folder")
    study.assert_kept(before, out)
    disk.make_writable()
    assert not list(out.glob("*.csv"))
    ended = child(*run, "--jobs", "1", inside=disk.inside)
    ended.told(0)
    assert "goes on" in ended.err
    study.assert_valid(out)
