"""Running a study, or one experiment, and writing what comes of it."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dae_cli.errors import DaeError, RunFolderError
from dae_cli.figures.style import load_matplotlib
from dae_cli.stopping import Interrupted
from dae_cli.study.distribute import WAIT_SECONDS, make_runs
from dae_cli.study.earlier_rows import EarlierRows
from dae_cli.study.plan import Plan
from dae_cli.study.progress import Watcher
from dae_cli.study.results_folder import StudyRows, check_writable
from dae_cli.study.rows import RUNS_CSV, RunRow, TableRow
from dae_cli.study.run.engine_choice import refuse_other_engines, with_engines
from dae_cli.study.run.job import RUNS, Job, PlannedRun, expected_work, sweep_runs
from dae_cli.study.run.record import failed, lost_row, row_of
from dae_cli.study.tables.comparisons import require_readable
from dae_cli.study.tables.provenance import changes, other_numerics

if TYPE_CHECKING:
    from dae_cli.study.cluster import Cluster
    from dae_cli.study.results import Results

WRITING_SHARE = 1 / 20
"""Of a command's time, about, that writing the tables after each run may take."""


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
    claims: list[str] = field(default_factory=list)
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
    """Run what is not done; write the tables, mcnemar.csv, figures, report and page.

    Tables, curves.csv and the sheets of filters are written while the runs end, so that a stopped
    study leaves what it has, whether or not its run folders come along. Runs that another command
    is making are left to it, and waited for at the end.

    Raises:
        OutputError: results cannot be written.
        RunFolderError: what is there is no study's, or a run cannot go on with its engine.
        Interrupted: the command was asked to stop; every run has saved a checkpoint.
        WorkerMismatchError: a worker of the cluster cannot take part.
        ClusterError: the cluster is gone.
    """
    start = time.monotonic()
    _prepare(plan, force, watcher, scheduler)
    results = _ResultsWriter(plan)
    finished = [] if force else [run for run in plan.runs if run.state == "done"]
    rows = [_row_of_done(run.job, command) for run in finished]
    refuse_other_engines(
        (run, row) for run, row in zip(finished, rows, strict=True) if not row.error
    )
    for row in rows:
        results.add(row)
    skipped = sum(not row.error for row in rows)
    ahead = [
        replace(run, job=replace(run.job, from_start=force))
        for run in plan.runs
        if force or run.state != "done"
    ]
    try:
        with closing(_run_until_done(ahead, jobs, watcher, command, scheduler)) as new:
            for row in new:
                rows.append(row)
                results.add_new(row)
        written = results.write(command)
    except (Interrupted, DaeError):
        with suppress(DaeError):
            results.save()
        raise
    if others := other_numerics(written.rows):
        watcher.note(f"{plan.out / RUNS_CSV}: {others}")
    sweep_runs(plan.out / RUNS)
    return Outcome(
        list(written.rows),
        list(written.table),
        done=sum(not row.error for row in rows) - skipped,
        skipped=skipped,
        failed=sum(bool(row.error) for row in rows),
        minutes=(time.monotonic() - start) / 60.0,
        report=written.report,
        claims=list(written.claims),
    )


def _prepare(plan: Plan, force: bool, watcher: Watcher, scheduler: Cluster | None) -> None:
    """Make sure, before anything runs, of all that it needs; report what will leave the tables."""
    for folder in (plan.out, plan.out / RUNS):
        check_writable(folder)
    if not plan.study.is_filter_study:
        load_matplotlib()
    if changed := changes(plan.study, {cell.cell for cell in plan.study.cells}):
        watcher.note(changed)
    if scheduler is not None:
        scheduler.require(plan.out / RUNS)
    sweep_runs(plan.out / RUNS)
    earlier = EarlierRows(plan)
    for note in earlier.notes():
        watcher.note(note)
    _require_readable(plan, earlier.stay, discarding_runs=force)
    if force:
        _discard(plan)


def _require_readable(plan: Plan, rows: Sequence[RunRow], *, discarding_runs: bool) -> None:
    """Make sure that files which are all there is of some runs can be read."""
    if plan.study.is_filter_study:
        from dae_cli.study.filter_study import require_measures

        require_measures(plan.out, rows, discarding_runs=discarding_runs)
    else:
        from dae_cli.study.report.saved_runs import read_curves

        require_readable(plan.out, rows, discarding_runs=discarding_runs)
        read_curves(plan.out)


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


def _row_of_done(job: Job, command: str) -> RunRow:
    """Return the row of a finished run; of a damaged one, a row that says so."""
    try:
        return row_of(job)
    except RunFolderError as error:
        return lost_row(job, str(error), command)


