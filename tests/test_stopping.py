"""Commands that are stopped, killed or run at the same time lose nothing and leave nothing."""

from __future__ import annotations

import functools
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.children import PATIENCE, Child, wait_until
from tests.support.commands import Ended
from tests.support.compare import assert_same_results, differences, temporary_files
from tests.support.interrupts import signal_itself
from tests.support.tiny import read_csv, snapshot

pytestmark = [
    pytest.mark.usefixtures("tiny"),
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc"),
    pytest.mark.timeout(240),
]
ENDLESS = ("--set", "finetune.max_epochs=100000", "--set", "finetune.patience=100000")
LONG = ("--set", "finetune.max_epochs=150", "--set", "finetune.patience=150")
SAME_SIGNAL = 0.3
"""Seconds in which two signals count as one (docs/reliability.md)."""

Start = Callable[..., Child]


@pytest.fixture(autouse=True)
def _frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAE_CHECKPOINT_SECONDS", "0.05")


def saved_epochs(folder: Path) -> list[int]:
    """Return how many epochs of fine-tuning each unfinished run has saved."""
    found = sorted(folder.rglob("*.partial/metrics.csv"))
    return [sum("finetune" in line for line in path.read_text().splitlines()) for path in found]


def fine_tuning(folder: Path, runs: int) -> bool:
    """Return whether this many runs have saved an epoch of fine-tuning."""
    return sum(epochs > 0 for epochs in saved_epochs(folder)) >= runs


def list_below(folder: Path, pattern: str) -> list[Path]:
    """Return the files below a folder that match."""
    return list(folder.rglob(pattern))


def assert_stopped(child: Child, ended: Ended, code: int, out: Path, runs: int) -> None:
    """Check that a command stopped properly: code, remedy, checkpoints, no leftovers."""
    ended.failed(code, "the same command")
    assert child.survivors() == []
    assert [name for name in temporary_files(out) if not name.endswith(".partial")] == []
    assert len(list(out.glob("runs/*.partial/checkpoint.safetensors"))) == runs


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_one_signal_keeps_a_checkpoint_and_the_same_command_goes_on(
    child: Start, tmp_path: Path, number: int, code: int
) -> None:
    out = tmp_path / "out"
    words = ("replicate", "tiny", *ENDLESS, "--out", str(out))
    first = child(*words)
    wait_until(lambda: fine_tuning(out, 1), first)
    assert_stopped(first, first.end(number), code, out, runs=1)
    before = saved_epochs(out)
    again = child(*words)
    wait_until(lambda: saved_epochs(out) > before, again)
    assert_stopped(again, again.end(number), code, out, runs=1)
    rows = [row for row in read_csv(next(out.rglob("metrics.csv"))) if row["phase"] == "finetune"]
    assert [int(row["epoch"]) for row in rows] == list(range(1, len(rows) + 1))  # none twice
    assert len(rows) > before[0]


def test_a_run_stopped_by_a_signal_ends_with_the_bits_of_one_that_was_not(
    dae: Callable[..., Ended], child: Start, tmp_path: Path
) -> None:
    words = ("replicate", "tiny", *LONG)
    stopped, second = tmp_path / "stopped", "*-25-*.partial/checkpoint.safetensors"
    for number, condition in (
        (signal.SIGTERM, functools.partial(fine_tuning, stopped, 1)),
        (signal.SIGKILL, functools.partial(list_below, stopped, second)),
    ):
        prepare = (functools.partial(signal_itself, number, condition),)
        command = child(*words, "--out", "stopped", prepare=prepare)
        assert command.wait().code == 128 + number
        assert command.survivors() == []
    dae(*words, "--out", "stopped").succeeded()
    dae(*words, "--out", "whole").succeeded()
    assert_same_results(tmp_path / "stopped", tmp_path / "whole")


