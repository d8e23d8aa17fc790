"""`dae search --scheduler` on a real scheduler with two workers, on loopback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dae_cli.commands.app import app
from dae_cli.search.cluster_storage import Wanted, storage_unfitness
from dae_cli.search.rows import TrialRow, read_csv
from dae_cli.search.storage import open_study
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


def _checkpoints(out: Path) -> int:
    return len(list(out.glob("search/trials/*.partial/checkpoint.safetensors")))


def _epochs(out: Path) -> list[int]:
    found = sorted(out.glob("search/trials/*.partial/metrics.csv"))
    return [len(path.read_text().splitlines()) for path in found]


def _locks(out: Path) -> int:
    return len(list(out.glob("search/trials/.*.lock")))


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
        searched(150)
        there, here = tmp_path / "there", tmp_path / "here"
        words = ("search", "tiny", "--trials", "3", "--no-write")
        command = start(*words, "--out", str(there), "--scheduler", dask_cluster.address)
        wait_until(lambda: _checkpoints(there) == 2, command)
        dask_cluster.kill_a_worker()
        said = command.said()
        assert command.process.returncode == 0, said
        assert "complete rect-25 trial 3: " in said
        assert "distributed" not in said
        local = CliRunner().invoke(
            app, [*words, "--out", str(here), "--jobs", "1"], prog_name="dae"
        )
        assert local.exit_code == 0, local.output
        assert len(_rows(there)) == 6
        assert _rows(there) == _rows(here)
        assert temporary_files(there) == []
        assert list((there / "search/trials").iterdir()) == []

    def test_a_command_that_is_killed_or_interrupted_leaves_checkpoints_and_free_workers(
        self,
        start: Start,
        tmp_path: Path,
        dask_cluster: DaskCluster,
        searched: Callable[[int], None],
    ) -> None:
        searched(100_000)
        out = tmp_path / "out"
        words = ("search", "tiny", "--out", str(out), "--scheduler", dask_cluster.address)
        killed = start(*words)
        wait_until(lambda: min([*_epochs(out), 0][:2]) > 5, killed)
        assert _locks(out) == 2
        killed.kill()
        wait_until(lambda: _locks(out) == 0)  # nobody has told the workers
        assert _checkpoints(out) == 2

        interrupted = start(*words)
        before = _epochs(out)
        wait_until(lambda: all(now > then for now, then in zip(_epochs(out), before, strict=True)))
        assert interrupted.end(signal.SIGINT) == 130
        said = interrupted.said()
        assert "stopping: runs finish their step and keep a checkpoint" in said
        assert said.splitlines()[-2:] == [
            "interrupted",
            "  the same command goes on from the last checkpoint",
        ]
        assert "Traceback" not in said and "distributed" not in said
        assert len(_epochs(out)) == _checkpoints(out) == 2  # no other trial was begun
        assert _locks(out) == 0

    def test_a_trial_goes_on_elsewhere_and_fails_where_its_workers_are_killed_again_and_again(
        self,
        start: Start,
        tmp_path: Path,
        dask_cluster: DaskCluster,
        searched: Callable[[int], None],
    ) -> None:
        searched(100_000)
        out = tmp_path / "out"
        words = ("search", "tiny", "--only", "rect-0", "--jobs", "1", "--out", str(out))
        command = start(*words, "--scheduler", dask_cluster.address)
        wait_until(lambda: sum(_epochs(out)) > 20, command)
        before = _epochs(out)
        for pid in dask_cluster.worker_pids():
            os.kill(pid, signal.SIGKILL)
        seen: set[int] = set()

        def is_further() -> bool:
            seen.update(_epochs(out))
            return sum(_epochs(out)) > before[0] + 20

        wait_until(is_further, command)
        assert min(seen) >= before[0]  # from its checkpoint, not from the start
        for pid in dask_cluster.worker_pids():
            os.kill(pid, signal.SIGKILL)
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
        searched(100_000)
        out, address = tmp_path / "out", other_cluster.address
        words = ("search", "tiny", "--out", str(out), "--scheduler", address)
        too_early = start(*words)
        assert f"--scheduler {address}: has no workers; start some with" in too_early.said()
        assert too_early.process.returncode == 1
        assert not out.exists()

        other_cluster.add_workers()
        command = start(*words)
        wait_until(lambda: min([*_epochs(out), 0][:2]) > 5, command)
        other_cluster.scheduler.kill()
        said = command.said()
        assert command.process.returncode == 1
        assert f"the connection to the Dask scheduler {address} is lost; the runs keep" in said
        assert "Traceback" not in said
        assert _checkpoints(out) == 2
        assert _locks(out) == 0

        # The same command goes on, with another scheduler or without one.
        before = _epochs(out)
        again = start("search", "tiny", "--out", str(out), "--jobs", "2")
        wait_until(
            lambda: all(now > then for now, then in zip(_epochs(out), before, strict=True)), again
        )
        assert again.end(signal.SIGINT) == 130
        assert len(_epochs(out)) == 2

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
        told = [line for line in said.splitlines() if "does not see the command's trials" in line]
        assert len(told) == 2 and all(line.startswith("tcp://127.0.0.1:") for line in told)
        assert "in sqlite:///trials.db; all workers must reach the storage: a database" in told[0]
        assert _rows(out) == []
        assert "Traceback" not in said

        command = start(*words, "--storage", f"sqlite:///{tmp_path}/trials.db", "--trials", "1")
        assert command.process.wait(100) == 0, command.said()
        assert [(row.cell, row.trial) for row in _rows(out)] == [("rect-0", 1), ("rect-25", 1)]


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    """The storage of a command that has one study."""
    from optuna import version

    storage = str(tmp_path / "trials.journal")
    study = open_study(storage, "tiny/rect-0/1a2b")
    study.set_user_attr("place 7", True)
    return Wanted(storage, ("tiny/rect-0/1a2b",), "place 7", version.__version__)


def test_a_worker_that_sees_the_storage_fits(wanted: Wanted) -> None:
    assert storage_unfitness(wanted) == ""


def test_a_worker_that_sees_another_storage_does_not_fit_and_makes_nothing(
    wanted: Wanted, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    other = replace(wanted, storage=str(elsewhere / "trials.journal"))
    assert storage_unfitness(other).startswith("does not see the command's trials in ")
    assert not elsewhere.exists()
    assert storage_unfitness(replace(wanted, studies=("other",))) != ""
    assert storage_unfitness(replace(wanted, mark="place of another folder")) != ""


def test_a_storage_that_was_removed_and_made_anew_is_read_anew(
    wanted: Wanted, tmp_path: Path
) -> None:
    assert storage_unfitness(wanted) == ""
    Path(wanted.storage).unlink()
    assert storage_unfitness(replace(wanted, command="a later one")) != ""


def test_a_database_that_a_worker_cannot_open_is_told_without_its_password(wanted: Wanted) -> None:
    told = storage_unfitness(replace(wanted, storage="nosuch://user:secret@host/searches"))
    assert told.startswith("--storage nosuch://user:…@host/searches: cannot be opened (")
    assert told.endswith("choose it with --storage")
    assert "secret" not in told


def test_a_worker_without_optuna_or_with_another_version_does_not_fit(
    wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = storage_unfitness(replace(wanted, optuna="0.1"))
    assert other.startswith("has optuna ") and "the command has 0.1; install the same" in other
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert "dae search needs optuna" in (told := storage_unfitness(wanted))
    assert "pip install 'dae[search]'" in told
