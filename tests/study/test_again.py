"""A study run again: what is skipped, gone on with, kept beside, or made anew."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.data.obtain import Prepared
from dae_cli.engines.names import EngineChoice, EngineName
from dae_cli.errors import RunFolderError
from dae_cli.study import which_engine
from dae_cli.study.execute import execute
from dae_cli.study.plan import Plan, plan_study
from dae_cli.study.progress import Position, Silent
from dae_cli.study.replicate import Outcome, run_plan
from dae_cli.study.rows import RunRow, read_rows
from dae_cli.study.run_folder import CHECKPOINT, Job

MakeStudy = Callable[..., ResolvedStudy]


def _plan(
    study: ResolvedStudy, out: Path, seeds: int | None = None, engine: EngineChoice = "torch"
) -> Plan:
    return plan_study(study, seeds=seeds, out=out, data_dir=None, engine=engine, watcher=Silent())


def _run(plan: Plan, force: bool = False, watcher: Any = None) -> Outcome:
    return run_plan(
        plan, jobs=1, force=force, watcher=watcher or Silent(), command="dae replicate tiny"
    )


def _jobs(plan: Plan) -> list[Job]:
    return [planned.job for planned in plan.runs]


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_what_is_done_is_skipped_and_left_alone(
    two_cells: ResolvedStudy, tmp_path: Path, recorder: Any, no_report: None
) -> None:
    first = _run(_plan(two_cells, tmp_path))
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (tmp_path / "runs").rglob("*.*ml")}
    plan = _plan(two_cells, tmp_path)
    assert [planned.state for planned in plan.runs] == ["done", "done"]
    again = _run(plan, watcher=recorder)
    assert (again.done, again.skipped, again.failed) == (0, 2, 0)
    assert recorder.events == []
    assert again.rows == first.rows
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in before} == before


def test_a_done_run_is_done_whatever_is_the_fastest(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run(_plan(two_cells, tmp_path))

    def measured(_: object) -> None:
        raise AssertionError("nothing is to be run, so nothing to be measured")

    monkeypatch.setattr(which_engine, "fastest_engine", measured)
    again = _run(_plan(two_cells, tmp_path, engine="auto"))
    assert (again.done, again.skipped) == (0, 2)
    assert [row.engine for row in again.rows] == ["torch", "torch"]


def test_a_done_run_does_not_pass_for_one_of_the_engine_that_is_asked_for(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    _run(_plan(two_cells, tmp_path))
    before = (tmp_path / "runs.csv").read_bytes()
    with pytest.raises(RunFolderError, match="was made with the engine torch on cpu, not the eng"):
        _run(_plan(two_cells, tmp_path, engine="blas"))
    assert (tmp_path / "runs.csv").read_bytes() == before
    again = _run(_plan(two_cells, tmp_path, engine="blas"), force=True)
    assert [row.engine for row in again.rows] == ["blas", "blas"]


def test_the_engine_is_chosen_once_for_all_runs_but_the_stopped(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def fastest(note: object) -> EngineName:
        asked.append(note)
        return "blas"

    monkeypatch.setattr(which_engine, "fastest_engine", fastest)
    plan = _plan(two_cells, tmp_path, seeds=2, engine="auto")

    class Interrupting(Silent):
        def moved(self, run: str, position: Position) -> None:
            if position.phase == "test":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(_jobs(plan)[0], Interrupting(), "dae")
    outcome = _run(plan)
    assert [row.engine for row in outcome.rows] == ["torch", "blas", "blas", "blas"]
    assert [row.engine for row in outcome.table] == ["torch / blas", "blas"]
    assert len(asked) == 1


def test_force_runs_again_from_the_start_to_the_same_bits(
    two_cells: ResolvedStudy, tmp_path: Path, recorder: Any, no_report: None
) -> None:
    plan = _plan(two_cells, tmp_path)
    _run(plan)
    before = [(job.folder / CHECKPOINT).read_bytes() for job in _jobs(plan)]
    (plan.runs[0].job.folder / "mine.txt").write_text("goes with --force")
    again = _run(_plan(two_cells, tmp_path), force=True, watcher=recorder)
    assert (again.done, again.skipped) == (2, 0)
    assert {resumed for what, _, resumed in recorder.events if what == "started"} == {False}
    assert [(job.folder / CHECKPOINT).read_bytes() for job in _jobs(plan)] == before
    assert not (plan.runs[0].job.folder / "mine.txt").exists()


def test_force_starts_a_stopped_run_over(
    two_cells: ResolvedStudy, tmp_path: Path, recorder: Any, no_report: None
) -> None:
    plan = _plan(two_cells, tmp_path)
    for job in _jobs(plan):
        job.partial.mkdir(parents=True)
        (job.partial / CHECKPOINT).write_bytes(b"damaged")
    plan = _plan(two_cells, tmp_path)
    assert [planned.state for planned in plan.runs] == ["stopped", "stopped"]
    assert _run(plan, force=True, watcher=recorder).done == 2
    assert {resumed for what, _, resumed in recorder.events if what == "started"} == {False}


def test_a_failed_run_is_tried_again_by_the_next_call(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    plan = _plan(two_cells, tmp_path)
    in_the_way = plan.runs[1].job.partial
    in_the_way.parent.mkdir()
    in_the_way.write_text("a file")
    first = _run(plan)
    assert (first.done, first.failed) == (1, 1)
    assert [bool(row.error) for row in read_rows(tmp_path / "runs.csv", RunRow)] == [False, True]
    in_the_way.unlink()
    second = _run(_plan(two_cells, tmp_path))
    assert (second.done, second.skipped, second.failed) == (1, 1, 0)
    assert [row.error for row in read_rows(tmp_path / "runs.csv", RunRow)] == ["", ""]


def test_the_tables_are_written_after_each_run(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    written: list[int] = []

    class Looking(Silent):
        def finished(self, row: RunRow) -> None:
            path = tmp_path / "runs.csv"
            written.append(len(_csv(path)) if path.exists() else 0)

    _run(_plan(two_cells, tmp_path, seeds=2), watcher=Looking())
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
        _run(_plan(two_cells, tmp_path), watcher=Interrupting())
    assert [row["run"] for row in _csv(tmp_path / "runs.csv")] == ended
    assert len(_csv(tmp_path / "table.csv")) == 1
    outcome = _run(_plan(two_cells, tmp_path))
    assert (outcome.done, outcome.skipped) == (1, 1)
    for row in outcome.rows:
        same = in_process.folder(row.cell) / CHECKPOINT
        assert (tmp_path / "runs" / row.run / CHECKPOINT).read_bytes() == same.read_bytes()


# Beside the rows of earlier commands


def _only(study: ResolvedStudy, cell: str) -> ResolvedStudy:
    return replace(study, cells=tuple(c for c in study.all_cells if c.cell == cell))


def test_only_keeps_the_rows_of_the_other_cells(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    first = _run(_plan(two_cells, tmp_path))
    table = (tmp_path / "table.csv").read_bytes()
    again = _run(_plan(_only(two_cells, "convex-25"), tmp_path))
    assert (again.done, again.skipped) == (0, 1)
    assert [row.cell for row in again.rows] == ["convex-0", "convex-25"]
    # In runs.csv the minutes are rounded.
    assert [replace(row, minutes=None) for row in again.table] == [
        replace(row, minutes=None) for row in first.table
    ]
    assert (tmp_path / "table.csv").read_bytes() == table


def test_only_runs_no_other_cell(two_cells: ResolvedStudy, tmp_path: Path, no_report: None) -> None:
    outcome = _run(_plan(_only(two_cells, "convex-25"), tmp_path))
    assert [row.cell for row in outcome.rows] == ["convex-25"]
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_rows_of_other_settings_are_never_mixed_in(
    two_cells: ResolvedStudy, tmp_path: Path, make_study: MakeStudy, no_report: None
) -> None:
    _run(_plan(two_cells, tmp_path))
    changed = make_study(
        {
            cell.cell: cell.experiment.model_copy(
                update={"pretrain": cell.experiment.pretrain.model_copy(update={"epochs": 1})}
            )
            for cell in two_cells.all_cells
        }
    )
    outcome = _run(_plan(_only(changed, "convex-25"), tmp_path))
    assert [row.cell for row in outcome.rows] == ["convex-25"]


def test_rows_of_other_data_are_never_mixed_in(
    two_cells: ResolvedStudy,
    tmp_path: Path,
    other_data: Prepared,
    monkeypatch: pytest.MonkeyPatch,
    no_report: None,
) -> None:
    _run(_plan(two_cells, tmp_path))
    monkeypatch.setattr("dae_cli.study.plan.prepare", lambda *_, **__: other_data)
    outcome = _run(_plan(_only(two_cells, "convex-25"), tmp_path))
    assert [(row.cell, row.data_origin) for row in outcome.rows] == [("convex-25", "regenerated")]
    assert (outcome.done, outcome.skipped) == (1, 0)


def test_rows_of_a_cell_that_is_gone_go(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    _run(_plan(two_cells, tmp_path))
    fewer = replace(two_cells, all_cells=two_cells.all_cells[1:], cells=two_cells.all_cells[1:])
    assert [row.cell for row in _run(_plan(fewer, tmp_path)).rows] == ["convex-25"]


def test_more_seeds_add_to_the_earlier_ones_and_fewer_keep_them(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    study = _only(two_cells, "convex-25")
    _run(_plan(study, tmp_path))
    more = _run(_plan(study, tmp_path, seeds=2))
    assert (more.done, more.skipped, more.table[0].seeds) == (1, 1, "0 1")
    fewer = _run(_plan(study, tmp_path))
    assert (fewer.done, fewer.skipped, fewer.table[0].seeds) == (0, 1, "0 1")


def test_a_foreign_runs_csv_is_refused_before_anything_is_run(
    two_cells: ResolvedStudy, tmp_path: Path, recorder: Any
) -> None:
    (tmp_path / "runs.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RunFolderError, match="its columns are not those that dae writes"):
        _run(_plan(two_cells, tmp_path), watcher=recorder)
    assert recorder.events == []


def test_a_run_that_dae_train_made_is_taken_over(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    execute(_jobs(_plan(two_cells, tmp_path))[0], Silent(), "dae train")
    outcome = _run(_plan(two_cells, tmp_path))
    assert (outcome.done, outcome.skipped) == (1, 1)


def test_a_damaged_finished_run_is_a_failed_row_and_the_others_go_on(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    job = _jobs(_plan(two_cells, tmp_path))[0]
    job.folder.mkdir(parents=True)
    (job.folder / "status.json").write_text('{"state": "done"}')
    outcome = _run(_plan(two_cells, tmp_path))
    assert (outcome.done, outcome.skipped, outcome.failed) == (1, 0, 1)
    error = next(row.error for row in outcome.rows if row.run == job.name)
    assert "damaged (" in error and "; remove this folder to have the run made anew" in error
    assert (job.folder / "status.json").exists()


def test_a_stopped_run_whose_record_is_lost_is_a_failed_row_and_the_others_go_on(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    job = _jobs(_plan(two_cells, tmp_path))[0]
    job.partial.mkdir(parents=True)
    (job.partial / CHECKPOINT).write_bytes(b"")
    outcome = _run(_plan(two_cells, tmp_path))
    assert (outcome.done, outcome.failed) == (1, 1)
    error = next(row.error for row in outcome.rows if row.run == job.name)
    assert "environment.json does not tell what the run was begun with; remove" in error


def test_a_run_that_another_command_made_anew_is_told_as_its_folder_has_it(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    _run(_plan(two_cells, tmp_path))

    class MakingAnew(Silent):
        def started(self, run: str, resumed: bool) -> None:
            other = _plan(_only(two_cells, "convex-0"), tmp_path, engine="blas")
            _run(other, force=True)

    rows = _run(_plan(two_cells, tmp_path, seeds=2), watcher=MakingAnew()).rows
    assert {(row.cell, row.seed, row.engine) for row in rows} >= {("convex-0", 0, "blas")}
    assert [row.engine for row in read_rows(tmp_path / "runs.csv", RunRow)] == [
        row.engine for row in rows
    ]


def test_rows_without_folders_stay_until_their_runs_are_made_anew(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    _run(_plan(two_cells, tmp_path))
    shutil.rmtree(tmp_path / "runs")
    written: list[int] = []

    class Looking(Silent):
        def finished(self, row: RunRow) -> None:
            written.append(len(_csv(tmp_path / "runs.csv")))

    _run(_plan(two_cells, tmp_path), watcher=Looking())
    assert written == [2, 2]


def test_rows_that_leave_the_tables_are_told(
    two_cells: ResolvedStudy,
    tmp_path: Path,
    other_data: Prepared,
    monkeypatch: pytest.MonkeyPatch,
    no_report: None,
    recorder: Any,
) -> None:
    _run(_plan(two_cells, tmp_path))
    monkeypatch.setattr("dae_cli.study.plan.prepare", lambda *_, **__: other_data)
    _run(_plan(_only(two_cells, "convex-25"), tmp_path), watcher=recorder)
    notes = [text for what, _, text in recorder.events if what == "note"]
    assert notes == [
        f"{tmp_path}: has rows of other settings, data or numerics, which are never mixed; they "
        "leave the tables (convex-0 seed 0, convex-25 seed 0); --out keeps both apart"
    ]
    assert len(list((tmp_path / "runs").iterdir())) == 3


def test_runs_of_the_version_before_are_taken_over(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    _run(_plan(two_cells, tmp_path))
    for job in _jobs(_plan(two_cells, tmp_path)):
        path = job.folder / "status.json"
        told = json.loads(path.read_text())
        del told["run"], told["checkpoints"]
        path.write_text(json.dumps(told))
    assert _run(_plan(two_cells, tmp_path)).skipped == 2


def test_a_folder_that_is_taken_away_in_mid_run_fails_the_run(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    class TakingAway(Silent):
        def moved(self, run: str, position: Position) -> None:
            shutil.rmtree(tmp_path / "out" / "runs" / f"{run}.partial", ignore_errors=True)

    outcome = _run(_plan(two_cells, tmp_path / "out"), watcher=TakingAway())
    assert outcome.failed == 2
    assert all("cannot be written (No such file" in row.error for row in outcome.rows)
    assert [job.folder.exists() for job in _jobs(_plan(two_cells, tmp_path / "out"))] == [False] * 2
