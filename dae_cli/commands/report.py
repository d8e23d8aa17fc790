"""`dae report`: a study's tables, report and pictures written anew; nothing is run."""

from __future__ import annotations

from pathlib import Path

import typer

from dae_cli.commands.console import watching
from dae_cli.commands.options import Overrides, Quiet, ResultsFolder, Study, command_line
from dae_cli.commands.tables import results, text_width
from dae_cli.config.names import label


def report(
    study: Study, overrides: Overrides = None, out: ResultsFolder = None, quiet: Quiet = False
) -> None:
    """Write a study's tables, report, page and pictures anew, and run nothing.

    They follow from runs.csv and from what is kept beside it, such as curves and filters of runs
    whose folders are elsewhere: after a clone, or with a newer dae. Refused where a row is of
    other settings, or of a dae that computes other numbers, since it would leave the tables.
    """
    from dae_cli.config.experiments import resolve_study

    resolved = resolve_study(study, overrides or ())

    from dae_cli.study.plan import Plan, default_out
    from dae_cli.study.replicate import run_plan
    from dae_cli.study.report.kept_page import PAGE, read_kept
    from dae_cli.study.report.markdown import REPORT
    from dae_cli.study.results_folder import require_current, runs_csv_of

    folder = out or default_out(resolved, overrides or ())
    runs_csv_of(resolved.name, folder)
    plan = Plan(resolved, folder, ())
    require_current(plan)
    # What put the runs together is told as before.
    command = read_kept(folder / PAGE).command or _command_of(folder / REPORT) or command_line()
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


def _command_of(report: Path) -> str:
    """The command that an earlier REPORT.md names, of a study that has no page."""
    from dae_cli.study.tables.makes import command_told

    try:
        return command_told(report.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""
