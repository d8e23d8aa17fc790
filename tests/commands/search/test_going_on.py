"""A search that is killed, stopped or shared: nothing lost, nothing counted twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dae_cli.errors import DataError, OutputError
from dae_cli.search import trial as trials
from dae_cli.search import workers as search_workers
from dae_cli.search.claim import TrialLeftError
from dae_cli.search.trial import TrialKeeper
from dae_cli.search.workers import TimedStop
from dae_cli.study.locks import HeldError
from dae_cli.study.run import keeper
from dae_cli.study.tables.trial_rows import TrialRow, read_csv
from dae_cli.study.workers.files import WorkerFiles
from dae_cli.training.checkpoint import save_checkpoint
from dae_cli.training.state import TrainingState
from tests.commands.conftest import Ended
from tests.commands.search.conftest import TRIALS
from tests.commands.search.test_search import ONE, rows_in

Dae = Callable[..., Ended]


class KilledError(BaseException):
    """Stands for the end of the process at this very place."""


def whole(finished_search: tuple[Path, Ended]) -> list[TrialRow]:
    return rows_in(finished_search[0])


@pytest.mark.parametrize("at", [1, 4, 7])
def test_killed_at_any_epoch_the_same_command_comes_to_the_same_trials(
    dae: Dae,
    tmp_path: Path,
    finished_search: tuple[Path, Ended],
    monkeypatch: pytest.MonkeyPatch,
    at: int,
) -> None:
    epochs = 0
    done = TrialKeeper.epoch_done

    def count(self: TrialKeeper, state: TrainingState) -> None:
        nonlocal epochs
        epochs += 1
        done(self, state)
        if epochs == at:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(TrialKeeper, "epoch_done", count)
        with pytest.raises(KilledError):
            dae(*ONE, "--trials", TRIALS)
    assert dae(*ONE, "--trials", TRIALS).code == 0
    assert rows_in(tmp_path) == whole(finished_search)
    assert not list((tmp_path / "results/tiny/search/trials").iterdir())


@pytest.mark.parametrize("name", ["set_trial_state_values", "set_trial_param"])
def test_killed_within_the_storage_the_same_command_comes_to_the_same_trials(
    dae: Dae,
    tmp_path: Path,
    finished_search: tuple[Path, Ended],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    from optuna.storages import JournalStorage

    calls = 0
    real: Any = getattr(JournalStorage, name)

    def killed(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KilledError
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(JournalStorage, name, killed)
        with pytest.raises(KilledError):
            dae(*ONE, "--trials", TRIALS)
    assert dae(*ONE, "--trials", TRIALS).code == 0
    assert rows_in(tmp_path) == whole(finished_search)


class FailingSave:
    """Stands for `keeper.save_checkpoint`, and raises at one of its calls."""

    def __init__(self, at: int, error: Exception) -> None:
        self._left, self._error = at, error

    def __call__(self, *arguments: Any) -> None:
        self._left -= 1
        if self._left == 0:
            raise self._error
        save_checkpoint(*arguments)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OutputError("no room left; make room"), "no room left; make room"),
        (OSError(5, "Input/output error"), "OSError: [Errno 5] Input/output error"),
        (HeldError("the journal is held"), "the journal is held"),
        (MemoryError("others took it"), "the memory ran out (others took it)"),
    ],
)
def test_a_trial_that_fails_by_no_fault_of_its_own_is_not_over(
    dae: Dae,
    tmp_path: Path,
    finished_search: tuple[Path, Ended],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    told: str,
) -> None:
    monkeypatch.setattr(keeper, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(keeper, "MOST_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(keeper, "save_checkpoint", FailingSave(4, error))
        ended = dae(*ONE, "--trials", TRIALS)
    assert ended.code == 1
    assert (
        f"rect-0 trial 1: {told}" in ended.err
        and "the trial is not over: when that is mended, the same command goes on" in ended.err
    )
    (left,) = (tmp_path / "results/tiny/search/trials").glob("*.partial")
    assert (left / "checkpoint.safetensors").exists()
    assert "Selected" not in (tmp_path / "experiments/tiny/rect-0.yaml").read_text()
    assert dae(*ONE, "--trials", TRIALS).code == 0
    assert rows_in(tmp_path) == whole(finished_search)


def test_where_a_trial_of_a_worker_cannot_go_on_the_others_keep_a_checkpoint_and_it_is_told(
    dae: Dae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def outcomes(calls: Iterator[Any], workers: int) -> Iterator[Any]:
        next(calls)
        yield TrialLeftError("rect-0 trial 1: no room left")
        assert asked == [1]
        yield None

    monkeypatch.setattr(search_workers, "in_workers", outcomes)
    monkeypatch.setattr(WorkerFiles, "ask_to_stop", lambda _: asked.append(1))
    ended = dae("search", "tiny", "--jobs", "2", "--trials", "1")
    assert ended.code == 1
    assert "rect-0 trial 1: no room left" in ended.err


def test_data_that_cannot_be_read_end_the_command_and_no_trial(
    dae: Dae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise DataError("rect.npz: is damaged")

    with monkeypatch.context() as patch:
        patch.setattr(trials, "load", fail)
        ended = dae(*ONE, "--trials", "1")
    assert ended.code == 1
    assert "rect-0 trial 1: rect.npz: is damaged" in ended.err
    assert not (tmp_path / "results/tiny/search.csv").exists()
    assert dae(*ONE, "--trials", "1").code == 0
    assert [row.state for row in rows_in(tmp_path)] == ["complete"]


def test_asking_what_there_is_writes_nothing_into_the_journal(dae: Dae, searched: Path) -> None:
    journal = searched / "search/trials.journal"
    before = journal.read_bytes()
    assert dae("search", "tiny", "--dry-run").code == 0
    assert journal.read_bytes() == before


def test_what_is_left_of_a_trial_that_has_ended_is_swept(dae: Dae, searched: Path) -> None:
    row = rows_in(searched.parents[1])[0]
    left = searched / f"search/trials/rect-0-{row.search[:8]}-1.partial"
    left.mkdir()
    (left / "checkpoint.safetensors").touch()
    assert dae(*ONE, "--trials", TRIALS).lines[-1].startswith("0 trials in ")
    assert not left.exists()
    assert rows_in(searched.parents[1])[0] == row


def test_interrupted_it_keeps_a_checkpoint_says_how_to_go_on_and_goes_on(
    dae: Dae,
    tmp_path: Path,
    finished_search: tuple[Path, Ended],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done, epochs = TrialKeeper.epoch_done, 0

    def interrupt(self: TrialKeeper, state: TrainingState) -> None:
        nonlocal epochs
        epochs += 1
        if epochs == 5:
            os.kill(os.getpid(), signal.SIGINT)
        done(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(TrialKeeper, "epoch_done", interrupt)
        ended = dae(*ONE, "--trials", TRIALS)
    assert ended.code == 130
    assert "the same command goes on from the last checkpoint" in ended.err
    (left,) = (tmp_path / "results/tiny/search/trials").iterdir()
    assert (left / "checkpoint.safetensors").exists()
    assert "written" not in ended.err
    assert dae(*ONE, "--trials", TRIALS).code == 0
    assert rows_in(tmp_path) == whole(finished_search)


def test_when_the_hours_are_over_the_trial_keeps_a_checkpoint_and_the_rest_is_selected(
    dae: Dae,
    tmp_path: Path,
    finished_search: tuple[Path, Ended],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done, epochs = TrialKeeper.epoch_done, 0

    def count(self: TrialKeeper, state: TrainingState) -> None:
        nonlocal epochs
        epochs += 1
        done(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(TrialKeeper, "epoch_done", count)
        patch.setattr(TimedStop, "late", property(lambda _: epochs >= 12))
        ended = dae(*ONE, "--hours", "1")
    assert ended.code == 0
    assert ", until the time ran out · " in ended.lines[-1]
    assert len(list((tmp_path / "results/tiny/search/trials").glob("*/checkpoint*"))) == 1
    before = rows_in(tmp_path)
    assert 1 <= len(before) < TRIALS
    assert f" of {len(before)}" in (tmp_path / "experiments/tiny/rect-0.yaml").read_text()
    assert dae(*ONE, "--trials", TRIALS).code == 0
    assert rows_in(tmp_path) == whole(finished_search)


def test_a_trial_of_another_results_folder_is_not_taken_away(
    dae: Dae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "shared.journal"

    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(trials, "train", killed)
        with pytest.raises(KilledError):
            dae(*ONE, "--trials", "3", "--storage", journal, "--out", "here")
    ended = dae(*ONE, "--trials", "3", "--storage", journal, "--out", "there")
    assert ended.code == 0
    assert "1 trial is being made, or stopped, in other results folders" in ended.err
    assert [row.trial for row in read_csv(tmp_path / "there/search.csv")] == [2, 3]
    assert dae(*ONE, "--trials", "3", "--storage", journal, "--out", "here").code == 0
    assert [row.trial for row in read_csv(tmp_path / "here/search.csv")] == [1, 2, 3]


def _command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "dae_cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        start_new_session=True,
    )


@pytest.mark.process
def test_a_command_with_workers_is_killed_and_the_next_one_ends_as_if_it_had_not_been(
    dae: Dae, tmp_path: Path, finished_search: tuple[Path, Ended]
) -> None:
    command = _command("search", "tiny", "--trials", str(TRIALS), "--jobs", "2")
    search = tmp_path / "results/tiny/search/trials"
    deadline = time.monotonic() + 90
    while not list(search.glob("*.partial/checkpoint.safetensors")):
        assert time.monotonic() < deadline, command.poll()
        time.sleep(0.01)
    os.killpg(command.pid, signal.SIGKILL)
    command.communicate()
    again = _command("search", "tiny", "--trials", str(TRIALS), "--jobs", "2")
    output, _ = again.communicate(timeout=100)
    assert again.returncode == 0, output
    # A random search draws the same settings whoever makes a trial; what is pruned depends on
    # which trials were complete by then, and so on the order in which two workers come.
    found, expected = rows_in(tmp_path), whole(finished_search)
    assert [row.settings for row in found] == [row.settings for row in expected]
    both = [pair for pair in zip(found, expected, strict=True) if pair[0].state == pair[1].state]
    assert both
    for ours, theirs in both:
        assert replace(ours, versions="") == replace(theirs, versions="")
    assert not list(search.iterdir())


@pytest.mark.process
def test_two_commands_on_one_storage_share_the_work(tmp_path: Path) -> None:
    arguments = ("search", "tiny", "--trials", "6", "--jobs", "1")
    commands = [_command(*arguments), _command(*arguments)]
    outputs = [command.communicate(timeout=110)[0] for command in commands]
    assert [command.returncode for command in commands] == [0, 0], outputs
    for cell in ("rect-0", "rect-25"):
        assert [row.trial for row in rows_in(tmp_path, cell)] == [1, 2, 3, 4, 5, 6]
    told = [
        line.split(":")[0]
        for output in outputs
        for line in output.splitlines()
        if line.startswith(("complete", "pruned"))
    ]
    assert len(told) == len(set(told)) == 12  # each trial by one of them, and by no other
