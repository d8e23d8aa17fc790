"""Every file that a study comes to, from its rows: tables, pictures, REPORT.md and report.html."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.data.dataset import Prepared
from dae_cli.study.rows import RunRow, TableRow


@dataclass(frozen=True)
class Results:
    """What the rows of a study come to."""

    report: Path
    """REPORT.md."""
    table: Sequence[TableRow] = ()
    """Rows of table.csv; a study on filters has none."""
    judgements: Sequence[str] = ()
    """Of a study on filters, what its measures say of each claim, a line each."""


def write_results(
    study: ResolvedStudy,
    out: Path,
    rows: Sequence[RunRow],
    *,
    command: str,
    machine: str | None = None,
    source: Path | None = None,
    read_runs: bool = True,
    draw: bool = True,
    data: Mapping[str, Prepared] = {},
) -> Results:
    """Write every file of a results folder but the runs' own; whoever holds the tables calls it.

    settings.yaml and runs.csv; of a table's study table.csv, mcnemar.csv, wrong_rows.csv,
    curves.csv, REPORT.md, report.html, plots and sheets of filters; of a study on filters
    filters.csv, figures.csv, REPORT.md and its figures. The same arguments give the same bytes.

    Args:
        out: the folder that is written to.
        rows: of runs.csv, in its order.
        command: that the reports say made them.
        machine: that REPORT.md says it was written on, such as `AMD EPYC, 2 cores`; this one
            unless given.
        source: the results folder whose run folders, curves.csv, wrong_rows.csv, mcnemar.csv,
            filters.csv and pictures are read; `out` unless given.
        read_runs: whether its run folders are looked into.
        draw: whether pictures are drawn; the reports name them either way.
        data: by data set, what is here; without it, figures of the data themselves stay as they
            are.

    Raises:
        RunFolderError: what a file of the source or a run's folder holds is damaged.
        OutputError: a file cannot be written.
    """
    import shutil

    from dae_cli.config.saved_settings import SETTINGS, settings_text
    from dae_cli.csvfile import write_rows
    from dae_cli.files import write_text
    from dae_cli.study.of_filters.report import write_filters_report
    from dae_cli.study.of_filters.rows import UnitRow, measured_runs, unit_rows
    from dae_cli.study.report.markdown import write_report
    from dae_cli.study.report.page import write_page
    from dae_cli.study.tables.comparisons import write_comparisons
    from dae_cli.study.tables.table import table_of

    source = source or out
    if source != out:
        out.mkdir(exist_ok=True)
        for path in source.iterdir():
            if path.name in ("table.csv", "report.html"):
                continue
            if path.name == "runs":
                (out / "runs").symlink_to(path)
            elif path.is_dir():
                shutil.copytree(path, out / path.name)
            else:
                shutil.copy(path, out / path.name)
    write_text(out / SETTINGS, settings_text(study))
    write_rows(out / "runs.csv", rows, RunRow)
    if study.is_of_filters:
        measured = measured_runs(out, rows)
        write_rows(out / "filters.csv", unit_rows(measured), UnitRow)
        pictures = {
            f.name: f"figures/{f.name}.png"
            for f in study.figures
            if (source / f"figures/{f.name}.png").exists()
        }
        report = write_filters_report(study, out, rows, measured, pictures, command)
        return Results(report)
    table = table_of(rows)
    write_rows(out / "table.csv", table, TableRow)
    tests = write_comparisons(out, rows)
    report = write_report(study, out, rows, table, command, tests)
    write_page(study, out, rows, table, command, tests)
    if machine:
        text = report.read_text()
        import re

        report.write_text(
            re.sub(
                r"^Written on .+, \d+ cores;", lambda _: f"Written on {machine};", text, flags=re.M
            )
        )
    return Results(report, table)
