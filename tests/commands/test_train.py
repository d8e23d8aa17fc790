"""`dae train`: one run, skipped, resumed, forced, failed and interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dae_cli.commands.console import Lines
from dae_cli.study.progress import Position

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.commands.conftest import Ended

    Dae = Callable[..., Ended]


def test_it_ends_with_the_error_the_paper_and_the_folder(dae: Dae) -> None:
    ended = dae("train", "tiny/rect-25", "--seed", "3")
    assert ended.code == 0, ended.err
    first, paper, data, took, folder = ended.lines
    assert re.fullmatch(r"test error   \d+\.\d\d ± \d\.\d\d % \(\d+ of 400 rows wrong\)", first)
    assert paper == "paper        no reference"
    assert data == "data         rect, original"
    assert took.startswith("took         ")
    assert re.fullmatch(r"results/tiny/runs/rect-sda2-25-s3-\w{8}", folder)
    assert Path(folder, "config.yaml").is_file()
    assert ended.err.splitlines()[-1] == f"next: dae filters {folder}"
    assert re.search(r"^started  rect-25$", ended.err, re.M)
    assert "\x1b" not in ended.out + ended.err


def test_a_finished_run_is_not_made_again(dae: Dae, done: Path) -> None:
    ended = dae("train", "tiny/rect-25")
    assert ended.code == 0
    assert "rect-25 is done already; --force trains it again\n" in ended.err
    assert "started" not in ended.err
    assert ended.lines[0].startswith("test error")


def test_force_makes_a_finished_run_again(dae: Dae, done: Path) -> None:
    ended = dae("train", "tiny/rect-25", "--force")
    assert ended.code == 0
    assert "started  rect-25\n" in ended.err


def test_quiet_prints_the_run_folder_and_nothing_else(dae: Dae, done: Path) -> None:
    (folder,) = (done / "runs").glob("*-25-*")
    ended = dae("train", "tiny/rect-25", "--quiet")
    assert ended == (0, f"results/tiny/runs/{folder.name}\n", "")


def test_divergence_is_told_with_phase_epoch_and_what_to_lower(dae: Dae) -> None:
    rate = ("--set", "pretrain.learning_rate=1000", "--set", "pretrain.loss=squared-error")
    ended = dae("train", "tiny/rect-0", *rate, "--quiet")
    assert (ended.code, ended.out) == (1, "")
    assert re.match(r"rect-0 failed: .*pretrain, layer \d, epoch \d", ended.err)
    assert "lower pretrain.learning_rate" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_an_interrupted_run_waits_for_resume_or_force(dae: Dae) -> None:
    settings = ("--set", "finetune.max_epochs=40000", "--set", "finetune.patience=40000")
    long = ("train", "tiny/rect-25", *settings)
    command = [sys.executable, "-m", "dae_cli", *long]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        assert it.stderr is not None and it.stdout is not None
        told = []
        for line in it.stderr:
            told.append(line)
            if line.startswith("finetune"):
                break
        it.send_signal(signal.SIGINT)
        told += it.stderr.readlines()
        assert it.stdout.read() == ""
    assert it.returncode == 130, "".join(told)
    assert told[-2:] == [
        "interrupted\n",
        "  the same command with --resume goes on from the last checkpoint\n",
    ]
    refused = dae(*long)
    assert refused.code == 2
    assert re.search(
        r"^rect-25 was stopped before it was done: --resume goes on from its checkpoint, "
        r"--force starts over\n  results/tiny/runs/rect-sda2-25-\S+\.partial$",
        refused.err,
        re.M,
    )


def test_a_resumed_run_counts_the_same_errors_as_one_that_was_never_stopped(
    dae: Dae, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = (done / "runs").glob("*-25-*")
    expected = json.loads((whole / "status.json").read_text())["result"]

    def stopped(watcher: Lines, run: str, position: Position) -> None:
        if position.phase == "test":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Lines, "moved", stopped)
        assert dae("train", "tiny/rect-25", "--force").code == 130
    resumed = dae("train", "tiny/rect-25", "--resume")
    assert resumed.code == 0, resumed.err
    assert "goes on  rect-25\n" in resumed.err
    assert json.loads((whole / "status.json").read_text())["result"] == expected


def test_resume_and_force_exclude_each_other(dae: Dae) -> None:
    ended = dae("train", "tiny/rect-25", "--resume", "--force")
    assert ended.code == 2
    assert "--resume goes on and --force starts over: give one of them" in ended.err


def test_a_seed_cannot_be_given_twice(dae: Dae) -> None:
    ended = dae("train", "tiny/rect-25", "--seed", "1", "--set", "seed=2")
    assert ended.code == 2
    assert "--set seed=… sets the same" in ended.err


def test_problems_come_as_the_design_prints_them(dae: Dae) -> None:
    arguments = ["icml2008/convex-25", "--set", "pretrain.lerning_rate=0.1"]
    ended = dae("train", *arguments, "--set", "corruption.destruction=1.5")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "2 problems with icml2008/convex-25:\n"
        "  --set pretrain.lerning_rate=0.1    unknown key; did you mean pretrain.learning_rate?\n"
        "  --set corruption.destruction=1.5   must be from 0 up to, not including, 1: "
        "the fraction of inputs set to 0\n"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tiny/rect-52", "the study tiny has no cell 'rect-52'; did you mean tiny/rect-25?"),
        ("tiny", "tiny is a study, not one experiment; name a cell: tiny/rect-0, tiny/rect-25"),
        ("tinny", "no experiment or study is named 'tinny'; did you mean tiny?"),
    ],
)
def test_an_unknown_experiment_is_told_with_the_nearest(dae: Dae, name: str, words: str) -> None:
    ended = dae("train", name)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(words)


def test_data_that_cannot_be_used_end_with_exit_code_2(dae: Dae, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rect.npz").write_bytes(b"not an archive")
    ended = dae("train", "tiny/rect-0", "--data-dir", "data")
    assert (ended.code, ended.out) == (2, "")
    assert "rect.npz" in ended.err
    assert "Traceback" not in ended.err
