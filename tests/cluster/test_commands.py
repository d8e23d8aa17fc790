"""`dae replicate --scheduler` on a real scheduler with two workers, on loopback."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dae_cli.commands.app import app
from tests.cluster.dask import DaskCluster, wait_until
from tests.torture.command import Command
from tests.torture.compare import differences, temporary_files

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc"),
    pytest.mark.timeout(240),
]
ENDLESS = ("--set", "finetune.max_epochs=100000", "--set", "finetune.patience=100000")
LONG = ("--set", "finetune.max_epochs=800", "--set", "finetune.patience=800")

Start = Callable[..., Command]


def _fine_tuning(out: Path, count: int) -> bool:
    found = list(out.glob("runs/*.partial/metrics.csv"))
    return sum("finetune" in path.read_text() for path in found) >= count


def _checkpoints(out: Path) -> int:
    return len(list(out.glob("runs/*.partial/checkpoint.safetensors")))


def _epochs(out: Path) -> list[int]:
    return [len(path.read_text().splitlines()) for path in sorted(out.glob("runs/*/metrics.csv"))]


def test_a_cluster_and_a_killed_worker_change_no_bit_of_the_results(
    start: Start, tmp_path: Path, dask_cluster: DaskCluster
) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    words = ("replicate", "tiny", *LONG)
    command = start(*words, "--out", str(there), "--scheduler", dask_cluster.address)
    wait_until(lambda: _checkpoints(there) == 2, command)
    dask_cluster.kill_a_worker()
    said = command.said()
    assert command.process.returncode == 0, said
    assert "2 runs, 2 at a time" in said and "started  rect-25" in said
    assert "distributed" not in said
    local = CliRunner().invoke(app, [*words, "--out", str(here), "--jobs", "1"], prog_name="dae")
    assert local.exit_code == 0
    assert differences(there, here) == []
    assert temporary_files(there) == []


def test_a_command_that_is_killed_or_interrupted_leaves_checkpoints_and_free_workers(
    start: Start, tmp_path: Path, dask_cluster: DaskCluster
) -> None:
    out = tmp_path / "out"
    words = ("replicate", "tiny", *ENDLESS, "--out", str(out), "--scheduler", dask_cluster.address)
    killed = start(*words)
    wait_until(lambda: _fine_tuning(out, 2), killed)
    assert len(list(out.glob("runs/.*.lock"))) == 2
    killed.kill()
    wait_until(lambda: list(out.glob("runs/.*.lock")) == [])  # nobody has told the workers
    assert _checkpoints(out) == 2

    interrupted = start(*words)
    before = _epochs(out)
    wait_until(lambda: all(now > then for now, then in zip(_epochs(out), before, strict=True)))
    assert interrupted.end(signal.SIGINT) == 130
    said = interrupted.said()
    assert "goes on  rect-25" in said
    assert "stopping: runs finish their step and keep a checkpoint" in said
    assert said.splitlines()[-2:] == [
        "interrupted",
        "  the same command goes on from the last checkpoint",
    ]
    assert "Traceback" not in said and "distributed" not in said
    assert _checkpoints(out) == 2
    assert [name for name in temporary_files(out) if not name.endswith(".partial")] == []


def test_a_cluster_that_has_no_workers_or_goes_is_told_and_the_runs_keep_checkpoints(
    start: Start, tmp_path: Path, other_cluster: DaskCluster
) -> None:
    out, address = tmp_path / "out", other_cluster.address
    words = ("replicate", "tiny", *ENDLESS, "--out", str(out), "--scheduler", address)
    too_early = start(*words)
    assert f"--scheduler {address}: has no workers; start some with" in too_early.said()
    assert too_early.process.returncode == 1
    assert not out.exists()

    other_cluster.add_workers()
    command = start(*words)
    wait_until(lambda: _fine_tuning(out, 2), command)
    other_cluster.scheduler.kill()
    said = command.said()
    assert command.process.returncode == 1
    assert f"the connection to the Dask scheduler {address} is lost; the runs keep" in said
    assert "Traceback" not in said
    assert _checkpoints(out) == 2
    assert list(out.glob("runs/.*")) == []
