"""`dae report`: a study's tables, report and pictures from the results there are."""

from __future__ import annotations

import typer

from dae_cli.commands.options import Overrides, Quiet, ResultsFolder, StudyOrResults, command_line
from dae_cli.commands.progress import progress_display
from dae_cli.commands.sources import results_of
from dae_cli.commands.tables import results
from dae_cli.config.names import label


def report(
    study: StudyOrResults,
    overrides: Overrides = None,
    out: ResultsFolder = None,
    quiet: Quiet = False,
) -> None:
    """They are made from runs.csv and the files beside it, also after a clone. Stops if runs.csv
    has rows of other settings. With a folder, or --out, the settings are those that it records.
    """
    resolved, folder = results_of(study, overrides or (), out)

    from dae_cli.study.plan import Plan
    from dae_cli.study.replicate import run_plan
    from dae_cli.study.report.render import recorded_command
    from dae_cli.study.results_folder import EarlierRows

    plan = Plan(resolved, folder, ())
    EarlierRows(plan).require_all_stay()
    # The report keeps naming the command that made the runs.
    command = recorded_command(folder) or command_line()
    with progress_display(quiet=quiet) as display:
        outcome = run_plan(plan, jobs=1, force=False, watcher=display, command=command)
    if not quiet:
        lines = results(outcome.table, resolved.changed) if outcome.table else outcome.claims
        typer.echo("".join(f"{line}\n" for line in lines), nl=False)
    typer.echo(label(outcome.report))
