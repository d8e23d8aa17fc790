"""A study run beside the rows of earlier commands, or of one that shares the folder."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.data.obtain import Prepared
from dae_cli.errors import RunFolderError
from dae_cli.study.locks import hold
from dae_cli.study.progress import Silent
from dae_cli.study.rows import RunRow, read_rows
from dae_cli.study.run.execute import execute, lost_row
from dae_cli.study.run.folder import Job
from tests.study.running import csv_rows, jobs_of, only, plan_of, run_again

MakeStudy = Callable[..., ResolvedStudy]


def test_only_keeps_the_rows_of_the_other_cells(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    first = run_again(plan_of(two_cells, tmp_path))
    table = (tmp_path / "table.csv").read_bytes()
    again = run_again(plan_of(only(two_cells, "convex-25"), tmp_path))
    assert (again.done, again.skipped) == (0, 1)
    assert [row.cell for row in again.rows] == ["convex-0", "convex-25"]
    # In runs.csv the minutes are rounded.
    assert [replace(row, minutes=None) for row in again.table] == [
        replace(row, minutes=None) for row in first.table
    ]
    assert (tmp_path / "table.csv").read_bytes() == table


def test_only_runs_no_other_cell(two_cells: ResolvedStudy, tmp_path: Path, no_report: None) -> None:
    outcome = run_again(plan_of(only(two_cells, "convex-25"), tmp_path))
    assert [row.cell for row in outcome.rows] == ["convex-25"]
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_rows_of_other_settings_are_never_mixed_in(
    two_cells: ResolvedStudy, tmp_path: Path, make_study: MakeStudy, no_report: None
) -> None:
    run_again(plan_of(two_cells, tmp_path))
    changed = make_study(
        {
            cell.cell: cell.experiment.model_copy(
                update={"pretrain": cell.network.pretrain.model_copy(update={"epochs": 1})}
            )
            for cell in two_cells.all_cells
        }
    )
    outcome = run_again(plan_of(only(changed, "convex-25"), tmp_path))
    assert [row.cell for row in outcome.rows] == ["convex-25"]


def test_rows_of_other_data_are_never_mixed_in(
    two_cells: ResolvedStudy,
    tmp_path: Path,
    other_data: Prepared,
    monkeypatch: pytest.MonkeyPatch,
    no_report: None,
) -> None:
    run_again(plan_of(two_cells, tmp_path))
    monkeypatch.setattr("dae_cli.study.plan.prepare", lambda *_, **__: other_data)
    outcome = run_again(plan_of(only(two_cells, "convex-25"), tmp_path))
    assert [(row.cell, row.data_origin) for row in outcome.rows] == [("convex-25", "regenerated")]
    assert (outcome.done, outcome.skipped) == (1, 0)


def test_rows_of_a_cell_that_is_gone_go(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    run_again(plan_of(two_cells, tmp_path))
    fewer = replace(two_cells, all_cells=two_cells.all_cells[1:], cells=two_cells.all_cells[1:])
    assert [row.cell for row in run_again(plan_of(fewer, tmp_path)).rows] == ["convex-25"]


def test_more_seeds_add_to_the_earlier_ones_and_fewer_keep_them(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    study = only(two_cells, "convex-25")
    run_again(plan_of(study, tmp_path))
    more = run_again(plan_of(study, tmp_path, seeds=2))
    assert (more.done, more.skipped, more.table[0].seeds) == (1, 1, "0 1")
    fewer = run_again(plan_of(study, tmp_path))
    assert (fewer.done, fewer.skipped, fewer.table[0].seeds) == (0, 1, "0 1")


def test_a_foreign_runs_csv_is_refused_before_anything_is_run(
    two_cells: ResolvedStudy, tmp_path: Path, recorder: Any
) -> None:
    (tmp_path / "runs.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RunFolderError, match="its columns are not those that dae writes"):
        run_again(plan_of(two_cells, tmp_path), watcher=recorder)
    assert recorder.events == []


def test_a_run_that_another_command_made_anew_is_told_as_its_folder_has_it(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    run_again(plan_of(two_cells, tmp_path))

    class MakingAnew(Silent):
        def started(self, run: str, resumed: bool) -> None:
            other = plan_of(only(two_cells, "convex-0"), tmp_path, engine="blas")
            run_again(other, force=True)

    rows = run_again(plan_of(two_cells, tmp_path, seeds=2), watcher=MakingAnew()).rows
    assert {(row.cell, row.seed, row.engine) for row in rows} >= {("convex-0", 0, "blas")}
    assert [row.engine for row in read_rows(tmp_path / "runs.csv", RunRow)] == [
        row.engine for row in rows
    ]


def test_with_force_a_damaged_file_is_refused_before_any_run_is_removed(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    run_again(plan_of(two_cells, tmp_path))
    (tmp_path / "mcnemar.csv").write_text("<<<<<<< HEAD\n")
    with pytest.raises(RunFolderError, match=r"mcnemar.csv:1: .*; move the file away"):
        run_again(plan_of(two_cells, tmp_path), force=True)
    assert len(list((tmp_path / "runs").iterdir())) == 2


@pytest.mark.parametrize("name", ["wrong_rows.csv", "mcnemar.csv"])
def test_what_alone_tells_of_runs_elsewhere_is_not_written_anew_when_it_is_damaged(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None, recorder: Any, name: str
) -> None:
    run_again(plan_of(two_cells, tmp_path))
    with (tmp_path / name).open("a") as file:
        file.write("<<<<<<< HEAD\n")
    damaged = (tmp_path / name).read_bytes()
    (elsewhere, _) = read_rows(tmp_path / "runs.csv", RunRow)
    shutil.rmtree(tmp_path / "runs" / elsewhere.run)
    with pytest.raises(RunFolderError, match=rf"{name}:\d+: .*; move the file away"):
        run_again(plan_of(two_cells, tmp_path), watcher=recorder)
    assert recorder.events == []
    assert (tmp_path / name).read_bytes() == damaged


def test_a_run_that_failed_here_and_was_made_by_another_command_is_told_as_made(
    two_cells: ResolvedStudy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_report: None,
) -> None:
    plan = plan_of(two_cells, tmp_path)
    first, _ = jobs_of(plan)

    def lacking(job: Job, *_: Any) -> RunRow:
        if job.cell == first.cell:
            return lost_row(job, "the memory ran out", "dae")
        execute(replace(first, engine="torch"), Silent(), "dae")  # another command, meanwhile
        return execute(job, Silent(), "dae")

    monkeypatch.setattr("dae_cli.study.run.execute.execute", lacking)
    outcome = run_again(plan)
    assert (outcome.failed, outcome.done) == (1, 1)
    assert [row.error for row in read_rows(tmp_path / "runs.csv", RunRow)] == ["", ""]


def test_rows_without_folders_stay_until_their_runs_are_made_anew(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None
) -> None:
    run_again(plan_of(two_cells, tmp_path))
    shutil.rmtree(tmp_path / "runs")
    written: list[int] = []

    class Looking(Silent):
        def finished(self, row: RunRow) -> None:
            written.append(len(csv_rows(tmp_path / "runs.csv")))

    run_again(plan_of(two_cells, tmp_path), watcher=Looking())
    assert written == [2, 2]


def test_rows_that_leave_the_tables_are_told(
    two_cells: ResolvedStudy,
    tmp_path: Path,
    other_data: Prepared,
    monkeypatch: pytest.MonkeyPatch,
    no_report: None,
    recorder: Any,
) -> None:
    run_again(plan_of(two_cells, tmp_path))
    monkeypatch.setattr("dae_cli.study.plan.prepare", lambda *_, **__: other_data)
    run_again(plan_of(only(two_cells, "convex-25"), tmp_path), watcher=recorder)
    notes = [text for what, _, text in recorder.events if what == "note"]
    assert notes == [
        f"{tmp_path}: has rows of other settings, data or numerics, which are never mixed; they "
        "leave the tables (convex-0 seed 0, convex-25 seed 0); --out keeps both apart"
    ]
    assert len(list((tmp_path / "runs").iterdir())) == 3


def test_a_run_that_another_command_made_meanwhile_does_not_pass_for_one_of_another_engine(
    two_cells: ResolvedStudy, tmp_path: Path, no_report: None, recorder: Any
) -> None:
    plan = plan_of(only(two_cells, "convex-0"), tmp_path, engine="blas")
    (job,) = jobs_of(plan)
    job.lock.parent.mkdir()
    made: list[RunRow] = []

    def meanwhile() -> None:
        with hold(job.lock):
            held.set()
            waited.wait(30)
        made.append(execute(replace(job, engine="torch"), Silent(), "dae"))

    held, waited = threading.Event(), threading.Event()

    class Waiting(Silent):
        def note(self, text: str) -> None:
            if "waiting for it" in text:
                waited.set()
                other.join(30)

    other = threading.Thread(target=meanwhile)
    other.start()
    assert held.wait(30)
    (row,) = run_again(plan, watcher=Waiting()).rows
    assert made[0].error == ""
    assert (row.n_wrong, row.error) == (
        None,
        "another dae process made it meanwhile with the engine torch, not blas",
    )
