"""A study run again: what is skipped, gone on with, or made anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.engines.names import EngineName
from dae_cli.errors import RunFolderError
from dae_cli.study.progress import Position, Silent
from dae_cli.study.rows import RunRow, read_rows
from dae_cli.study.run import which_engine
from dae_cli.study.run.execute import execute
from dae_cli.study.run.folder import CHECKPOINT
from tests.study.running import csv_rows, jobs_of, plan_of, run_again

MakeStudy = Callable[..., ResolvedStudy]


def test_what_is_done_is_skipped_and_left_alone(
    two_cells: ResolvedStudy, tmp_path: Path, recorder: Any, no_report: None
) -> None:
    first = run_again(plan_of(two_cells, tmp_path))
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (tmp_path / "runs").rglob("*.*ml")}
    plan = plan_of(two_cells, tmp_path)
    assert [planned.state for planned in plan.runs] == ["done", "done"]
    again = run_again(plan, watcher=recorder)
    assert (again.done, again.skipped, again.failed) == (0, 2, 0)
    assert recorder.events == []
    assert again.rows == first.rows
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in before} == before


def test_a_done_run_is_done_whatever_is_the_fastest(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_again(plan_of(two_cells, tmp_path))

    def measured(_: object) -> None:
        raise AssertionError("nothing is to be run, so nothing to be measured")

    monkeypatch.setattr(which_engine, "fastest_engine", measured)
    again = run_again(plan_of(two_cells, tmp_path, engine="auto"))
    assert (again.done, again.skipped) == (0, 2)
    assert [row.engine for row in again.rows] == ["torch", "torch"]


def test_a_done_run_does_not_pass_for_one_of_the_engine_that_is_asked_for(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    run_again(plan_of(two_cells, tmp_path))
    before = (tmp_path / "runs.csv").read_bytes()
    with pytest.raises(RunFolderError, match="was made with the engine torch on cpu, not the eng"):
        run_again(plan_of(two_cells, tmp_path, engine="blas"))
    assert (tmp_path / "runs.csv").read_bytes() == before
    again = run_again(plan_of(two_cells, tmp_path, engine="blas"), force=True)
    assert [row.engine for row in again.rows] == ["blas", "blas"]


def test_the_engine_is_chosen_once_for_all_runs_but_the_stopped(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def fastest(note: object) -> EngineName:
        asked.append(note)
        return "blas"

    monkeypatch.setattr(which_engine, "fastest_engine", fastest)
    plan = plan_of(two_cells, tmp_path, seeds=2, engine="auto")

    class Interrupting(Silent):
        def moved(self, run: str, position: Position) -> None:
            if position.phase == "test":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(jobs_of(plan)[0], Interrupting(), "dae")
    outcome = run_again(plan)
    assert [row.engine for row in outcome.rows] == ["torch", "blas", "blas", "blas"]
    assert [row.engine for row in outcome.table] == ["torch / blas", "blas"]
    assert len(asked) == 1


def test_force_runs_again_from_the_start_to_the_same_bits(
    two_cells: ResolvedStudy, tmp_path: Path, recorder: Any, no_report: None
) -> None:
    plan = plan_of(two_cells, tmp_path)
    run_again(plan)
    before = [(job.folder / CHECKPOINT).read_bytes() for job in jobs_of(plan)]
    (plan.runs[0].job.folder / "mine.txt").write_text("goes with --force")
    again = run_again(plan_of(two_cells, tmp_path), force=True, watcher=recorder)
    assert (again.done, again.skipped) == (2, 0)
    assert {resumed for what, _, resumed in recorder.events if what == "started"} == {False}
    assert [(job.folder / CHECKPOINT).read_bytes() for job in jobs_of(plan)] == before
    assert not (plan.runs[0].job.folder / "mine.txt").exists()


def test_force_starts_a_stopped_run_over(
    two_cells: ResolvedStudy, tmp_path: Path, recorder: Any, no_report: None
) -> None:
    plan = plan_of(two_cells, tmp_path)
    for job in jobs_of(plan):
        job.partial.mkdir(parents=True)
        (job.partial / CHECKPOINT).write_bytes(b"damaged")
    plan = plan_of(two_cells, tmp_path)
    assert [planned.state for planned in plan.runs] == ["stopped", "stopped"]
    assert run_again(plan, force=True, watcher=recorder).done == 2
    assert {resumed for what, _, resumed in recorder.events if what == "started"} == {False}


def test_a_failed_run_is_tried_again_by_the_next_call(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    plan = plan_of(two_cells, tmp_path)
    in_the_way = plan.runs[1].job.partial
    in_the_way.parent.mkdir()
    in_the_way.write_text("a file")
    first = run_again(plan)
    assert (first.done, first.failed) == (1, 1)
    assert [bool(row.error) for row in read_rows(tmp_path / "runs.csv", RunRow)] == [False, True]
    in_the_way.unlink()
    second = run_again(plan_of(two_cells, tmp_path))
    assert (second.done, second.skipped, second.failed) == (1, 1, 0)
    assert [row.error for row in read_rows(tmp_path / "runs.csv", RunRow)] == ["", ""]


def test_the_tables_are_written_after_each_run(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    written: list[int] = []

    class Looking(Silent):
        def finished(self, row: RunRow) -> None:
            path = tmp_path / "runs.csv"
            written.append(len(csv_rows(path)) if path.exists() else 0)

    run_again(plan_of(two_cells, tmp_path, seeds=2), watcher=Looking())
    assert written == [0, 1, 2, 3]


def test_an_interrupted_study_leaves_what_it_has_and_goes_on(
    two_cells: ResolvedStudy, tmp_path: Path, in_process: Any, no_report: None
) -> None:
    ended: list[str] = []

    class Interrupting(Silent):
        def started(self, run: str, resumed: bool) -> None:
            if ended:
                raise KeyboardInterrupt

        def finished(self, row: RunRow) -> None:
            ended.append(row.run)

    with pytest.raises(KeyboardInterrupt):
        run_again(plan_of(two_cells, tmp_path), watcher=Interrupting())
    assert [row["run"] for row in csv_rows(tmp_path / "runs.csv")] == ended
    assert len(csv_rows(tmp_path / "table.csv")) == 1
    outcome = run_again(plan_of(two_cells, tmp_path))
    assert (outcome.done, outcome.skipped) == (1, 1)
    for row in outcome.rows:
        same = in_process.folder(row.cell) / CHECKPOINT
        assert (tmp_path / "runs" / row.run / CHECKPOINT).read_bytes() == same.read_bytes()


def test_a_run_that_dae_train_made_is_taken_over(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    execute(jobs_of(plan_of(two_cells, tmp_path))[0], Silent(), "dae train")
    outcome = run_again(plan_of(two_cells, tmp_path))
    assert (outcome.done, outcome.skipped) == (1, 1)


def test_a_damaged_finished_run_is_a_failed_row_and_the_others_go_on(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    job = jobs_of(plan_of(two_cells, tmp_path))[0]
    job.folder.mkdir(parents=True)
    (job.folder / "status.json").write_text('{"state": "done"}')
    outcome = run_again(plan_of(two_cells, tmp_path))
    assert (outcome.done, outcome.skipped, outcome.failed) == (1, 0, 1)
    error = next(row.error for row in outcome.rows if row.run == job.name)
    assert "damaged (" in error and "; remove this folder to have the run made anew" in error
    assert (job.folder / "status.json").exists()


def test_a_stopped_run_whose_record_is_lost_is_a_failed_row_and_the_others_go_on(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    job = jobs_of(plan_of(two_cells, tmp_path))[0]
    job.partial.mkdir(parents=True)
    (job.partial / CHECKPOINT).write_bytes(b"")
    outcome = run_again(plan_of(two_cells, tmp_path))
    assert (outcome.done, outcome.failed) == (1, 1)
    error = next(row.error for row in outcome.rows if row.run == job.name)
    assert "environment.json does not tell what the run was begun with; remove" in error


def test_runs_of_the_version_before_are_taken_over(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    run_again(plan_of(two_cells, tmp_path))
    for job in jobs_of(plan_of(two_cells, tmp_path)):
        path = job.folder / "status.json"
        told = json.loads(path.read_text())
        del told["run"], told["checkpoints"]
        path.write_text(json.dumps(told))
    assert run_again(plan_of(two_cells, tmp_path)).skipped == 2


def test_a_folder_that_is_taken_away_in_mid_run_fails_the_run(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    class TakingAway(Silent):
        def moved(self, run: str, position: Position) -> None:
            shutil.rmtree(tmp_path / "out" / "runs" / f"{run}.partial", ignore_errors=True)

    outcome = run_again(plan_of(two_cells, tmp_path / "out"), watcher=TakingAway())
    assert outcome.failed == 2
    assert all("cannot be written (No such file" in row.error for row in outcome.rows)
    assert [job.folder.exists() for job in jobs_of(plan_of(two_cells, tmp_path / "out"))] == [
        False
    ] * 2