def _run_until_done(
    runs: Sequence[PlannedRun],
    workers: int,
    watcher: Watcher,
    command: str,
    scheduler: Cluster | None,
) -> Generator[RunRow, None, None]:
    """Make runs, or wait for those that another command is making; yield their rows."""
    waiting = list(runs)
    while waiting:
        # Cells may share a run: it is made once, and then it is there for the others.
        making: dict[str, PlannedRun] = {}
        for run in waiting:
            making.setdefault(run.job.name, run)
        jobs, unresumable = with_engines([*making.values()], watcher.note)
        for name, why in unresumable.items():
            row = lost_row(making[name].job, why, command)
            watcher.finished(row)
            yield row
        # The longest first, so that the last workers end at about the same time.
        jobs.sort(key=expected_work, reverse=True)
        held: set[str] = set()
        started = make_runs(
            jobs, workers=workers, watcher=watcher, command=command, place=scheduler
        )
        with closing(started) as ended:
            for outcome in ended:
                if isinstance(outcome, RunRow):
                    yield _as_asked(outcome, making[outcome.run])
                elif outcome.why == "held":
                    held.add(outcome.run)
        waiting = [
            run for run in waiting if run.job.name in held or run is not making[run.job.name]
        ]
        if held:
            _wait_for_one([making[name].job for name in making if name in held], watcher)


def _as_asked(row: RunRow, run: PlannedRun) -> RunRow:
    """Return the row, or a failed one where another command made the run with another engine."""
    if row.error or run.accepts(row.engine):
        return row
    why = f"another dae process made it meanwhile with the engine {row.engine}"
    return failed(row, f"{why}, not {run.engine}")


def _wait_for_one(jobs: Sequence[Job], watcher: Watcher) -> None:
    """Wait until another process has let go of one of its runs, done or not."""
    names = ", ".join(job.cell for job in jobs)
    watcher.note(f"another dae process is making {names}; waiting for it")
    while all(job.is_held() for job in jobs):
        time.sleep(WAIT_SECONDS)


class _ResultsWriter:
    """Writes what a study comes to: while its runs end, and at the end."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._rows = plan, StudyRows(plan)
        self._unsaved: list[RunRow] = []
        self._next_save = 0.0

    def add(self, row: RunRow) -> None:
        """Add the row of a run that was done before."""
        self._rows.add(row)

    def add_new(self, row: RunRow) -> None:
        """Add the row of a run that has just ended, and save it: at once, or with others.

        A killed command loses nothing by it: the run's folder says the same.
        """
        self._rows.add(row)
        self._unsaved.append(row)
        if (begin := time.monotonic()) >= self._next_save:
            self.save()
            end = time.monotonic()
            self._next_save = end + (end - begin) / WRITING_SHARE

    def save(self) -> None:
        """Write the tables, and the curves and the sheet of each run that has just ended."""
        from dae_cli.study.results import write_tables

        if not self._unsaved:
            return
        with self._rows.locked() as rows:
            write_tables(self._plan.study, self._plan.out, rows, new=self._unsaved)
        self._unsaved.clear()

    def write(self, command: str) -> Results:
        """Write every file of the study."""
        from dae_cli.study.results import write_results

        plan = self._plan
        data = {run.job.data.name: run.job.data for run in plan.runs}
        with self._rows.locked() as rows:
            return write_results(plan.study, plan.out, rows, command=command, data=data)


def run_single(run: PlannedRun, *, watcher: Watcher, force: bool, command: str) -> RunRow:
    """Make one run in this process, from its checkpoint if there is one; `force` starts over.

    Raises:
        RunFolderError: the folder cannot be written to, the run cannot go on with its engine, or
            another process is making it.
        Interrupted: the command was asked to stop; the run has saved a checkpoint.
    """
    job = run.job
    check_writable(job.folder.parent)
    sweep_runs(job.folder.parent)
    if job.is_held():
        raise RunFolderError(
            f"{job.cell}: another dae process is making this run; wait for it, or end it first"
        )
    if force:
        job.discard()
        run = replace(run, job=replace(job, from_start=True))
    elif run.state == "done":
        row = row_of(job)
        refuse_other_engines([(run, row)])
        return row
    jobs, unresumable = with_engines([run], watcher.note)
    for why in unresumable.values():
        raise RunFolderError(f"{run.label}: {why}")
    (outcome,) = make_runs(jobs, workers=1, watcher=watcher, command=command)
    if isinstance(outcome, RunRow):
        return outcome
    raise RunFolderError(f"{job.cell}: another dae process began this run just now")
