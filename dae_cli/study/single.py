"""One experiment by itself, as `dae train` runs it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dae_cli.config.experiments import ResolvedExperiment
from dae_cli.data.sources import DataOptions
from dae_cli.engines.names import EngineChoice
from dae_cli.errors import RunFolderError
from dae_cli.study.plan import make_job, prepare_any
from dae_cli.study.progress import Watcher
from dae_cli.study.results_folder import check_writable
from dae_cli.study.rows import RunRow
from dae_cli.study.run.engine_choice import check_choice, refuse_other_engines, with_engines
from dae_cli.study.run.job import PlannedRun, default_runs, sweep_runs
from dae_cli.study.run.record import row_of
from dae_cli.study.workers.pool import run_jobs


def plan_run(
    resolved: ResolvedExperiment,
    *,
    seed: int | None,
    device: str,
    engine: EngineChoice = "torch",
    out: Path | None,
    options: DataOptions,
    watcher: Watcher,
) -> PlannedRun:
    """Prepare the data of one experiment and tell what there is of its run already.

    Args:
        resolved: the experiment.
        seed: replaces the experiment's own.
        device: auto, cpu, cuda or mps.
        engine: auto, torch or compiled.
        out: the folder that will hold the run's folder.
        options: where data are to come from.
        watcher: hears about downloads and regeneration.

    Raises:
        ConfigError: the device or the engine is not there.
        DataError: the data set cannot be had.
    """
    check_choice(engine, device)
    experiment = resolved.experiment
    if seed is not None:
        experiment = experiment.model_copy(update={"seed": seed})
    data = prepare_any(experiment.dataset, options, watcher)
    job = make_job(resolved, experiment, data, out or default_runs(resolved), device)
    return PlannedRun(job, job.state(), engine)


def execute(planned: PlannedRun, *, watcher: Watcher, force: bool, command: str) -> RunRow:
    """Run in this process, from the checkpoint if there is one; `force` starts over.

    Raises:
        RunFolderError: the folder cannot be written to, the run cannot go on with its engine, or
            another process is making it.
        Interrupted: the command was asked to stop; the run has kept a checkpoint.
    """
    job = planned.job
    check_writable(job.folder.parent)
    sweep_runs(job.folder.parent)
    if job.is_held():
        raise RunFolderError(
            f"{job.cell}: another dae process is making this run; wait for it, or end it first"
        )
    if force:
        job.discard()
        planned = replace(planned, job=replace(job, from_start=True))
    elif planned.state == "done":
        row = row_of(job)
        refuse_other_engines([(planned, row)])
        return row
    jobs, unresumable = with_engines([planned], watcher.note)
    for why in unresumable.values():
        raise RunFolderError(f"{planned.label}: {why}")
    (outcome,) = run_jobs(jobs, workers=1, watcher=watcher, command=command)
    if isinstance(outcome, RunRow):
        return outcome
    raise RunFolderError(f"{job.cell}: another dae process began this run just now")
