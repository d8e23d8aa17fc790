"""report.html beside REPORT.md: the same rows and runs, as one page for reading on a screen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.figures.page import render
from dae_cli.files import write_text
from dae_cli.study.report.page_content import page_of
from dae_cli.study.report.saved_runs import PAGE, page_command, read_saved_runs
from dae_cli.study.rows import RunComparison, RunRow, TableRow


def write_page(
    study: ResolvedStudy,
    out: Path,
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    command: str,
    tests: Sequence[RunComparison] = (),
) -> Path:
    """Write report.html and return its path. The same rows, runs and command give the same bytes.

    Of runs whose folders are not here, curves and filters are those that the folder keeps.

    Raises:
        RunFolderError: what a run's folder holds is damaged. OutputError: it cannot be written.
    """
    path = out / PAGE
    write_text(path, render(page_of(study, out, rows, table, command, read_saved_runs(out), tests)))
    return path


def page_again(
    study: ResolvedStudy,
    out: Path,
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    tests: Sequence[RunComparison] = (),
) -> str:
    """Return what report.html should be by the rows and the curves and sheets beside it."""
    saved = read_saved_runs(out)
    return render(page_of(study, out, rows, table, page_command(out), saved, tests, here=False))
