"""`dae report`: everything that follows from the rows, without a run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.commands.conftest import Ended

Dae = Callable[..., Ended]
WRITTEN = ("runs.csv", "table.csv", "mcnemar.csv", "wrong_rows.csv", "REPORT.md", "report.html")


def test_it_writes_anew_what_replicate_had_written(dae: Dae, done: Path) -> None:
    before = {name: (done / name).read_bytes() for name in WRITTEN}
    shutil.rmtree(done / "runs")  # as after a clone
    for name in ("table.csv", "REPORT.md"):
        (done / name).unlink()
    ended = dae("report", "tiny")
    assert ended.code == 0, ended.err
    assert ended.lines[-1] == "results/tiny/REPORT.md"
    assert ended.lines[0].split()[:2] == ["dataset", "destruction"]
    assert {name: (done / name).read_bytes() for name in WRITTEN} == before


def test_rows_of_other_settings_are_not_lost(dae: Dae, done: Path) -> None:
    shutil.rmtree(done / "runs")
    before = {name: (done / name).read_bytes() for name in WRITTEN}
    ended = dae("report", "tiny", "--set", "finetune.patience=3", "--out", "results/tiny")
    assert (ended.code, ended.out) == (2, "")
    assert "results/tiny/runs.csv: has rows of other settings or numerics" in ended.err
    assert "dae replicate tiny makes them anew" in ended.err
    assert {name: (done / name).read_bytes() for name in WRITTEN} == before


def test_quiet_prints_the_path_alone(dae: Dae, done: Path) -> None:
    assert dae("report", "tiny", "--quiet") == (0, "results/tiny/REPORT.md\n", "")


def test_without_results_it_says_how_to_make_them(dae: Dae, tmp_path: Path) -> None:
    ended = dae("report", "tiny")
    assert (ended.code, ended.out) == (2, "")
    assert "there are no results of tiny here; make them with dae replicate tiny" in ended.err
    assert not (tmp_path / "results").exists()
