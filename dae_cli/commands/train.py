"""`dae train`: train one experiment and compare its error with the paper's."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import Annotated

import typer

from dae_cli.commands import completion, options
from dae_cli.commands.conditions import FailIf, conditions, fail_where
from dae_cli.commands.errors import hint_when_interrupted
from dae_cli.commands.help import OUTPUT, SETTINGS
from dae_cli.commands.progress import progress_display
from dae_cli.commands.replicate import run_study, show_plan
from dae_cli.commands.tables import as_json, row_facts, run_summary
from dae_cli.config.experiments import resolve_experiment
from dae_cli.config.grid import resolve_sweep, study_of
from dae_cli.config.names import label
from dae_cli.data.datasets import is_drawn
from dae_cli.data.sources import DataOptions
from dae_cli.errors import DaeError
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.run.job import default_out
from dae_cli.study.run.provenance import not_known


def train(
    experiment: Annotated[
        str,
        typer.Argument(
            metavar="EXPERIMENT",
            help="Name (dae ls STUDY lists them) or path of an experiment.",
            autocompletion=completion.experiments,
        ),
    ],
    overrides: options.Overrides = None,
    grid: options.Grid = None,
    seeds: options.Seeds = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=2**32 - 1,
            metavar="N",
            help="Random seed (overrides the experiment file).",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    device: options.DeviceOption = "auto",
    engine: options.EngineOption = "auto",
    data_dir: options.DataDir = None,
    origin: options.DataOrigin = None,
    accept_unverified: options.AcceptUnverified = False,
    photos: options.Photos = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=options.folder,
            help="Parent of the run folder, or with --grid or --seeds the results folder.  "
            "[default: results/STUDY/runs or results/STUDY]",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="No effect: stopped runs are always resumed.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Start over, even if the run is done or was stopped.")
    ] = False,
    jobs: options.Jobs = None,
    dry_run: options.DryRun = False,
    fail_if: FailIf = None,
    quiet: options.Quiet = False,
    form: options.Format = "table",
) -> None:
    """Prints the test error with the paper's, and the run folder. A finished run is not repeated; a
    stopped run is resumed.

    On photographs, or on mnist without a finetune section, an autoencoder is only pretrained, and
    its filters are measured.

    With --grid or --seeds the command makes several runs, --jobs at a time, like dae replicate
    STUDY --only CELL, and prints their table.
    """
    if seed is not None and any(o.partition("=")[0].strip() == "seed" for o in overrides or ()):
        raise typer.BadParameter("cannot be combined with --set seed=…", param_hint="--seed")
    sources = DataOptions(data_dir, origin, accept_unverified, photos)
    if grid or seeds:
        study, only = study_of(experiment)
        changes = ([*(overrides or ()), *([] if seed is None else [f"seed={seed}"])], grid or ())
        resolved_study = resolve_sweep(study, *changes, only)
        settings = resolved_study.differing_settings.values()
        table_asked = conditions(fail_if or (), TableRow, settings)
        run_study(
            resolved_study,
            out or default_out(resolved_study.name, *changes, only),
            seeds=seeds,
            jobs=jobs,
            device=device,
            engine=engine,
            sources=sources,
            dry_run=dry_run,
            force=force,
            asked=table_asked,
            quiet=quiet,
            form=form,
        )
        return
    if jobs:
        raise typer.BadParameter("needs --grid or --seeds", param_hint="--jobs")
    asked = conditions(fail_if or (), RunRow)
    resolved = resolve_experiment(experiment, overrides or ())

    from dae_cli.study.plan import plan_run
    from dae_cli.study.replicate import run_single

    with progress_display(quiet=quiet, single=True) as display:
        plan = plan_run(
            resolved,
            seed=seed,
            device=device,
            engine=engine,
            out=out,
            options=sources,
            watcher=display,
            dry=dry_run,
        )
        if dry_run:
            show_plan(plan, None, force, 1, form)
            return
        (planned,) = plan.runs
        display.expect([planned.job])
        how = "the same command without --force" if force else "the same command"
        with hint_when_interrupted(f"  to resume from the last checkpoint, run {how}"):
            row = run_single(planned, watcher=display, force=force, command=options.command_line())
    job, path = planned.job, label(planned.job.folder)
    if row.error:
        raise DaeError(f"{job.cell} failed: {row.error}")
    measured = None
    if row.n_test is None:  # trained for its filters
        from dae_cli.study.filter_study import measured_run

        measured = measured_run(job.folder, row)
    if form == "json":
        facts = {"folder": path, **row_facts(row)}
        if measured:
            facts |= {k: None if isnan(v) else v for k, v in measured.columns.items()}
        typer.echo(as_json(facts))
    elif quiet:
        typer.echo(path)
    else:
        if planned.state == "done" and not force:
            typer.echo(f"{job.cell} is done; use --force to train it again", err=True)
        typer.echo("\n".join([*run_summary(row, measured.lines if measured else ()), path]))
        if unknown_commit := not_known([row.commit]):
            typer.echo(unknown_commit, err=True)
        if not job.is_svm:
            drawn = is_drawn(job.experiment.dataset)
            then = f"filters {path}" if drawn else f"encode {path} --out codes.npz"
            typer.echo(f"next: dae {then}", err=True)
    raise typer.Exit(fail_where(asked, [row]))
