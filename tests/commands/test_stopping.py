"""The real command, stopped from outside: exit codes, what is said, what goes on, what is left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.torture.command import Command
from tests.torture.compare import differences, temporary_files

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc"),
    pytest.mark.timeout(240),
]
LONG = ("--set", "finetune.max_epochs=100000", "--set", "finetune.patience=100000")
WAIT = 90.0

Start = Callable[..., Command]


@pytest.fixture
def start(data_environment: dict[str, str], tmp_path: Path) -> Start:
    """Start `dae` with the words given, in the test's folder."""

    def start_it(*words: str) -> Command:
        return Command(words, data_environment, tmp_path / "logs")

    return start_it


def _fine_tuning(runs: Path, count: int) -> bool:
    """Tell whether so many runs have been pretrained."""
    found = list(runs.glob("*.partial/metrics.csv"))
    return sum("finetune" in path.read_text() for path in found) >= count


def _wait_until(condition: Callable[[], bool], command: Command) -> None:
    end = time.monotonic() + WAIT
    while not condition():
        assert command.process.poll() is None, command.said()
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def _lines(text: str, beginning: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(beginning)]


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_one_signal_keeps_checkpoints_says_how_to_go_on_and_leaves_no_process(
    start: Start, tmp_path: Path, number: int, code: int, word: str, jobs: str
) -> None:
    out = tmp_path / "out"
    command = start("replicate", "tiny", *LONG, "--out", str(out), "--jobs", jobs)
    _wait_until(lambda: _fine_tuning(out / "runs", int(jobs)), command)
    assert command.end(number) == code
    said = command.said()
    assert _lines(said, "stopping: runs finish their step and keep a checkpoint; once more stops")
    assert said.splitlines()[-2:] == [
        word,
        "  the same command goes on from the last checkpoint",
    ]
    assert "Traceback" not in said
    assert command.survivors() == []
    assert [name for name in temporary_files(out) if not name.endswith(".partial")] == []
    assert len(list(out.glob("runs/*.partial/checkpoint.safetensors"))) == int(jobs)


def test_ctrl_c_of_a_terminal_reaches_all_its_processes_and_is_handled_once(
    start: Start, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = start("replicate", "tiny", *LONG, "--out", str(out), "--jobs", "2")
    _wait_until(lambda: _fine_tuning(out / "runs", 2), command)
    for pid in (*command.others(), command.process.pid):
        _send(pid, signal.SIGINT)
    assert command.process.wait(WAIT) == 130
    assert command.survivors() == []
    assert len(list(out.glob("runs/*.partial/checkpoint.safetensors"))) == 2


def test_the_second_signal_ends_all_at_once(start: Start, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = start("replicate", "tiny", *LONG, "--out", str(out), "--jobs", "2")
    _wait_until(lambda: _fine_tuning(out / "runs", 2), command)
    for pid in command.workers():  # which can finish no step now
        _send(pid, signal.SIGSTOP)
    command.process.send_signal(signal.SIGTERM)
    time.sleep(1.0)
    assert command.process.poll() is None
    assert command.end(signal.SIGTERM) == 143
    assert command.survivors() == []


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_training_that_is_stopped_goes_on_with_resume(
    start: Start, tmp_path: Path, number: int
) -> None:
    out = tmp_path / "out"
    words = ("train", "tiny/rect-25", *LONG, "--out", str(out))
    command = start(*words)
    _wait_until(lambda: _fine_tuning(out, 1), command)
    assert command.end(number) == 128 + number
    assert "the same command with --resume goes on from the last checkpoint" in command.said()
    again = start(*words)
    assert not again.wait(0.0) and again.process.wait(WAIT) == 2
    assert "--resume goes on from its checkpoint" in again.said()
    resumed = start(*words, "--resume")
    metrics = next(out.glob("*.partial/metrics.csv"))
    before = len(metrics.read_text().splitlines())
    _wait_until(lambda: len(metrics.read_text().splitlines()) > before, resumed)
    assert resumed.end(signal.SIGTERM) == 143


def test_workers_of_a_command_that_is_killed_end_by_themselves(
    start: Start, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = start("replicate", "tiny", *LONG, "--out", str(out), "--jobs", "2")
    _wait_until(lambda: _fine_tuning(out / "runs", 2), command)
    assert len(command.others()) >= 2
    command.kill()
    assert command.survivors() == []


def test_workers_that_have_no_run_yet_end_with_their_command(start: Start, tmp_path: Path) -> None:
    command = start("replicate", "tiny", *LONG, "--out", str(tmp_path / "out"), "--jobs", "2")
    _wait_until(lambda: len(command.workers()) >= 1, command)
    command.kill()
    assert command.survivors() == []


def test_two_commands_on_one_folder_share_the_work(start: Start, tmp_path: Path) -> None:
    both = tmp_path / "both"
    words = ("replicate", "tiny", "--seeds", "2", "--jobs", "2")
    commands = [start(*words, "--out", str(both)) for _ in range(2)]
    said = _ended_well(commands)
    assert all(len(_lines(text, "done  ")) >= 1 for text in said)
    assert temporary_files(both) == []
    alone = tmp_path / "alone"
    _ended_well([start(*words, "--out", str(alone))])
    assert differences(both, alone) == []


def test_commands_of_different_cells_on_one_folder_lose_no_row(
    start: Start, tmp_path: Path, finished_study: tuple[Path, Any]
) -> None:
    both = tmp_path / "both"
    cells = ("rect-0", "rect-25")
    _ended_well([start("replicate", "tiny", "--only", cell, "--out", str(both)) for cell in cells])
    assert differences(both, finished_study[0] / "results" / "tiny") == []


def _ended_well(commands: Sequence[Command]) -> list[str]:
    said = [command.said() for command in commands]
    assert [command.process.returncode for command in commands] == [0] * len(commands), said
    return said


def test_a_run_that_another_command_makes_is_waited_for_or_refused(
    start: Start, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = (*LONG, "--out", str(out))
    first = start("replicate", "tiny", *words, "--only", "rect-0")
    _wait_until(lambda: _fine_tuning(out / "runs", 1), first)

    forcing = start("replicate", "tiny", *words, "--only", "rect-0", "--force")
    assert forcing.process.wait(WAIT) == 2
    assert "another dae process is making rect-0, which --force would take away" in forcing.said()

    training = start("train", "tiny/rect-0", *LONG, "--out", str(out / "runs"), "--resume")
    assert training.process.wait(WAIT) == 2
    assert "rect-0: another dae process is making this run; wait for it" in training.said()

    waiting = start("replicate", "tiny", *words, "--only", "rect-0")
    told = "another dae process is making rect-0; waiting for it"
    _wait_until(lambda: told in waiting.said_so_far(), waiting)
    first.kill()  # its lock is taken over
    checkpoint = next(out.glob("runs/*.partial/status.json"))
    before = checkpoint.stat().st_mtime_ns
    _wait_until(lambda: checkpoint.stat().st_mtime_ns > before, waiting)
    assert waiting.end(signal.SIGINT) == 130
