"""Running a study, and what comes out of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from dae_cli.data.registry import N_PIXELS, REGISTRY
from dae_cli.errors import RunFolderError
from dae_cli.study.plan import Plan
from dae_cli.study.pool import run_jobs
from dae_cli.study.progress import Watcher
from dae_cli.study.results_folder import check_writable, earlier_rows, tables_alone, write_tables
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.run_folder import RUNS, Job, PlannedRun, sweep_runs
from dae_cli.study.run_row import row_of, without_result
from dae_cli.study.which_engine import cannot_go_on, refuse_other_engine, settled

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


def run_plan(plan: Plan, *, jobs: int, force: bool, watcher: Watcher, command: str) -> Outcome:
    """Run what is not done, then write runs.csv, table.csv, the pictures, the report and page.

    The tables are written again after each run, so that a stopped study leaves what it has. Runs
    that another command is making are left to it, and waited for at the end.

    Raises:
        OutputError: results cannot be written.
        RunFolderError: what is there is no study's, or a run cannot go on with its engine.
        Interrupted: the command was asked to stop; every run has kept a checkpoint.
    """
    from dae_cli.study.page import write_page
    from dae_cli.study.report import write_report

    start = time.monotonic()
    for folder in (plan.out, plan.out / RUNS):
        check_writable(folder)
    sweep_runs(plan.out / RUNS)
    _tell_what_goes(plan, watcher)
    if force:
        _discard(plan)
    else:
        refuse_other_engine(plan.runs)
    ahead = [p for p in plan.runs if force or p.state != "done"]
    rows = [_row_of_done(p.job, command) for p in plan.runs if p not in ahead]
    skipped = sum(not row.error for row in rows)
    unfit = cannot_go_on(ahead)
    rows += [_failed(planned.job, why, watcher, command) for planned, why in unfit]
    ahead = [p for p in ahead if p not in [planned for planned, _ in unfit]]
    for row in _made(ahead, jobs, watcher, command):
        rows.append(row)
        with tables_alone(plan.out):
            write_tables(plan, rows)
    with tables_alone(plan.out):
        everything, table = write_tables(plan, rows)
        report = write_report(plan.study, plan.out, everything, table, command)
        write_page(plan.study, plan.out, everything, table, command)
    sweep_runs(plan.out / RUNS)
    failed = sum(bool(row.error) for row in rows)
    minutes = (time.monotonic() - start) / 60.0
    done = len(rows) - skipped - failed
    return Outcome(everything, table, done, skipped, failed, minutes, report)


def _made(
    runs: Sequence[PlannedRun], workers: int, watcher: Watcher, command: str
) -> Iterator[RunRow]:
    """Make runs, or wait for those that another command is making; yield their rows."""
    left = list(runs)
    while left:
        # The longest first, so that the last workers end at about the same time.
        todo = sorted(settled(left, watcher), key=_expected_work, reverse=True)
        held: set[str] = set()
        with closing(run_jobs(todo, workers=workers, watcher=watcher, command=command)) as ended:
            for outcome in ended:
                if isinstance(outcome, RunRow):
                    yield _as_asked(outcome, left)
                elif outcome.why == "held":
                    held.add(outcome.run)
        left = [planned for planned in left if planned.job.name in held]
        if left:
            _wait_for_one(left, watcher)


def _tell_what_goes(plan: Plan, watcher: Watcher) -> None:
    """Say which rows of runs.csv will not be in the tables; their run folders stay.

    Raises:
        RunFolderError: runs.csv is not one that dae wrote.
    """
    _, gone = earlier_rows(plan)
    if gone:
        names = ", ".join(f"{row.cell} seed {row.seed}" for row in gone)
        watcher.note(
            f"{plan.out}: has rows of other settings, data or numerics, which are never mixed; "
            f"they leave the tables ({names}); --out keeps both apart"
        )


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
    from dae_cli.study.execute import lost_row

    return lost_row(job, why, command)


def _as_asked(row: RunRow, runs: Sequence[PlannedRun]) -> RunRow:
    """Return the row, or a failed one where another command made the run with another engine."""
    engine = next(planned.engine for planned in runs if planned.job.name == row.run)
    if row.error or engine in ("auto", row.engine):
        return row
    return without_result(
        row, f"another dae process made it meanwhile with the engine {row.engine}, not {engine}"
    )


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


def _expected_work(job: Job) -> float:
    """Return a number that grows with the time a run will take: rows · weights · epochs."""
    experiment = job.experiment
    rows = experiment.subset.train if experiment.subset else REGISTRY[job.data.name].n_train
    widths = (N_PIXELS, *experiment.model.hidden)
    weights = sum(below * above for below, above in pairwise(widths))
    return float(rows * weights * (experiment.pretrain.epochs + experiment.finetune.patience))
