"""A study: its plan, what comes out of it, and that nothing depends on the workers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.schema import Experiment
from dae_cli.errors import DataError, RunFolderError
from dae_cli.study.plan import default_out, plan_study
from dae_cli.study.progress import Silent
from dae_cli.study.replicate import Outcome
from dae_cli.study.rows import RunRow, TableRow, read_rows
from dae_cli.study.run.folder import CHECKPOINT, METRICS, RUN_FILTERS
from tests.study.running import csv_rows, jobs_of, plan_of, run_again

MakeStudy = Callable[..., ResolvedStudy]
MakeExperiment = Callable[..., Experiment]
both = pytest.mark.parametrize("how", ["in_process", "in_workers"])


# The plan


def test_the_plan_has_every_cell_with_successive_seeds_in_order(
    two_cells: ResolvedStudy, tmp_path: Path, recorder: Any
) -> None:
    plan = plan_study(two_cells, seeds=3, out=tmp_path, data_dir=None, watcher=recorder)
    cells = [(job.cell, job.experiment.seed) for job in jobs_of(plan)]
    assert cells == [(cell, seed) for cell in ("convex-0", "convex-25") for seed in (0, 1, 2)]
    assert {planned.state for planned in plan.runs} == {"new"}
    assert len({job.name for job in jobs_of(plan)}) == 6
    assert all(job.folder.parent == tmp_path / "runs" for job in jobs_of(plan))
    # Data that serve several cells are prepared, and told, once.
    ((what, _, told),) = recorder.events
    assert what == "note"
    assert all(word in told for word in ("convex", "original", "made for the tests"))
    assert list(tmp_path.iterdir()) == []


def test_seeds_count_from_the_experiments_own(
    make_study: MakeStudy, make_experiment: MakeExperiment, tmp_path: Path
) -> None:
    study = make_study({"convex-25": make_experiment(seed=40)})
    seeds = [job.experiment.seed for job in jobs_of(plan_of(study, tmp_path, seeds=2))]
    assert seeds == [40, 41]
    assert [job.experiment.seed for job in jobs_of(plan_of(study, tmp_path))] == [40]


def test_folders_do_not_move_with_the_current_folder(
    two_cells: ResolvedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = plan_of(two_cells, Path("results") / "tiny")
    assert all(job.folder.is_absolute() for job in jobs_of(plan))


def test_data_that_cannot_be_had_end_the_plan(two_cells: ResolvedStudy, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    with pytest.raises(DataError, match="does not exist"):
        plan_study(two_cells, seeds=None, out=tmp_path, data_dir=missing, watcher=Silent())


def test_changed_settings_go_to_a_folder_of_their_own(two_cells: ResolvedStudy) -> None:
    assert default_out(two_cells, []) == Path("results/tiny")
    changed = default_out(two_cells, ["a=1", "b=2"])
    assert changed.parent == Path("results")
    assert changed.name.startswith("tiny-")
    assert changed == default_out(two_cells, ["b=2", "a=1"])
    assert changed != default_out(two_cells, ["a=1", "b=3"])


# What comes out


@both
def test_a_diverging_cell_does_not_stop_the_others(
    request: pytest.FixtureRequest, how: str
) -> None:
    outcome: Outcome = request.getfixturevalue(how).outcome
    assert (outcome.done, outcome.skipped, outcome.failed) == (4, 0, 2)
    assert [bool(row.error) for row in outcome.rows] == [False] * 4 + [True] * 2
    assert [row.verdict for row in outcome.table] == ["no reference", "no reference", ""]
    assert outcome.table[2].error.startswith("seed 0: diverged in pretrain, layer 1, epoch ")


@both
def test_the_files_say_what_the_outcome_says(request: pytest.FixtureRequest, how: str) -> None:
    study: Any = request.getfixturevalue(how)
    rows = read_rows(study.out / "runs.csv", RunRow)
    order = [(cell, seed) for cell in ("convex-0", "convex-25", "convex-50") for seed in (0, 1)]
    assert [(row.cell, row.seed) for row in rows] == order
    assert [(r.cell, r.seed) for r in study.outcome.rows] == order
    assert [r.n_wrong for r in rows] == [r.n_wrong for r in study.outcome.rows]
    table = read_rows(study.out / "table.csv", TableRow)
    assert [(row.cell, row.seeds) for row in table] == [
        ("convex-0", "0 1"),
        ("convex-25", "0 1"),
        ("convex-50", ""),
    ]
    assert [r.test_error_percent for r in table] == [
        r.test_error_percent for r in study.outcome.table
    ]
    assert study.outcome.report == study.out / "REPORT.md"
    assert study.outcome.report.exists()


def test_one_worker_and_two_give_the_same_bytes(in_process: Any, in_workers: Any) -> None:
    for cell in ("convex-0", "convex-25"):
        for seed in (0, 1):
            one, two = in_process.folder(cell, seed), in_workers.folder(cell, seed)
            assert one.name == two.name
            for name in (CHECKPOINT, METRICS, RUN_FILTERS, "config.yaml"):
                assert (one / name).read_bytes() == (two / name).read_bytes(), name
    for name in ("runs.csv", "table.csv"):
        one_rows, two_rows = csv_rows(in_process.out / name), csv_rows(in_workers.out / name)
        for row in (*one_rows, *two_rows):
            del row["minutes"]
        assert one_rows == two_rows
    for name in ("error_vs_destruction.png", "learning_curves.png", "filters/convex.png"):
        assert (in_process.out / name).read_bytes() == (in_workers.out / name).read_bytes(), name


def test_seeds_differ_and_so_do_cells(in_process: Any) -> None:
    contents = {
        (in_process.folder(cell, seed) / CHECKPOINT).read_bytes()
        for cell in ("convex-0", "convex-25")
        for seed in (0, 1)
    }
    assert len(contents) == 4


# The results folder


def test_a_file_in_the_place_of_the_results_is_told(
    two_cells: ResolvedStudy, tmp_path: Path
) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(RunFolderError, match=r"cannot be made .*; choose --out"):
        run_again(plan_of(two_cells, tmp_path / "results"))
    with pytest.raises(RunFolderError, match=r"cannot be made .*; choose --out"):
        run_again(plan_of(two_cells, tmp_path / "results" / "deeper"))


def test_a_folder_that_cannot_be_written_to_is_told(
    two_cells: ResolvedStudy, tmp_path: Path, recorder: Any
) -> None:
    locked = tmp_path / "locked"
    (locked / "runs").mkdir(parents=True)
    locked.chmod(0o555)
    try:
        if os.access(locked, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(
            RunFolderError, match=r"cannot be written to \(.*\); choose another folder"
        ):
            run_again(plan_of(two_cells, locked), watcher=recorder)
    finally:
        locked.chmod(0o755)
    assert recorder.events == []


def test_a_folder_that_cannot_be_written_to_is_told_to_any_user(
    two_cells: ResolvedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def read_only(_: Path) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "touch", read_only)
    with pytest.raises(RunFolderError, match=r"cannot be written to \(.*\); choose another folder"):
        run_again(plan_of(two_cells, tmp_path))
