"""`dae train`: one experiment, from its data to its test error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dae_cli.commands.console import watching
from dae_cli.commands.options import (
    AcceptUnverified,
    DataDir,
    DataOrigin,
    Device,
    DeviceOption,
    Engine,
    EngineOption,
    Overrides,
    Photos,
    Quiet,
    check_engine,
    command_line,
)
from dae_cli.commands.paths import folder
from dae_cli.commands.tables import run_summary
from dae_cli.commands.telling import hint_when_interrupted
from dae_cli.config.names import label
from dae_cli.errors import DaeError, RunFolderError

if TYPE_CHECKING:
    from dae_cli.study.rows import RunRow
    from dae_cli.study.run.job import Job, PlannedRun


def train(
    experiment: Annotated[
        str,
        typer.Argument(
            metavar="EXPERIMENT",
            help="Name (dae ls lists them) or path of an experiment.",
            show_default=False,
        ),
    ],
    overrides: Overrides = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, max=2**32 - 1, metavar="N", help="Instead of the file's.", show_default=False
        ),
    ] = None,
    device: DeviceOption = Device.auto,
    engine: EngineOption = Engine.auto,
    data_dir: DataDir = None,
    origin: DataOrigin = None,
    accept_unverified: AcceptUnverified = False,
    photos: Photos = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=folder,
            help="Where the run folder goes.  [default: results/STUDY/runs]",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Start over, whatever there is of the run.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train and test one experiment; of an SVM, select its parameters first.

    On photographs, or on mnist without finetune, an autoencoder is trained for its filters alone,
    which are measured.

    Prints the test error beside the paper's, and the run folder. A finished run is not made again.
    """
    from dae_cli.config.experiments import resolve_experiment

    if resume and force:
        raise typer.BadParameter(
            "--resume goes on and --force starts over: give one of them", param_hint="--resume"
        )
    check_engine(engine, device)
    resolved = resolve_experiment(experiment, overrides or ())
    if seed is not None and any(o.partition("=")[0].strip() == "seed" for o in overrides or ()):
        raise typer.BadParameter(
            "--set seed=… sets the same: give one of them", param_hint="--seed"
        )

    from dae_cli.data.sources import DataOptions
    from dae_cli.study.single import execute, plan_run

    with watching(quiet=quiet, single=True) as watcher:
        planned = plan_run(
            resolved,
            seed=seed,
            device=device.value,
            engine=engine.value,
            out=out,
            options=DataOptions(
                data_dir, origin.value if origin else None, accept_unverified, photos
            ),
            watcher=watcher,
        )
        _check_stopped(planned, resume, force)
        watcher.expect([planned.job])
        with hint_when_interrupted(
            "  the same command with --resume goes on from the last checkpoint"
        ):
            row = execute(planned, watcher=watcher, force=force, command=command_line())
    if row.error:
        raise DaeError(f"{planned.job.cell} failed: {row.error}")
    if planned.state == "done" and not force and not quiet:
        typer.echo(f"{planned.job.cell} is done already; --force trains it again", err=True)
    _tell(planned.job, row, quiet)


def _check_stopped(planned: PlannedRun, resume: bool, force: bool) -> None:
    """A run that was stopped is neither gone on with nor thrown away unasked."""
    if planned.state == "stopped" and not resume and not force:
        raise RunFolderError(
            f"{planned.job.cell} was stopped before it was done: --resume goes on from its "
            f"checkpoint, --force starts over\n  {label(planned.job.partial)}"
        )


def _tell(job: Job, row: RunRow, quiet: bool) -> None:
    from dae_cli.study.run.provenance import not_known

    folder = label(job.folder)
    if quiet:
        typer.echo(folder)
        return
    typer.echo("\n".join([*run_summary(row), folder]))
    if told := not_known([row.commit]):
        typer.echo(told, err=True)
    if not job.is_svm:
        typer.echo(f"next: dae filters {folder}", err=True)
