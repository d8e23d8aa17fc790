"""`dae verify`: recompute a study's results and list every difference."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dae_cli.commands.options import DataDir, Format, Overrides, ResultsFolder, StudyOrResults
from dae_cli.commands.sources import results_of
from dae_cli.commands.tables import as_json, columns
from dae_cli.errors import plain

if TYPE_CHECKING:
    from dae_cli.study.findings import Findings

_SHOWN = 60
"""Characters of a value that are shown."""


def verify(
    study: StudyOrResults,
    overrides: Overrides = None,
    out: ResultsFolder = None,
    data_dir: DataDir = None,
    form: Format = "table",
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only differences and errors.")
    ] = False,
) -> None:
    """Recounts the errors with the checkpoints on the same data, and compares runs.csv with them,
    with the run folders and with the study's settings. Compares metrics.csv with the checkpoints,
    and the trials of an SVM with its search. Regenerates all other files, such as table.csv and
    REPORT.md, in memory and compares them; pictures are not compared. Rows of another version of
    the numerics are checked as rows of that version.

    Nothing is written. For a results folder or --out, the settings are those recorded there. The
    last lines report how many recomputed runs are identical to the study's reference.

    Exit code 0 if all agrees and every run was recomputed; 1 if something differs or could not be
    checked, such as a run without its folder; 2 if there are no results.
    """
    resolved, folder = results_of(study, overrides or (), out)

    from dae_cli.study.verify import verify_study

    def note(text: str) -> None:
        if not quiet:
            typer.echo(text, err=True)

    findings = verify_study(resolved, folder, data_dir, note)
    if form == "json":
        typer.echo(as_json(asdict(findings) | {"agrees": findings.agrees}))
    else:
        if findings.differences:
            typer.echo("\n".join(_table(findings)))
        if not quiet:
            lines = findings.reference.lines() if findings.reference else []
            typer.echo("\n".join([_summary(findings), *lines]))
    for problem in findings.unchecked:
        typer.echo(f"{plain(problem.place)}: {plain(problem.reason)}", err=True)
    if not findings.agrees:
        raise typer.Exit(1)


def _table(findings: Findings) -> list[str]:
    rows = [("file", "what", "recorded", "recomputed")]
    for one in findings.differences:
        values = one.recorded, one.recomputed
        pairs = enumerate(zip(*values, strict=False))
        common = next((k for k, (a, b) in pairs if a != b), min(map(len, values)))
        recorded, recomputed = (_excerpt(text, common) for text in values)
        rows.append((one.place, one.what, recorded, recomputed))
    return columns([tuple(map(plain, row)) for row in rows])


def _excerpt(text: str, first: int) -> str:
    """Return a long text from shortly before the first character that differs."""
    start = max(0, first - _SHOWN // 4)
    if len(text) > _SHOWN and start:
        text = f"…{text[start:]}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _summary(findings: Findings) -> str:
    """Return `7 runs recomputed, 0 differences`, and the number not checked if any."""
    runs, found = _number(findings.runs, "run"), len(findings.differences)
    if findings.recomputed < findings.runs:
        runs = f"{findings.recomputed} of {runs}"
    text = f"{runs} recomputed, {_number(found, 'difference')}"
    return f"{text}, {len(findings.unchecked)} not checked" if findings.unchecked else text


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
