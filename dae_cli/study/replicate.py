"""Running a study, and what comes out of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dae_cli.errors import RunFolderError
from dae_cli.figures.style import load_matplotlib
from dae_cli.study.earlier_rows import earlier_rows, names_of, outdated, renamed_cells
from dae_cli.study.plan import Plan
from dae_cli.study.progress import Watcher
from dae_cli.study.results_folder import (
    RUNS_CSV,
    check_writable,
    tables_lock,
    write_tables,
)
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.run.engine_choice import refuse_other_engines, with_engines
from dae_cli.study.run.job import RUNS, Job, PlannedRun, expected_work, sweep_runs
from dae_cli.study.run.record import failed, row_of
from dae_cli.study.tables.comparisons import require_readable, write_comparisons
from dae_cli.study.tables.provenance import changes, other_numerics
from dae_cli.study.workers.pool import run_jobs

if TYPE_CHECKING:
    from dae_cli.study.results import Results
    from dae_cli.study.workers.cluster import Cluster

WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class Outcome:
    """What a study came to."""

    rows: list[RunRow]
    table: list[TableRow]
    done: int
    skipped: int
    failed: int
    minutes: float
    report: Path
    judgements: list[str] = field(default_factory=list)
    """Of a study on filters, what its measures say of each claim, a line each."""


def run_plan(
    plan: Plan,
    *,
    jobs: int,
    force: bool,
    watcher: Watcher,
    command: str,
    scheduler: Cluster | None = None,
) -> Outcome:
    """Run what is not done; write the tables, mcnemar.csv, pictures, report and page.

    The tables, curves.csv and the run's sheet of filters are written after each run, so that a
    stopped study leaves what it has, whether or not its run folders come along. Runs
    that another command is making are left to it, and waited for at the end.

    Raises:
        OutputError: results cannot be written.
        RunFolderError: what is there is no study's, or a run cannot go on with its engine.
        Interrupted: the command was asked to stop; every run has kept a checkpoint.
        UnfitWorkerError: a worker of the cluster cannot take part.
        ClusterError: the cluster is gone.
    """
    start = time.monotonic()
    for folder in (plan.out, plan.out / RUNS):
        check_writable(folder)
    if not plan.study.is_of_filters:
        load_matplotlib()
    if changed := changes(plan.study, {cell.cell for cell in plan.study.cells}):
        watcher.note(str(changed))
    if scheduler is not None:
        scheduler.require(plan.out / RUNS)
    sweep_runs(plan.out / RUNS)
    _require_readable(plan, _rows_that_stay(plan, watcher), discarding_runs=force)
    if force:
        _discard(plan)
    ahead = [p for p in plan.runs if force or p.state != "done"]
    finished = [
        (p, _row_of_done(p.job, command)) for p in plan.runs if p.state == "done" and not force
    ]
    refuse_other_engines((p, row) for p, row in finished if not row.error)
    rows = [row for _, row in finished]
    skipped = sum(not row.error for row in rows)
    due = [replace(p, job=replace(p.job, from_start=force)) for p in ahead]
    for row in _made(due, jobs, watcher, command, scheduler):
        rows.append(row)
        with tables_lock(plan.out):
            every, _ = write_tables(plan, rows)
            if not plan.study.is_of_filters:
                write_comparisons(plan.out, every)
                if not row.error:
                    from dae_cli.study.report.pictures import add_run

                    add_run(plan.study, plan.out, row, every)
    everything, found = _write_all(plan, rows, command)
    if told := other_numerics(everything):
        watcher.note(f"{plan.out / RUNS_CSV}: {told}")
    sweep_runs(plan.out / RUNS)
    failed = sum(bool(row.error) for row in rows)
    minutes = (time.monotonic() - start) / 60.0
    done = len(rows) - skipped - failed
    return Outcome(
        everything,
        list(found.table),
        done,
        skipped,
        failed,
        minutes,
        found.report,
        list(found.judgements),
    )


def _write_all(plan: Plan, rows: Sequence[RunRow], command: str) -> tuple[list[RunRow], Results]:
    """Write everything that a study comes to."""
    from dae_cli.study.results import write_results

    data = {planned.job.data.name: planned.job.data for planned in plan.runs}
    with tables_lock(plan.out):
        everything, _ = write_tables(plan, rows)
        found = write_results(plan.study, plan.out, everything, command=command, data=data)
    return everything, found


def _made(
    runs: Sequence[PlannedRun],
    workers: int,
    watcher: Watcher,
    command: str,
    scheduler: Cluster | None,
) -> Iterator[RunRow]:
    """Make runs, or wait for those that another command is making; yield their rows."""
    left = list(runs)
    while left:
        # The longest first, so that the last workers end at about the same time.
        jobs, unresumable = with_engines(left, watcher.note)
        for planned in left:
            if why := unresumable.get(planned.job.name):
                yield _failed(planned.job, why, watcher, command)
        todo = sorted(jobs, key=expected_work, reverse=True)
        held: set[str] = set()
        started = run_jobs(
            todo, workers=workers, watcher=watcher, command=command, scheduler=scheduler
        )
        with closing(started) as ended:
            for outcome in ended:
                if isinstance(outcome, RunRow):
                    yield _as_asked(outcome, left)
                elif outcome.why == "held":
                    held.add(outcome.run)
        left = [planned for planned in left if planned.job.name in held]
        if left:
            _wait_for_one(left, watcher)


def _rows_that_stay(plan: Plan, watcher: Watcher) -> list[RunRow]:
    """Return the rows of runs.csv that stay, and say which will leave the tables.

    The run folders of those stay.

    Raises:
        RunFolderError: runs.csv is not one that dae wrote.
    """
    stay, gone = earlier_rows(plan)
    gone += outdated(plan, stay)
    renamed = renamed_cells(plan, gone)
    for old, new in dict.fromkeys((r.cell, renamed[r.run]) for r in gone if r.run in renamed):
        watcher.note(f"{plan.out}: the cell {old} is named {new} now, and so are its rows")
    left = [row for row in gone if row.run not in renamed]
    if failed := [row for row in left if row.error]:
        watcher.note(f"{plan.out}: rows of runs that failed leave: {names_of(failed)}")
    if left := [row for row in left if not row.error]:
        names = names_of(left)
        why = (
            f"given up by --replace: {names}"
            if plan.replaces
            else f"your runs take the place of the reference's ({names}) in these tables; the "
            "reference itself stays, and yours are compared with it at the end"
        )
        watcher.note(f"{plan.out}: {why}")
    return stay


def _require_readable(plan: Plan, rows: Sequence[RunRow], *, discarding_runs: bool) -> None:
    """Make sure, before anything runs, that files which alone tell of runs can be read."""
    if plan.study.is_of_filters:
        from dae_cli.study.filter_study import require_measures

        require_measures(plan.out, rows, discarding_runs=discarding_runs)
    else:
        from dae_cli.study.report.saved_runs import read_curves

        require_readable(plan.out, rows, discarding_runs=discarding_runs)
        read_curves(plan.out)


def _row_of_done(job: Job, command: str) -> RunRow:
    """Return the row of a finished run; of a damaged one, a row that says so."""
    try:
        return row_of(job)
    except RunFolderError as error:
        return _lost(job, str(error), command)


def _failed(job: Job, why: str, watcher: Watcher, command: str) -> RunRow:
    row = _lost(job, why, command)
    watcher.finished(row)
    return row


def _lost(job: Job, why: str, command: str) -> RunRow:
    from dae_cli.study.run.run import lost_row

    return lost_row(job, why, command)


def _as_asked(row: RunRow, runs: Sequence[PlannedRun]) -> RunRow:
    """Return the row, or a failed one where another command made the run with another engine."""
    planned = next(planned for planned in runs if planned.job.name == row.run)
    if row.error or planned.accepts(row.engine):
        return row
    why = f"another dae process made it meanwhile with the engine {row.engine}"
    return failed(row, f"{why}, not {planned.engine}")


def _wait_for_one(runs: Sequence[PlannedRun], watcher: Watcher) -> None:
    """Wait until another process has let go of one of its runs, done or not."""
    names = ", ".join(planned.job.cell for planned in runs)
    watcher.note(f"another dae process is making {names}; waiting for it")
    while all(planned.job.is_held() for planned in runs):
        time.sleep(WAIT_SECONDS)


def _discard(plan: Plan) -> None:
    """Remove the runs of a plan, done and stopped, for a new start."""
    held = [planned.job.cell for planned in plan.runs if planned.job.is_held()]
    if held:
        raise RunFolderError(
            f"another dae process is making {', '.join(held)}, which --force would take away from "
            "it: end it first, or leave --force out to share the work"
        )
    for planned in plan.runs:
        planned.job.discard()
