"""The watchers: plain lines in a pipe, bars on a terminal, silence when asked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dae_cli.commands.bars import Bars
from dae_cli.commands.console import Lines, Quiet, RunWatcher, watching
from dae_cli.config.experiments import resolve_study
from dae_cli.data.obtain import Prepared
from dae_cli.study.progress import Position
from dae_cli.study.rows import RunRow
from dae_cli.study.run.folder import Job

EPOCH = Position("finetune", None, 12, 300, cost=0.3124, valid_error_percent=18.9, fraction=0.5)
LAYER = Position("pretrain", 2, 3, 40, cost=87.31, fraction=0.2)


def jobs(seeds: int = 1) -> list[Job]:
    data = Prepared("rect", Path("rect.npz"), "original", "0" * 64, "made up")
    return [
        Job(
            cell.cell,
            cell.experiment.model_copy(update={"seed": seed}),
            data,
            Path(f"runs/{cell.cell}-s{seed}"),
        )
        for cell in resolve_study("tiny").cells
        for seed in range(seeds)
    ]


def row(run: str, error: str = "") -> RunRow:
    number = None if error else 17.43
    return RunRow(
        "cell", run, "rect", "original", "", "SdA-2", 0.0, 0,
        test_error_percent=number, half_width_95=0.33, minutes=3.1, error=error,
    )  # fmt: skip


def play(watcher: RunWatcher, seeds: int = 1) -> None:
    watcher.expect(jobs(seeds))
    watcher.note("a word")
    watcher.started("rect-0-s0", False)
    watcher.moved("rect-0-s0", LAYER)
    watcher.started("rect-25-s0", True)
    watcher.moved("rect-25-s0", EPOCH)
    watcher.finished(row("rect-0-s0"))
    watcher.moved("rect-0-s0", EPOCH)  # news that comes too late
    watcher.started("rect-0-s0", False)
    watcher.finished(row("rect-25-s0", "diverged"))


def test_a_study_in_a_pipe_is_a_line_for_each_start_and_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with watching() as watcher:
        play(watcher)
    assert capsys.readouterr().err.splitlines() == [
        "a word",
        "started  rect-0",
        "goes on  rect-25",
        "done     rect-0: 17.43 ± 0.33 % test error in 3.1 min (1 of 2)",
        "failed   rect-25 (2 of 2): diverged",
    ]


def test_several_seeds_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    play(Lines(single=False), seeds=2)
    assert "started  rect-0 seed 0\n" in capsys.readouterr().err


def test_a_single_run_in_a_pipe_is_a_line_for_each_epoch_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with watching(single=True) as watcher:
        play(watcher)
    assert capsys.readouterr().err.splitlines()[2::2] == [
        "pretrain layer 2  3/40  cost 87.31",
        "finetune  12/300  cost 0.3124  validation error 18.90 %",
    ]


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with watching(quiet=True) as watcher:
        play(watcher)
    assert isinstance(watcher, Quiet)
    assert capsys.readouterr() == ("", "")


def test_a_closed_stderr_does_not_stop_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []

    def closed(text: str, err: bool) -> None:
        told.append(text)
        raise BrokenPipeError

    monkeypatch.setattr("typer.echo", closed)
    play(Lines(single=False))
    assert told == ["a word"]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def pretend(width: int) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", str(width))

    return pretend


@pytest.mark.parametrize("width", [100, 80, 60, 30])
def test_bars_stand_on_a_terminal_of_any_width(
    terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str], width: int
) -> None:
    terminal(width)
    with watching() as watcher:
        assert isinstance(watcher, Bars)
        play(watcher)
    out, err = capsys.readouterr()
    assert out == ""
    told = re.sub(r"\s+", " ", re.sub(r"\x1b\[[\d;?]*\w", "", err))
    assert "rect-0: 17.43 ± 0.33 % test error in 3.1 min (1 of 2)" in told
    assert "failed rect-25 (2 of 2): diverged" in told


def test_no_color_leaves_the_bars_without_colour(
    terminal: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminal(80)
    monkeypatch.setenv("NO_COLOR", "1")
    with watching() as watcher:
        play(watcher)
    err = capsys.readouterr().err
    assert "\x1b[3" not in err
    assert "\x1b[9" not in err


def test_a_dumb_terminal_gets_lines(
    terminal: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal(80)
    monkeypatch.setenv("TERM", "dumb")
    with watching() as watcher:
        assert isinstance(watcher, Lines)
