"""`dae replicate`: the grid, the table, skipping, failing, stopping."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dae_cli.study.rows import RunRow, read_rows
from dae_cli.study.workers import pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.commands.conftest import Ended

    Dae = Callable[..., Ended]


def test_stdout_has_the_table_and_the_count_stderr_the_rest(
    finished_study: tuple[Path, Ended],
) -> None:
    folder, ended = finished_study
    assert ended.code == 0, ended.err
    header, *rows, last = ended.lines
    assert header.split() == ["dataset", "destruction", "ours", "paper", "gap", "verdict"]
    assert [row.split()[:3] for row in rows] == [["rect", "0", "%"], ["rect", "25", "%"]]
    assert all(row.split()[6:] == ["-", "-", "no", "reference"] for row in rows)
    assert re.fullmatch(r"2 done, 0 skipped, 0 failed in \d+ s · results/tiny/REPORT.md", last)
    assert (folder / "results/tiny/REPORT.md").is_file()


def test_a_pipe_gets_one_plain_line_when_a_run_starts_and_one_when_it_ends(
    finished_study: tuple[Path, Ended],
) -> None:
    err = finished_study[1].err
    assert "\x1b" not in err + finished_study[1].out
    lines = [line for line in err.splitlines() if line.startswith(("started", "done "))]
    assert [line.split()[:2] for line in lines] == [
        ["started", "rect-0"],
        ["done", "rect-0:"],
        ["started", "rect-25"],
        ["done", "rect-25:"],
    ]
    assert lines[1].endswith("(1 of 2)")
    assert re.search(r"^rect-0 +rect-saa2-0-s0-\w{8}    +done +\d s$", err, re.M)


def test_a_dry_run_shows_the_grid_and_writes_nothing(dae: Dae, tmp_path: Path) -> None:
    ended = dae("replicate", "tiny", "--dry-run", "--seeds", "2")
    assert ended.code == 0
    cells, runs, *states = zip(*(line.split() for line in ended.lines[1:5]), strict=True)
    assert ended.lines[0].split() == ["cell", "run", "state", "dataset"]
    assert cells == ("rect-0", "rect-0", "rect-25", "rect-25")
    assert [run.split("-")[3] for run in runs] == ["s0", "s1", "s0", "s1"]
    assert states == [("new",) * 4, ("rect",) * 4, ("(original)",) * 4]
    assert ended.lines[-1] == "4 of 4 to run · results/tiny"
    assert not (tmp_path / "results").exists()


def test_a_dry_run_tells_what_is_done_and_what_force_would_do(dae: Dae, done: Path) -> None:
    states = [line.split()[2] for line in dae("replicate", "tiny", "--dry-run").lines[1:-1]]
    assert states == ["done", "done"]
    forced = dae("replicate", "tiny", "--dry-run", "--force")
    assert forced.out.count("starts over") == 2
    assert forced.lines[-1] == "2 of 2 to run · results/tiny"
    assert len(list((done / "runs").iterdir())) == 2


def test_what_is_done_is_skipped_and_said_to_be(dae: Dae, done: Path) -> None:
    ended = dae("replicate", "tiny", "--jobs", "1")
    assert ended.code == 0
    assert "2 runs, all done already; --force runs them again" in ended.err
    assert ended.err.count("   skipped   ") == 2
    assert "started" not in ended.err
    assert ended.lines[-1].startswith("0 done, 2 skipped, 0 failed in ")


def test_force_runs_again_and_only_limits_to_a_cell(dae: Dae, done: Path) -> None:
    ended = dae("replicate", "tiny", "--only", "rect-25", "--force", "--jobs", "1")
    assert "1 done, 0 skipped, 0 failed" in ended.lines[-1]
    assert len(ended.lines) == 1 + 2 + 1  # the table keeps the cell that was not run
    assert "started  rect-25\n" in ended.err
    assert "rect-saa2" not in ended.err


def test_quiet_prints_the_path_of_the_report_and_nothing_else(dae: Dae, done: Path) -> None:
    assert dae("replicate", "tiny", "--quiet") == (0, "results/tiny/REPORT.md\n", "")


def test_a_failed_cell_is_told_the_others_go_on_and_the_exit_code_is_1(
    dae: Dae, tmp_path: Path
) -> None:
    cell = tmp_path / "experiments/tiny/rect-0.yaml"
    with cell.open("a") as file:
        file.write("pretrain: {learning_rate: 1000, loss: squared-error}\n")
    ended = dae("replicate", "tiny", "--jobs", "1")
    assert ended.code == 1
    assert re.search(
        r"^failed   rect-0 \(1 of 2\): .*lower pretrain.learning_rate", ended.err, re.M
    )
    assert re.search(r"^rect-saa2-0-s0-\w+ failed: .*pretrain, layer \d", ended.err, re.M)
    assert ended.lines[1].endswith("failed")
    assert ended.lines[2].endswith("no reference")
    assert "1 done, 0 skipped, 1 failed" in ended.lines[-1]
    rows = read_rows(tmp_path / "results/tiny/runs.csv", RunRow)
    assert [bool(row.error) for row in rows] == [True, False]

    quiet = dae("replicate", "tiny", "--jobs", "1", "--quiet")
    assert quiet.code == 1
    assert "failed: " in quiet.err
    assert quiet.out == "results/tiny/REPORT.md\n"


def test_settings_on_the_command_line_go_to_a_folder_of_their_own(dae: Dae, done: Path) -> None:
    ended = dae("replicate", "tiny", "--set", "finetune.patience=2", "--dry-run")
    assert re.fullmatch(r"2 of 2 to run · results/tiny-\w{6}", ended.lines[-1])


@pytest.mark.parametrize(("force", "how"), [((), ""), (("--force",), " without --force")])
def test_ctrl_c_says_how_to_go_on(
    dae: Dae, monkeypatch: pytest.MonkeyPatch, force: tuple[str, ...], how: str
) -> None:
    def stopped(*_: object) -> RunRow:
        raise KeyboardInterrupt

    monkeypatch.setattr(pool, "_run_here", stopped)
    ended = dae("replicate", "tiny", "--jobs", "1", *force)
    assert ended.code == 130
    assert ended.err.endswith(
        f"interrupted\n  the same command{how} goes on from the last checkpoint\n"
    )
    assert ended.out == ""


def _wait_for_checkpoints(results: Path, count: int) -> None:
    end = time.monotonic() + 60
    while len(list(results.glob("*/runs/*.partial/checkpoint.safetensors"))) < count:
        assert time.monotonic() < end, "there are no checkpoints"
        time.sleep(0.05)


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_ctrl_c_ends_the_workers_and_the_same_command_goes_on(dae: Dae, tmp_path: Path) -> None:
    """The signal goes to the whole process group, as from a terminal."""
    endless = ("--set", "finetune.max_epochs=90000", "--set", "finetune.patience=90000")
    words = ("replicate", "tiny", "--jobs", "2", *endless)
    command = [sys.executable, "-m", "dae_cli", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stderr=pipe, stdout=pipe, text=True, start_new_session=True
    ) as it:
        assert it.stderr is not None and it.stdout is not None
        told = []
        for line in it.stderr:
            told.append(line)
            if sum(line.startswith("started") for line in told) == 2:
                break
        _wait_for_checkpoints(tmp_path / "results", 2)
        os.killpg(it.pid, signal.SIGINT)
        told += it.stderr.readlines()
        assert it.stdout.read() == ""
    assert it.returncode == 130, "".join(told)
    assert told[-2:] == ["interrupted\n", "  the same command goes on from the last checkpoint\n"]
    states = [line.split()[2:4] for line in dae(*words, "--dry-run").lines[1:-1]]
    assert states == [["goes", "on"], ["goes", "on"]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--jobs", "0"), "--jobs"),
        (("--jobs", "many"), "--jobs"),
        (("--seeds", "0"), "--seeds"),
        (("--only", "rect-99"), "the study tiny has no cell 'rect-99'; did you mean rect-0?"),
        (("--device", "tpu"), "--device"),
        (("--data-dir", "nowhere"), "nowhere"),
        (("--set", "sed=1"), "--set sed=1   unknown key; did you mean seed?"),
    ],
)
def test_wrong_options_are_told_with_exit_code_2(
    dae: Dae, arguments: tuple[str, ...], words: str
) -> None:
    ended = dae("replicate", "tiny", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert "Traceback" not in ended.err


def test_an_experiment_is_no_study(dae: Dae) -> None:
    ended = dae("replicate", "tiny/rect-25")
    assert ended.code == 2
    assert ended.err == "tiny/rect-25 is one experiment, not a study; train it with dae train\n"