def test_two_signals_in_one_moment_count_as_one(child: Start, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = child("replicate", "tiny", *ENDLESS, "--out", str(out))
    wait_until(lambda: fine_tuning(out, 1), command)
    for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
        command.send(number)  # both are pending when it continues
    ended = command.wait()
    assert_stopped(command, ended, ended.code, out, runs=1)
    assert ended.code in (130, 143)  # whichever came first


def test_training_that_is_stopped_goes_on(child: Start, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("train", "tiny/rect-25", *ENDLESS, "--out", str(out))
    command = child(*words)
    wait_until(lambda: fine_tuning(out, 1), command)
    command.end(signal.SIGINT).failed(130, "to resume", "the same command")
    before = saved_epochs(out)
    resumed = child(*words)
    wait_until(lambda: saved_epochs(out) > before, resumed)
    resumed.end(signal.SIGTERM).failed(143, "to resume", "the same command")


def test_a_signal_outside_of_training_ends_the_command_at_once(
    child: Start, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # never answers
        silent.settimeout(PATIENCE)
        environment = {
            "DAE_DATA_DIR": "",
            "DAE_CACHE_DIR": str(tmp_path / "cache"),
            "DAE_MIRROR": f"http://127.0.0.1:{silent.getsockname()[1]}/",
        }
        words = ("data", "fetch", "rect", "--origin", "original")
        command = child(*words, environment=environment)
        connection, _ = silent.accept()
        with connection:
            for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
                command.send(number)  # both are pending when it continues, and count as one
            assert command.wait().failed(130).err.count("interrupted") == 1
    assert command.survivors() == []


def test_ctrl_c_and_a_killed_worker_and_a_killed_command_with_two_jobs(
    child: Start, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("replicate", "tiny", *ENDLESS, "--out", str(out), "--jobs", "2")
    command = child(*words)
    wait_until(lambda: fine_tuning(out, 2), command)
    for pid in (*command.others(), command.pid):  # to every process, like a terminal
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
    assert_stopped(command, command.wait(), 130, out, runs=2)

    again = child(*words)
    before = saved_epochs(out)
    wait_until(lambda: all(n > b for n, b in zip(saved_epochs(out), before, strict=True)), again)
    os.kill(again.workers()[0], signal.SIGKILL)
    wait_until(lambda: "killed" in again.err, again)
    before = saved_epochs(out)
    wait_until(lambda: saved_epochs(out) > before, again)  # one run at a time, from its checkpoint
    again.kill()
    assert again.survivors() == []


def test_the_second_signal_ends_all_at_once(child: Start, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = child("replicate", "tiny", *ENDLESS, "--out", str(out), "--jobs", "2")
    wait_until(lambda: fine_tuning(out, 2), command)
    for pid in command.workers():  # which cannot finish a step now
        os.kill(pid, signal.SIGSTOP)
    command.send(signal.SIGTERM)
    wait_until(lambda: "stopping" in command.err, command)
    time.sleep(2 * SAME_SIGNAL)
    assert command.poll() is None
    assert command.end(signal.SIGTERM).code == 143
    assert command.survivors() == []


@pytest.mark.slow
def test_a_worker_that_a_scheduler_terminates_keeps_a_checkpoint_and_all_stop(
    child: Start, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = child("replicate", "tiny", *ENDLESS, "--out", str(out), "--jobs", "2")
    wait_until(lambda: fine_tuning(out, 2), command)
    os.kill(command.workers()[0], signal.SIGTERM)
    assert_stopped(command, command.wait(), 143, out, runs=2)


@pytest.mark.slow
def test_a_run_whose_worker_is_killed_again_and_again_fails_and_the_others_go_on(
    child: Start, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    cell = tmp_path / "experiments" / "tiny" / "rect-25.yaml"
    cell.write_text(cell.read_text() + "finetune: {max_epochs: 100000, patience: 100000}\n")
    command = child("replicate", "tiny", "--out", str(out), "--jobs", "2")
    wait_until(lambda: list(out.glob("runs/rect-saa2-0-s0-????????")), command)  # the run is done
    while command.poll() is None:
        for pid in command.workers() if fine_tuning(out, 1) else ():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    command.wait().failed(1, "killed")
    done, lost = read_csv(out / "runs.csv")
    assert (done["cell"], done["error"]) == ("rect-0", "")
    assert "killed" in lost["error"] and "checkpoint" in lost["error"]
    assert command.survivors() == []


def test_two_commands_on_one_folder_share_the_work(
    dae: Callable[..., Ended], child: Start, tmp_path: Path
) -> None:
    words = ("replicate", "tiny", "--seeds", "3")
    commands = [child(*words, "--out", "both") for _ in range(2)]
    ended = [command.wait().succeeded() for command in commands]
    errors = [line for one in ended for line in one.err.splitlines()]
    started = [line for line in errors if line.startswith("started")]
    assert len(set(started)) == len(started) == 6  # each run in one of them only
    dae(*words, "--out", "alone").succeeded()
    assert_same_results(tmp_path / "both", tmp_path / "alone")


def test_commands_of_different_cells_on_one_folder_lose_no_row(
    child: Start, tmp_path: Path, finished: tuple[Path, Ended]
) -> None:
    cells = ("rect-0", "rect-25")
    commands = [child("replicate", "tiny", "--only", cell, "--out", "both") for cell in cells]
    for command in commands:
        command.wait().succeeded()
    assert differences(tmp_path / "both", finished[0]) == []


def test_a_run_that_another_command_makes_is_waited_for_or_refused(
    child: Start, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = (*ENDLESS, "--out", str(out))
    only = ("--only", "rect-0")
    first = child("replicate", "tiny", *words, *only)
    wait_until(lambda: fine_tuning(out, 1), first)
    child("replicate", "tiny", *words, *only, "--force").wait().failed(2, "rect-0", "--force")
    training = child("train", "tiny/rect-0", *ENDLESS, "--out", str(out / "runs"), "--resume")
    training.wait().failed(2, "rect-0", "another")

    waiting = child("replicate", "tiny", *words, *only)
    wait_until(lambda: "rect-0" in waiting.err and "waiting" in waiting.err, waiting)
    first.kill()  # its lock is released, and the second takes over the run
    before = saved_epochs(out)
    wait_until(lambda: saved_epochs(out) > before, waiting)
    assert waiting.end(signal.SIGINT).code == 130


def test_a_forced_run_that_is_killed_leaves_the_finished_one_or_a_stopped_one(
    child: Start, done: Path
) -> None:
    before = snapshot(done)
    command = child("replicate", "tiny", *("--force", "--only", "rect-0"))
    wait_until(lambda: "started" in command.err, command)
    command.kill()
    child("replicate", "tiny").wait().succeeded()
    now = snapshot(done)
    assert sorted(now) == sorted(before)
    assert all(now[name] == before[name] for name in now if name.endswith(".safetensors"))


def test_seconds_between_checkpoints_that_are_no_number_are_refused(
    dae: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("often", "-1", "nan"):
        monkeypatch.setenv("DAE_CHECKPOINT_SECONDS", value)
        dae("train", "tiny/rect-0").failed(2, "DAE_CHECKPOINT_SECONDS", value)
