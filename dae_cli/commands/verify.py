"""`dae verify`: a study's results made again from its runs, and every difference told."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from dae_cli.commands.options import DataDir, Overrides, ResultsFolder, StudyOrResults
from dae_cli.commands.sources import results_of
from dae_cli.commands.tables import columns
from dae_cli.errors import plain

if TYPE_CHECKING:
    from dae_cli.study.verify import Verification

_SHOWN = 60
_HEADER = ("file", "what", "recorded", "recomputed")


class VerificationFormat(StrEnum):
    """How `dae verify` prints."""

    table = "table"
    json = "json"


def verify(
    study: StudyOrResults,
    overrides: Overrides = None,
    out: ResultsFolder = None,
    data_dir: DataDir = None,
    form: Annotated[
        VerificationFormat, typer.Option("--format", help="A table to read, or JSON.")
    ] = VerificationFormat.table,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print differences only, and errors.")
    ] = False,
) -> None:
    """Make a study's results again from its runs, and tell every difference.

    Compares runs.csv with the run folders and the study's settings, the errors with those that
    the checkpoints make on the same data, metrics.csv with the checkpoints, the trials of an SVM
    with its search, wrong_rows.csv and mcnemar.csv with the wrong test rows, and table.csv and
    the tables of REPORT.md and report.html with these. Rows that a dae with other numerics
    computed are checked under theirs. Pictures are not compared. Nothing is written. With a
    folder, or with --out, the settings are those that the folder keeps. The last lines say how many
    of the runs that were recomputed are identical to the study's reference rows.

    Exit code 0: all agrees and every run was recomputed; 1: something differs or could not be
    checked, such as a run whose folder is not here; 2: there are no results to check.
    """
    resolved, folder = results_of(study, overrides or (), out)

    from dae_cli.study.verify import verify_study

    def note(text: str) -> None:
        if not quiet:
            typer.echo(text, err=True)

    found = verify_study(resolved, folder, data_dir, note)
    if form is VerificationFormat.json:
        typer.echo(json.dumps(asdict(found) | {"agrees": found.agrees}, indent=2))
    else:
        if found.differences:
            typer.echo("\n".join(_table(found)))
        if not quiet:
            lines = found.reference.lines() if found.reference else []
            typer.echo("\n".join([_summary(found), *lines]))
    for problem in found.unchecked:
        typer.echo(f"{plain(problem.place)}: {plain(problem.reason)}", err=True)
    if not found.agrees:
        raise typer.Exit(1)


def _table(found: Verification) -> list[str]:
    rows = [_HEADER]
    for d in found.differences:
        rows.append((d.place, d.what, _short(d.recorded), _short(d.recomputed)))
    return columns([tuple(map(plain, row)) for row in rows])


def _summary(found: Verification) -> str:
    """`7 runs recomputed, 0 differences`; and what was not checked, if anything."""
    runs = _number(found.recomputed, "run")
    if found.recomputed < found.runs:
        runs = f"{found.recomputed} of {_number(found.runs, 'run')}"
    text = f"{runs} recomputed, {_number(len(found.differences), 'difference')}"
    unchecked = len(found.unchecked)
    return f"{text}, {unchecked} not checked" if unchecked else text


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
