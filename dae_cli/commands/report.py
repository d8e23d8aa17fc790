"""`dae report`: regenerate a study's tables, report and pictures from its results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dae_cli.commands.options import (
    Overrides,
    Plots,
    Quiet,
    ResultsFolder,
    StudyOrResults,
    command_line,
)
from dae_cli.commands.progress import progress_display
from dae_cli.commands.sources import results_of
from dae_cli.commands.tables import results
from dae_cli.config.names import label
from dae_cli.csvfile import rows_to_csv
from dae_cli.errors import ConfigError
from dae_cli.study.rows import TableRow

if TYPE_CHECKING:
    from dae_cli.study.report.context import TableReport

Form = Literal["table", "latex", "csv", "markdown"]


def report(
    study: StudyOrResults,
    overrides: Overrides = None,
    out: ResultsFolder = None,
    form: Annotated[
        Form,
        typer.Option("--format", help="Form of the printed table; latex needs booktabs."),
    ] = "table",
    plots: Plots = None,
    quiet: Quiet = False,
) -> None:
    """Needs only runs.csv and the files next to it, no run folders. Stops if runs.csv has rows made
    with other settings. For a results folder or --out, the settings are those recorded there.
    """
    resolved, folder = results_of(study, overrides or (), out)
    if resolved.is_filter_study and form != "table":
        raise ConfigError(
            f"--format {form}: {resolved.name} is a filter study and has no table of test "
            "errors; its measures are in figures.csv"
        )

    from dae_cli.study.plan import Plan
    from dae_cli.study.replicate import run_plan
    from dae_cli.study.report.render import recorded_command
    from dae_cli.study.results_folder import EarlierRows

    plan = Plan(resolved, folder, ())
    EarlierRows(plan).require_all_stay()
    # The report keeps naming the command that made the runs.
    command = recorded_command(folder) or command_line()
    with progress_display(quiet=quiet) as display:
        outcome = run_plan(
            plan, jobs=1, force=False, watcher=display, command=command, formats=plots or ()
        )
    if form != "table" and outcome.contents:
        # As bytes, so that the output does not depend on the terminal's encoding.
        typer.echo(_printed(outcome.contents, form).encode(), nl=False)
        if not quiet:
            typer.echo(label(outcome.report), err=True)
        return
    if not quiet:
        lines = results(outcome.table, resolved.changed) if outcome.table else outcome.claims
        typer.echo("".join(f"{line}\n" for line in lines), nl=False)
    typer.echo(label(outcome.report))


def _printed(contents: TableReport, form: Form) -> str:
    """Return the table as CSV, LaTeX or Markdown."""
    from dae_cli.study.report.render import report_latex, report_table

    if form == "csv":
        return rows_to_csv(contents.table, TableRow)
    return report_latex(contents) if form == "latex" else report_table(contents)
