"""A disk that is full, while each of a study's files is written in turn."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dae_cli.study.rows import RunRow, read_rows

Run = Callable[..., Any]
REPLICATE = ("replicate", "tiny", "--engine", "torch")
PICTURES = (
    "error_vs_destruction.png",
    "learning_curves.png",
    "filters/rect.png",
    "filters/rect-0.png",
    "filters/rect-25.png",
)


@pytest.fixture
def out(disk: Any) -> Path:
    """The results folder, as we see it."""
    folder: Path = disk.seen / "results"
    return folder


def replicate(run: Run, disk: Any, *more: str) -> Any:
    """Run the study into the disk."""
    where = {"inside": disk.inside} if disk.inside else {}
    return run(*REPLICATE, *more, "--out", disk.path / "results", **where)


@pytest.fixture
def again(here: Run, child: Run, disk: Any) -> Run:
    """Run in this process what needs no process of its own, which is quicker."""
    return child if disk.inside else here


def test_a_disk_full_at_a_checkpoint_fails_that_run_and_keeps_the_one_that_is_done(
    child: Run, again: Run, disk: Any, out: Path, study: Any
) -> None:
    done = sorted((study.sound / "runs").iterdir())[0]
    shutil.copytree(done, out / "runs" / done.name)
    before = study.snapshot(out)
    # Room for the small files, the first checkpoint, and the second but in part.
    disk.leave(disk.blocks([done / "checkpoint.safetensors"]) + 20)
    ended = replicate(child, disk, "--seeds", "2", "--jobs", "2")
    ended.told(1, "checkpoint.safetensors: cannot be written (No space left on device); make room")
    study.assert_kept(before, out)
    study.assert_valid(out)
    told = {row.run: row.error for row in read_rows(out / "runs.csv", RunRow)}
    assert told.pop(done.name) == ""
    assert len(told) == 3 and any("make room" in error for error in told.values())
    disk.make_room()
    replicate(again, disk, "--seeds", "2", "--jobs", "1").told(0)
    study.assert_same_runs(out)


@pytest.mark.parametrize(
    "failing",
    [
        pytest.param("runs.csv", marks=pytest.mark.slow),
        pytest.param("error_vs_destruction.png", marks=pytest.mark.slow),
        "REPORT.md",
    ],
)
def test_a_disk_full_at_the_end_keeps_every_run_and_the_same_command_makes_the_rest(
    child: Run, again: Run, disk: Any, out: Path, study: Any, failing: str
) -> None:
    shutil.copytree(study.sound, out)
    for name in ("REPORT.md", *PICTURES, *([failing] if failing == "runs.csv" else [])):
        (out / name).unlink()
    before = study.snapshot(out)
    pictures = disk.blocks(study.sound / name for name in PICTURES)
    disk.leave({"runs.csv": 0, "error_vs_destruction.png": 2, "REPORT.md": pictures}[failing])
    ended = replicate(child, disk)
    reason = "cannot be written (No space left on device); make room"
    ended.told(1, f"{disk.path / 'results' / failing}: {reason}")
    study.assert_kept(before, out)
    study.assert_valid(out)
    disk.make_room()
    replicate(again, disk).told(0)
    study.assert_same(out)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_wherever_the_disk_is_full_nothing_is_lost_and_the_same_command_ends_well(
    again: Run, disk: Any, out: Path, study: Any
) -> None:
    needed = disk.blocks(path for path in study.sound.rglob("*") if path.is_file())
    failed = set()
    for blocks in range(0, needed + 24, 3):
        disk.leave(blocks)
        ended = replicate(again, disk, "--jobs", "1")
        assert ended.code in (0, 1), (blocks, ended.err)
        if ended.code:
            ended.told(1, "cannot be written (No space left on device); make room")
            failed |= set(re.findall(r"([\w.]+): cannot be written", ended.err))
        study.assert_valid(out)
        before = study.snapshot(out)
        disk.make_room()
        replicate(again, disk, "--jobs", "1").told(0)
        study.assert_kept(finished(before), out)
        study.assert_same(out)
        shutil.rmtree(out)
    assert failed >= {"checkpoint.safetensors", "runs.csv", "learning_curves.png"}


def finished(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return those that are never to be touched again: the files of finished runs."""
    return {k: v for k, v in files.items() if k.startswith("runs/") and ".partial" not in k}


def test_a_set_that_does_not_fit_into_the_cache_is_told_with_the_variable_that_moves_it(
    child: Run, disk: Any
) -> None:
    ended = child(*REPLICATE, environment={"DAE_CACHE_DIR": str(disk.path)}, inside=disk.inside)
    ended.told(2, "No space left on device", "free some space or set DAE_CACHE_DIR to another")
    assert [path.name for path in disk.seen.iterdir()] == [".rect.lock"]
    assert not Path("results").exists()


def test_a_cache_without_room_for_kernels_changes_no_result(
    child: Run, disk: Any, study: Any, machine: dict[str, str]
) -> None:
    for path in Path(machine["DAE_CACHE_DIR"]).glob("rect-*"):
        (disk.seen / path.name).symlink_to(path)
    disk.leave(0)
    cache = {"DAE_CACHE_DIR": str(disk.path)}
    child(*REPLICATE, "--jobs", "1", environment=cache, inside=disk.inside).told(0)
    study.assert_same(Path("results/tiny"))
    assert not [path for path in disk.seen.rglob("*.nb?") if path.stat().st_size]


def test_where_no_worker_can_be_started_the_way_out_is_told(child: Run, disk: Any) -> None:
    no_room = ("unshare", "--mount", "sh", "-c")
    script = 'mount -t tmpfs -o ro,size=4k none /dev/shm && exec "$@"'
    if disk.inside or not Path("/dev/shm").is_dir():
        pytest.skip("only the superuser takes /dev/shm away from a command")
    words = (*no_room, script, "sh")
    ended = child(*REPLICATE, "--out", disk.path / "results", "--jobs", "2", inside=words)
    ended.told(1, "worker processes cannot be started (", "in /dev/shm", "or give --jobs 1")
    ended = child(*REPLICATE, "--out", disk.path / "results", "--jobs", "1", inside=words)
    assert ended.code == 0, ended.err
