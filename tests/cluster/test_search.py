"""`dae search --scheduler` on a real scheduler with two workers, on loopback."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dae_cli.commands.app import app
from dae_cli.study.tables.trial_rows import TrialRow, read_csv
from tests.cluster.dask import DaskCluster, wait_until
from tests.torture.command import Command
from tests.torture.compare import temporary_files

on_a_cluster = [
    pytest.mark.process,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc"),
    pytest.mark.timeout(240),
]
SECTION = """\
search:
  - cells: rect-*
    space:
      units: {low: 4, high: 16, step: 4}
      finetune.learning_rate: {low: 0.1, high: 2.0, log: true}
    prune: {after_trials: 99}
"""
ENDLESS = 100_000
Start = Callable[..., Command]


@pytest.fixture
def searched(tmp_path: Path) -> Callable[[int], None]:
    """Give the tiny study a search section and so many epochs of fine-tuning."""

    def write(epochs: int) -> None:
        path = tmp_path / "experiments/tiny/study.yaml"
        text = path.read_text().replace("max_epochs: 4, patience: 4", "max_epochs: N, patience: N")
        path.write_text(text.replace(": N", f": {epochs}") + SECTION)

    return write


def _rows(out: Path) -> list[TrialRow]:
    return [replace(row, minutes=None) for row in read_csv(out / "search.csv")]


def _epochs_told(out: Path) -> int:
    """Epochs of fine-tuning that the pruner was told of."""
    journal = out / "search/trials.journal"
    return journal.read_text().count("intermediate_value") if journal.exists() else 0


def _checkpoints(out: Path) -> int:
    return len(list(out.glob("search/trials/*.partial/checkpoint.safetensors")))


def _epochs(out: Path) -> list[int]:
    found = sorted(out.glob("search/trials/*.partial/metrics.csv"))
    return [len(path.read_text().splitlines()) for path in found]


def _makers(out: Path) -> dict[str, int]:
    """The trials that are being made, and the processes that hold their locks."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        entries: list[Path] = []
        with suppress(OSError):  # it has ended meanwhile
            entries = list((process / "fd").iterdir())
        for entry in entries:
            with suppress(OSError):
                file = entry.readlink()
                if file.parent == out / "search/trials" and file.suffix == ".lock":
                    found[file.stem] = int(process.name)
    return found


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


