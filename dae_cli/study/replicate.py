"""Run a study, or one experiment, and write the results."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dae_cli.csvfile import column_texts
from dae_cli.data.dataset import Prepared
from dae_cli.errors import DaeError, RunFolderError
from dae_cli.figures.style import load_matplotlib
from dae_cli.files import HeldError
from dae_cli.stopping import Interrupted, StopRequest
from dae_cli.study.distribute import STOPPING, WAIT_SECONDS, distribute
from dae_cli.study.estimate import reference_minutes
from dae_cli.study.plan import Plan
from dae_cli.study.processes import Killed
from dae_cli.study.progress import Watcher
from dae_cli.study.results_folder import EarlierRows, check_writable, tables_lock
from dae_cli.study.rows import RUNS_CSV, RunRow, TableRow
from dae_cli.study.run.engine_choice import refuse_other_engines, with_engines
from dae_cli.study.run.job import (
    RUNS,
    STATUS,
    Job,
    PlannedRun,
    Unfinished,
    sweep_runs,
    with_seed,
)
from dae_cli.study.run.record import failed, lost_row, row_of, with_verdict
from dae_cli.study.tables.comparisons import require_readable
from dae_cli.study.tables.provenance import changes, other_numerics

if TYPE_CHECKING:
    from dae_cli.study.cluster import Cluster
    from dae_cli.study.report.context import TableReport
    from dae_cli.study.results import Results

WRITING_SHARE = 1 / 20
"""Approximate share of a command's time that writing the tables after runs may take."""


@dataclass(frozen=True)
class Outcome:
    """The results of a study that has been run."""

    rows: list[RunRow]
    table: list[TableRow]
    done: int
    skipped: int
    failed: int
    minutes: float
    report: Path
    claims: list[str] = field(default_factory=list)
    """The outcome of each claim, one line per claim; only for a filter study."""
    contents: TableReport | None = None
    """Contents of the reports; only for a study with a table."""


def run_plan(
    plan: Plan,
    *,
    jobs: int,
    force: bool,
    watcher: Watcher,
    command: str,
    cluster: Cluster | None = None,
    formats: Collection[str] = (),
) -> Outcome:
    """Run what is not done; write the tables, mcnemar.csv, figures, report and page.

    Tables, curves.csv and the sheets of filters are updated as runs end, so that a stopped study
    has complete results of its finished runs even without their folders. Runs that another command
    is running are left to it and awaited at the end.

    Args:
        formats: of pictures, in addition to PNG.

    Raises:
        Interrupted: the command was asked to stop; every run has saved a checkpoint.
        DaeError: results cannot be read or written, a run cannot be resumed with its engine, or
            the cluster cannot run the jobs.
    """
    start = time.monotonic()
    _prepare(plan, force, watcher, cluster)
    results = _StudyResults(plan)
    finished = [] if force else [run for run in plan.runs if run.state == "done"]
    rows = [_row_of_done(run.job, command) for run in finished]
    refuse_other_engines(
        (run, row) for run, row in zip(finished, rows, strict=True) if not row.error
    )
    for row in rows:
        results.add(row)
    skipped = sum(not row.error for row in rows)
    ahead = [replace(run, job=replace(run.job, from_start=force)) for run in plan.ahead(force)]
    try:
        with closing(_run_until_done(ahead, jobs, watcher, command, cluster)) as new:
            for row in new:
                rows.append(row)
                results.add_new(row)
        written = results.write(command, formats)
    except (Interrupted, DaeError):
        with suppress(DaeError):
            results.save()
        raise
    if others := other_numerics(written.rows):
        watcher.note(f"{plan.out / RUNS_CSV}: {others}")
    if written.undrawn and formats:
        watcher.note(
            f"not drawn as {', '.join(formats)}: {', '.join(written.undrawn)}, because their runs "
            f"or data are not here; run dae replicate {plan.study.argument} with --plots"
        )
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
        contents=written.contents,
    )


def _prepare(plan: Plan, force: bool, watcher: Watcher, cluster: Cluster | None) -> None:
    """Check all requirements before anything runs; report rows that the tables will lose."""
    for folder in (plan.out, plan.out / RUNS):
        check_writable(folder)
    if not plan.study.is_filter_study:
        load_matplotlib()
    if changed := changes(plan.study, {cell.cell for cell in plan.study.cells}):
        watcher.note(changed)
    if cluster is not None:
        cluster.require(plan.out / RUNS)
    sweep_runs(plan.out / RUNS)
    earlier = EarlierRows(plan)
    for note in earlier.notes():
        watcher.note(note)
    _require_readable(plan, earlier.remaining, discarding_runs=force)
    if force:
        held = [run.job.cell for run in plan.runs if run.job.is_held()]
        if held:
            raise RunFolderError(
                f"another dae process is running {', '.join(held)}, and --force would discard its "
                "work: stop that process first, or omit --force to share the runs"
            )


