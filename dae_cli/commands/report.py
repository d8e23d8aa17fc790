"""`dae report`: a study's tables, report and pictures written anew; nothing is run."""

from __future__ import annotations

import typer

from dae_cli.commands.console import watching
from dae_cli.commands.options import (
    Overrides,
    Quiet,
    ResultsFolder,
    StudyOrResults,
    command_line,
)
from dae_cli.commands.sources import results_of
from dae_cli.commands.tables import results, text_width
from dae_cli.config.names import label


def report(
    study: StudyOrResults,
    overrides: Overrides = None,
    out: ResultsFolder = None,
    quiet: Quiet = False,
) -> None:
    """Write a study's tables, report, page and pictures anew, and run nothing.

    They follow from runs.csv and from what is kept beside it, such as curves and filters of runs
    whose folders are elsewhere: after a clone, or with a newer dae. Rows that a dae with other
    numerics computed stay, and are named as such. Refused where a row is of other settings, since
    it would leave the tables.
    With a folder, or with --out, the settings are those that the folder keeps.
    """
    resolved, folder = results_of(study, overrides or (), out)

    from dae_cli.study.earlier_rows import require_current
    from dae_cli.study.plan import Plan
    from dae_cli.study.replicate import run_plan
    from dae_cli.study.report.render import recorded_command

    plan = Plan(resolved, folder, ())
    require_current(plan)
    # What put the runs together is told as before.
    command = recorded_command(folder) or command_line()
    with watching(quiet=quiet) as watcher:
        outcome = run_plan(plan, jobs=1, force=False, watcher=watcher, command=command)
    if not quiet:
        lines = (
            results(outcome.table, text_width(), resolved.changed)
            if outcome.table
            else outcome.judgements
        )
        typer.echo("".join(f"{line}\n" for line in lines), nl=False)
    typer.echo(label(outcome.report))
