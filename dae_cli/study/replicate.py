"""A study: what there is to run, running it, and what comes out of it."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from dae_cli.config.experiments import ResolvedExperiment, ResolvedStudy
from dae_cli.config.schema import Experiment
from dae_cli.data.dataset import Origin
from dae_cli.data.obtain import Prepared
from dae_cli.data.provide import prepare
from dae_cli.data.registry import N_PIXELS, REGISTRY
from dae_cli.engines.names import EngineChoice
from dae_cli.errors import RunFolderError
from dae_cli.study.pool import run_jobs
from dae_cli.study.progress import Watcher
from dae_cli.study.rows import RunRow, TableRow, read_rows, write_rows
from dae_cli.study.run_folder import RUNS, Job, PlannedRun, config_sha256, run_name
from dae_cli.study.run_row import row_of
from dae_cli.study.table import table_of
from dae_cli.study.which_engine import check_choice, settled

RUNS_CSV, TABLE_CSV = "runs.csv", "table.csv"


@dataclass(frozen=True)
class Plan:
    """Every run that a command asks for, in the order of the table."""

    study: ResolvedStudy
    out: Path
    runs: tuple[PlannedRun, ...]


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


def default_out(study: ResolvedStudy, overrides: Sequence[str]) -> Path:
    """Return results/STUDY, or a folder of its own for a trial with changed settings."""
    if not overrides:
        return Path("results") / study.name
    digest = hashlib.sha256("\n".join(sorted(overrides)).encode()).hexdigest()[:6]
    return Path("results") / f"{study.name}-{digest}"


def plan_study(
    study: ResolvedStudy,
    *,
    seeds: int | None,
    out: Path,
    data_dir: Path | None,
    origin: Origin | None = None,
    device: str = "cpu",
    engine: EngineChoice = "torch",
    watcher: Watcher,
) -> Plan:
    """Prepare the data and lay out the runs: every cell, `seeds` times with successive seeds.

    Raises:
        ConfigError: the device or the engine is not there.
        DataError: a data set cannot be had.
    """
    check_choice(engine, device)
    prepared: dict[str, Prepared] = {}
    for cell in study.cells:
        name = cell.experiment.dataset
        if name not in prepared:
            prepared[name] = prepare(name, data_dir=data_dir, origin=origin, note=watcher.note)
            watcher.note(f"{name} ({prepared[name].origin}): {prepared[name].source}")
    runs = []
    for cell in study.cells:
        for experiment in _seeded(cell.experiment, seeds):
            job = make_job(cell, experiment, prepared[experiment.dataset], out / RUNS, device)
            runs.append(PlannedRun(job, job.state(), engine))
    return Plan(study, out, tuple(runs))


def make_job(
    cell: ResolvedExperiment, experiment: Experiment, data: Prepared, runs: Path, device: str
) -> Job:
    """Return the job of one experiment in a folder of runs."""
    folder = runs.absolute() / run_name(experiment, data.sha256)
    return Job(cell.cell, experiment, data, folder, device)


def run_plan(plan: Plan, *, jobs: int, force: bool, watcher: Watcher, command: str) -> Outcome:
    """Run what is not done, then write runs.csv, table.csv, the pictures and the report.

    The tables are written again after each run, so that a stopped study leaves what it has.

    Raises:
        RunFolderError: results cannot be written, or a stopped run cannot go on with its engine.
    """
    from dae_cli.study.report import write_report

    start = time.monotonic()
    check_writable(plan.out)
    check_writable(plan.out / RUNS)
    if force:
        for planned in plan.runs:
            planned.job.discard()
    kept = _earlier_rows(plan)
    ahead = [p for p in plan.runs if force or p.state != "done"]
    # The longest first, so that the last workers end at about the same time.
    todo = sorted(settled(ahead, watcher), key=_expected_work, reverse=True)
    rows = [row_of(p.job) for p in plan.runs if p not in ahead]
    skipped = len(rows)
    with closing(run_jobs(todo, workers=jobs, watcher=watcher, command=command)) as results:
        for row in results:
            rows.append(row)
            _write_tables(plan, [*kept, *rows])
    everything, table = _write_tables(plan, [*kept, *rows])
    report = write_report(plan.study, plan.out, everything, table, command)
    failed = sum(bool(row.error) for row in rows)
    minutes = (time.monotonic() - start) / 60.0
    done = len(rows) - skipped - failed
    return Outcome(everything, table, done, skipped, failed, minutes, report)


def _seeded(experiment: Experiment, seeds: int | None) -> list[Experiment]:
    return [_with_seed(experiment, experiment.seed + k) for k in range(seeds or 1)]


def _with_seed(experiment: Experiment, seed: int) -> Experiment:
    return experiment.model_copy(update={"seed": seed})


def check_writable(out: Path) -> None:
    """Make sure of a folder for results before anything is computed.

    Raises:
        RunFolderError: it cannot be made or written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"{out}: cannot be made ({error.strerror}); choose --out") from error
    if not os.access(out, os.W_OK):
        raise RunFolderError(f"{out}: cannot be written to; choose another folder with --out")


def _expected_work(job: Job) -> float:
    """Return a number that grows with the time a run will take: rows · weights · epochs."""
    experiment = job.experiment
    rows = experiment.subset.train if experiment.subset else REGISTRY[job.data.name].n_train
    widths = (N_PIXELS, *experiment.model.hidden)
    weights = sum(below * above for below, above in pairwise(widths))
    return float(rows * weights * (experiment.pretrain.epochs + experiment.finetune.patience))


def _earlier_rows(plan: Plan) -> list[RunRow]:
    """Return the rows of an earlier command that stand beside this one's runs.

    They stay if their settings are still what the study says and their data are the same:
    results of other settings or data are never mixed in.
    """
    path = plan.out / RUNS_CSV
    if not path.exists():
        return []
    asked = {planned.job.name for planned in plan.runs}
    data: dict[str, str] = {p.job.data.name: p.job.data.sha256 for p in plan.runs}
    cells = {cell.cell: cell.experiment for cell in plan.study.all_cells}
    return [
        row
        for row in read_rows(path, RunRow)
        if row.run not in asked
        and row.cell in cells
        and row.config_sha256 == config_sha256(_with_seed(cells[row.cell], row.seed))
        and data.get(row.dataset, row.data_sha256) == row.data_sha256
    ]


def _write_tables(plan: Plan, rows: list[RunRow]) -> tuple[list[RunRow], list[TableRow]]:
    order = {cell.cell: k for k, cell in enumerate(plan.study.all_cells)}
    rows = sorted(rows, key=lambda row: (order.get(row.cell, len(order)), row.seed))
    table = table_of(rows)
    write_rows(plan.out / RUNS_CSV, rows, RunRow)
    write_rows(plan.out / TABLE_CSV, table, TableRow)
    return rows, table