class TestOnACluster:
    """With the cluster that all tests share, or one of its own."""

    pytestmark = on_a_cluster

    def test_a_cluster_and_a_killed_worker_change_no_bit_of_search_csv(
        self,
        start: Start,
        tmp_path: Path,
        dask_cluster: DaskCluster,
        searched: Callable[[int], None],
    ) -> None:
        searched(60)
        there, here = tmp_path / "there", tmp_path / "here"
        words = ("search", "tiny", "--trials", "2", "--no-write")
        command = start(*words, "--out", str(there), "--scheduler", dask_cluster.address)
        wait_until(lambda: len(_makers(there)) == 2 and _checkpoints(there) > 0, command)
        _kill(_makers(there).popitem()[1])
        said = command.said()
        assert command.process.returncode == 0, said
        assert "complete rect-25 trial 2: " in said
        assert "distributed" not in said
        local = CliRunner().invoke(app, [*words, "--out", str(here), "--jobs", "1"])
        assert local.exit_code == 0, local.output
        assert len(_rows(there)) == 4
        assert _rows(there) == _rows(here)
        assert temporary_files(there) == []
        assert list((there / "search/trials").iterdir()) == []

    def test_a_killed_command_frees_the_workers_and_a_killed_worker_loses_no_checkpoint(
        self,
        start: Start,
        tmp_path: Path,
        dask_cluster: DaskCluster,
        searched: Callable[[int], None],
    ) -> None:
        searched(ENDLESS)
        out = tmp_path / "out"
        words = ("search", "tiny", "--out", str(out), "--scheduler", dask_cluster.address)
        killed = start(*words)
        wait_until(lambda: _epochs_told(out) > 100, killed)
        killed.kill()
        wait_until(lambda: _makers(out) == {})  # nobody has told the workers
        before = _epochs(out)
        assert len(before) == _checkpoints(out) == 2

        interrupted = start(*words)
        wait_until(lambda: len(_makers(out)) == 2, interrupted)
        name, pid = _makers(out).popitem()
        _kill(pid)
        wait_until(lambda: _makers(out).get(name, pid) != pid, interrupted)
        assert interrupted.end(signal.SIGINT) == 130
        said = interrupted.said()
        assert "stopping: runs finish their step and keep a checkpoint" in said
        assert said.splitlines()[-2:] == [
            "interrupted",
            "  the same command goes on from the last checkpoint",
        ]
        assert "Traceback" not in said and "distributed" not in said
        assert len(_epochs(out)) == _checkpoints(out) == 2  # no other trial was begun
        assert all(now >= then for now, then in zip(_epochs(out), before, strict=True))
        assert _makers(out) == {}

    def test_a_trial_whose_workers_are_killed_again_and_again_fails_and_the_next_is_begun(
        self,
        start: Start,
        tmp_path: Path,
        dask_cluster: DaskCluster,
        searched: Callable[[int], None],
    ) -> None:
        searched(ENDLESS)
        out = tmp_path / "out"
        words = ("search", "tiny", "--only", "rect-0", "--jobs", "1", "--out", str(out))
        command = start(*words, "--scheduler", dask_cluster.address)
        wait_until(lambda: _makers(out) != {}, command)
        ((name, pid),) = _makers(out).items()
        _kill(pid)
        wait_until(lambda: _makers(out).get(name, pid) != pid, command)
        _kill(_makers(out)[name])
        second = "search/trials/rect-0-*-2.partial/checkpoint.safetensors"
        wait_until(lambda: list(out.glob(second)) != [], command)
        assert command.end(signal.SIGINT) == 130
        assert "failed   rect-0 trial 1: its worker was killed again and again" in command.said()
        assert [(row.trial, row.state) for row in _rows(out)] == [(1, "failed")]
        assert _checkpoints(out) == 1

    def test_a_cluster_that_has_no_workers_or_goes_is_told_and_the_trials_keep_checkpoints(
        self,
        start: Start,
        tmp_path: Path,
        other_cluster: DaskCluster,
        searched: Callable[[int], None],
    ) -> None:
        searched(ENDLESS)
        out, address = tmp_path / "out", other_cluster.address
        words = ("search", "tiny", "--out", str(out), "--scheduler", address)
        too_early = start(*words)
        assert f"--scheduler {address}: has no workers; start some with" in too_early.said()
        assert too_early.process.returncode == 1
        assert not out.exists()

        other_cluster.add_workers()
        command = start(*words)
        wait_until(lambda: len(_makers(out)) == 2, command)
        trials = set(_makers(out))
        other_cluster.scheduler.kill()
        said = command.said()
        assert command.process.returncode == 1
        assert f"the connection to the Dask scheduler {address} is lost; the runs keep" in said
        assert "Traceback" not in said
        assert _checkpoints(out) == 2
        assert _makers(out) == {}

        again = start("search", "tiny", "--out", str(out), "--jobs", "2")  # without a cluster
        wait_until(lambda: set(_makers(out)) == trials, again)
        assert again.end(signal.SIGINT) == 130

    def test_workers_that_do_not_reach_the_storage_are_named_and_no_trial_is_begun(
        self,
        start: Start,
        tmp_path: Path,
        dask_cluster: DaskCluster,
        searched: Callable[[int], None],
    ) -> None:
        searched(4)
        out = tmp_path / "out"
        words = ("search", "tiny", "--out", str(out), "--scheduler", dask_cluster.address)
        command = start(*words, "--storage", "sqlite:///trials.db")  # where each process works
        said = command.said()
        assert command.process.returncode == 2
        told = [line for line in said.splitlines() if "all workers must reach" in line]
        assert len(told) == 2 and all(line.startswith("tcp://127.0.0.1:") for line in told)
        assert "does not see the command's trials in sqlite:///trials.db; all workers" in said
        assert not (out / "search.csv").exists()
        assert "Traceback" not in said

        shared = f"sqlite:///{tmp_path}/shared.db"
        command = start(*words, "--storage", shared, "--trials", "1", "--no-write")
        said = command.said()
        assert command.process.returncode == 0, said
        assert [(row.cell, row.trial) for row in _rows(out)] == [("rect-0", 1), ("rect-25", 1)]