def require_runnable(plan: Plan, force: bool) -> None:
    """Check a dry plan as `run_plan` does, without writing. Raises DaeError."""
    for folder in (plan.out, plan.out / RUNS):
        check_writable(folder, dry=True)
    earlier = EarlierRows(plan)
    earlier.require_none_lost()
    _require_readable(plan, earlier.remaining, discarding_runs=force)
    done = [] if force else [run for run in plan.runs if run.state == "done"]
    rows = [_row_of_done(run.job, command="") for run in done]
    refuse_other_engines((r, row) for r, row in zip(done, rows, strict=True) if not row.error)


def _require_readable(plan: Plan, rows: Sequence[RunRow], *, discarding_runs: bool) -> None:
    """Check that files which are the only record of some runs can be read."""
    if plan.study.is_filter_study:
        from dae_cli.study.filter_study import require_measures

        require_measures(plan.out, rows, discarding_runs=discarding_runs)
    else:
        from dae_cli.study.report.saved_runs import read_curves

        require_readable(plan.out, rows, discarding_runs=discarding_runs)
        read_curves(plan.out)


def _row_of_done(job: Job, command: str) -> RunRow:
    """Return the row of a finished run; if the run is damaged, the row reports it."""
    try:
        return row_of(job)
    except RunFolderError as error:
        return lost_row(job, str(error), command)


# Executing runs


def run_single(run: PlannedRun, *, watcher: Watcher, force: bool, command: str) -> RunRow:
    """Start or resume one run in this process; with `force`, start it over.

    Raises:
        RunFolderError: the folder is not writable, the run cannot be resumed with its engine, or
            another process is running it.
        Interrupted: the command was asked to stop; the run has saved a checkpoint.
    """
    job = run.job
    check_writable(job.folder.parent)
    sweep_runs(job.folder.parent)
    held = f"{job.cell}: another dae process is running it; wait for it, or stop it first"
    if job.is_held():
        raise RunFolderError(held)
    if force:
        run = replace(run, job=replace(job, from_start=True))
    elif run.state == "done":
        row = row_of(job)
        refuse_other_engines([(run, row)])
        return row
    jobs, unresumable = with_engines([run], watcher.note)
    for why in unresumable.values():
        raise RunFolderError(f"{run.label}: {why}")
    (outcome,) = _execute(jobs, 1, watcher, command)
    if isinstance(outcome, RunRow):
        return outcome
    raise RunFolderError(held)


def _run_until_done(
    runs: Sequence[PlannedRun],
    workers: int,
    watcher: Watcher,
    command: str,
    cluster: Cluster | None,
) -> Generator[RunRow, None, None]:
    """Execute runs, or wait for those that another command is running; yield their rows."""
    waiting = list(runs)
    while waiting:
        # Cells may share a run. It is executed once; the other cells find it done in the next pass.
        batch: dict[str, PlannedRun] = {}
        for run in waiting:
            batch.setdefault(run.job.name, run)
        # In every pass, because another command may have chosen the engine of an awaited run.
        jobs, unresumable = with_engines([*batch.values()], watcher.note)
        for name, why in unresumable.items():
            row = lost_row(batch[name].job, why, command)
            watcher.finished(row)
            yield row
        # Longest first, so that all workers end at about the same time.
        jobs.sort(key=lambda job: reference_minutes(job.experiment), reverse=True)
        held: dict[str, Job] = {}
        with closing(_execute(jobs, workers, watcher, command, cluster)) as outcomes:
            for outcome in outcomes:
                if isinstance(outcome, RunRow):
                    yield _checked(outcome, batch[outcome.run])
                elif outcome.why == "held":
                    held[outcome.run] = batch[outcome.run].job
        waiting = [
            replace(r, job=replace(r.job, from_start=False))  # keep what this pass has done
            for r in waiting
            if r.job.name in held or r is not batch[r.job.name]
        ]
        if held:
            names = ", ".join(job.cell for job in held.values())
            watcher.note(f"another dae process is running {names}; waiting for it")
        while held and all(job.is_held() for job in held.values()):
            time.sleep(WAIT_SECONDS)


def _checked(row: RunRow, run: PlannedRun) -> RunRow:
    """Return the row; mark it as failed if another command used a different engine."""
    if row.error or run.accepts(row.engine):
        return row
    why = f"another dae process has meanwhile finished this run with the engine {row.engine}"
    return failed(row, f"{why}, not {run.engine}")


def _execute(
    jobs: Sequence[Job],
    workers: int,
    watcher: Watcher,
    command: str,
    cluster: Cluster | None = None,
) -> Generator[RunRow | Unfinished, None, None]:
    """Execute runs, at most `workers` at a time, and yield the result of each when it ends.

    A failed run does not stop the others. Raises Interrupted when asked to stop.
    """
    stop = StopRequest(lambda: watcher.note(STOPPING))
    ended = distribute(
        _discarding(jobs),
        partial(_run_one, command),
        workers=max(1, min(workers, len(jobs))),
        watcher=watcher,
        stop=stop,
        cluster=cluster,
    )
    with closing(ended):
        for job, result in ended:
            if isinstance(result, Killed):
                remedy = "run the same command again to resume, or use smaller layers"
                result = lost_row(job, f"{result.why}; {remedy}", command)
            if isinstance(result, RunRow):
                watcher.finished(result)
            yield result
    if stop.signal:
        raise Interrupted(stop.signal)


def _discarding(jobs: Iterable[Job]) -> Iterator[Job]:
    """Yield each job when a worker asks for it; only then discard a run that is to start over."""
    for job in jobs:
        if job.from_start:
            with suppress(HeldError):
                job.discard()
        yield job


def _run_one(command: str, job: Job, watcher: Watcher, stop: StopRequest) -> RunRow | Unfinished:
    if stop.signal:
        return Unfinished(job.name, "stopped")
    # Imports torch, which a command with several worker processes does not need itself.
    from dae_cli.study.run.run import run_job

    return run_job(job, watcher, command, stop)


# The rows of runs.csv


class _StudyResults:
    """The rows of runs.csv in memory: those of this command, and those of others that remain.

    All files are written from these rows: some as runs end, the rest at the end. Each run folder is
    read at most once; runs.csv is read again only if another command has written it.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._own: dict[tuple[str, str], RunRow] = {}
        self._others: dict[tuple[str, str], RunRow] = {}
        """By cell and run, because cells may share a run."""
        self._current: dict[str, str] = {}
        """By the run of each of these rows: the run's name with the current numerics version."""
        self._stamp: tuple[int, ...] | None = None
        """State of runs.csv when it was last read or written."""
        self._unsaved: list[RunRow] = []
        self._next_save = 0.0

    def add(self, row: RunRow) -> None:
        """Add the row of a run of this command."""
        self._own[row.cell, row.run] = row

    def add_new(self, row: RunRow) -> None:
        """Add the row of a run that has just ended; save it now, or later together with others.

        A killed command loses nothing, because the run's folder has the same information.
        """
        self.add(row)
        self._unsaved.append(row)
        if (begin := time.monotonic()) >= self._next_save:
            self.save()
            end = time.monotonic()
            self._next_save = end + (end - begin) / WRITING_SHARE

    def save(self) -> None:
        """Write the tables, and curves and filter sheets of the runs that have just ended."""
        from dae_cli.study.results import write_tables

        if self._unsaved:
            with self._locked() as rows:
                write_tables(self._plan.study, self._plan.out, rows, new=self._unsaved)
            self._unsaved.clear()

    def write(self, command: str, formats: Collection[str]) -> Results:
        """Write every file of the study."""
        from dae_cli.study.results import write_results

        plan = self._plan
        data = {run.job.data.name: run.job.data for run in plan.runs}
        with self._locked() as rows:
            return write_results(
                plan.study, plan.out, rows, command=command, data=data, formats=formats
            )

    @contextmanager
    def _locked(self) -> Iterator[list[RunRow]]:
        """Lock the tables; yield all rows to write, in the order of the table.

        Raises RunFolderError if another command has added rows that would be lost.
        """
        path = self._plan.out / RUNS_CSV
        with tables_lock(self._plan.out):
            if _stamp_of(path) != self._stamp:
                self._merge()
            order = {cell.cell: k for k, cell in enumerate(self._plan.study.all_cells)}
            rows = [
                row
                for row in self._others.values()
                if (row.cell, self._current[row.run]) not in self._own
            ]
            rows += self._own.values()
            rows.sort(key=lambda row: (order.get(row.cell, len(order)), row.seed))
            yield rows
            self._stamp = _stamp_of(path)

    def _merge(self) -> None:
        """Read what other commands have written to runs.csv, and edits of its lines."""
        earlier = EarlierRows(self._plan, self._own)
        earlier.require_none_lost()
        for row in earlier.rows:
            own = self._own.get((row.cell, row.run))
            if own is not None and column_texts(own) != column_texts(row):
                self.add(self._from_folder(own))
        known, self._others = self._others, {}
        for row in earlier.remaining:
            key = row.cell, row.run
            same = key in known and column_texts(known[key]) == column_texts(row)
            self._others[key] = known[key] if same else self._from_folder(row)
        self._current = earlier.current

    def _from_folder(self, row: RunRow) -> RunRow:
        """Return the row of a finished run from its folder.

        Another command may have repeated the run, or finished one that failed here. A row that
        failed because of its engine stays failed.
        """
        plan, folder = self._plan, self._plan.out / RUNS / row.run
        if not (folder / STATUS).exists():
            return with_verdict(row)
        cell = next(cell for cell in plan.study.all_cells if cell.cell == row.cell)
        # `row_of` uses the origin and trust that the folder records.
        data = Prepared(row.dataset, folder, "original", row.data_sha256, "", row.trust)
        try:
            experiment = with_seed(cell.experiment, row.seed)
            current = row_of(Job(row.cell, experiment, data, folder, reference=cell.reference))
        except RunFolderError as error:
            return row if row.error else failed(row, str(error))
        refused = any(p.job.name == row.run and not p.accepts(current.engine) for p in plan.runs)
        return row if row.error and refused else current


def _stamp_of(path: Path) -> tuple[int, ...] | None:
    """Return values that change when a file is replaced or edited; None if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
