"""Write the files of a results folder from the rows of its runs: tables, pictures, reports."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.saved_settings import SETTINGS, settings_text
from dae_cli.csvfile import write_rows
from dae_cli.data.dataset import Prepared
from dae_cli.data.datasets import PHOTOGRAPHS
from dae_cli.files import remove_file, write_text
from dae_cli.machine import cores, cpu_name
from dae_cli.study.filter_study import (
    FIGURES_CSV,
    PHOTOGRAPHS_PNG,
    FigureRow,
    FilterReport,
    ShownFigure,
    UnitRow,
    check_claim,
    figure_rows,
    measured_runs,
    picture_of,
    reason_not_to_judge,
    save_figures,
    sliders_of,
    source_of,
    unit_rows,
)
from dae_cli.study.report.context import TRIED_MD, TableReport, table_report
from dae_cli.study.report.photographs import read_photographs
from dae_cli.study.report.pictures import add_runs, remove_sheets, save_pictures, save_sheets
from dae_cli.study.report.render import PAGE, REPORT, report_markdown, report_page
from dae_cli.study.report.saved_runs import read_saved_runs, write_curves
from dae_cli.study.results_folder import with_lowest_seeds
from dae_cli.study.rows import RUNS_CSV, TABLE_CSV, RunComparison, RunRow, TableRow
from dae_cli.study.run.job import FILTERS_CSV
from dae_cli.study.tables.comparisons import write_comparisons
from dae_cli.study.tables.table import table_of


@dataclass(frozen=True)
class Results:
    """What was written, as far as the command shows it."""

    report: Path
    """REPORT.md."""
    rows: Sequence[RunRow]
    """Rows of runs.csv."""
    table: Sequence[TableRow] = ()
    """Rows of table.csv; empty for a filter study."""
    claims: Sequence[str] = ()
    """The outcome of each claim, one line per claim; only for a filter study."""
    undrawn: Sequence[str] = ()
    """Figures of filters that could not be drawn because runs or data are missing."""
    contents: TableReport | None = None
    """Contents of the reports; only for a study with a table."""


def write_results(
    study: ResolvedStudy,
    out: Path,
    rows: Sequence[RunRow],
    *,
    command: str,
    machine: str | None = None,
    source: Path | None = None,
    draw: bool = True,
    data: Mapping[str, Prepared] = {},
    formats: Collection[str] = (),
) -> Results:
    """Write all files of a results folder except those of the runs; the caller holds its lock.

    The same arguments give the same bytes.

    Args:
        rows: of runs.csv, in its order.
        command: the command that the reports name.
        machine: the machine that REPORT.md names; by default this one.
        source: the results folder to read from; by default `out`.
        draw: whether to draw pictures; the reports refer to them in any case.
        data: the available data sets by name; figures of other data sets are not redrawn.
        formats: of pictures in addition to PNG, as in `figures.saving.picture_files`.

    Raises:
        RunFolderError: a file in the source or in a run's folder is damaged.
        OutputError: a file cannot be written.
    """
    source = source or out
    rows, table, tests = write_tables(study, out, rows, source)
    study = with_lowest_seeds(study, rows)
    machine = f"{cpu_name()}, {cores()} cores" if machine is None else machine
    if study.is_filter_study:
        measured = measured_runs(source, rows)
        write_rows(out / FILTERS_CSV, unit_rows(measured), UnitRow)
        write_rows(out / FIGURES_CSV, figure_rows(study, measured), FigureRow)
        sliders = sliders_of(study, rows, read_saved_runs(source))
        undrawn = []
        if draw:
            undrawn = save_figures(study, out, source, rows, data, formats)
            for slider in sliders:
                save_sheets(slider.filters, out, formats)
            remove_sheets(study, out, {row.cell for row in rows})

        def picture(name: str) -> Path | None:
            return next((d / name for d in (out, source) if (d / name).is_file()), None)

        figures = [
            ShownFigure(
                figure,
                picture(picture_of(figure)),
                source_of(study, figure, rows),
                check_claim(figure, measured, reason_not_to_judge(study, figure, rows)),
                any(row.cell in figure.cells for row in rows),
            )
            for figure in study.figures
        ]
        drawn = picture(PHOTOGRAPHS_PNG) if any(r.dataset == PHOTOGRAPHS for r in rows) else None
        photographs = read_photographs(drawn) if drawn else None
        filter_report = FilterReport(
            study, command, machine, rows, figures, measured, sliders, photographs
        )
        write_text(out / REPORT, report_markdown(filter_report))
        write_text(out / PAGE, report_page(filter_report))
        claims = [f"{s.figure.name}: {s.check.sentence}" for s in figures if s.check]
        return Results(out / REPORT, rows, claims=claims, undrawn=undrawn)
    saved = read_saved_runs(source)
    report = table_report(study, source, rows, table, tests, saved, command, machine)
    write_curves(out, report.curves)
    if report.tried:
        write_text(out / TRIED_MD, report.tried)
    else:
        remove_file(out / TRIED_MD)
    if draw:
        save_pictures(report, out, formats)
    write_text(out / REPORT, report_markdown(report))
    write_text(out / PAGE, report_page(report))
    return Results(out / REPORT, rows, table, contents=report)


def write_tables(
    study: ResolvedStudy,
    out: Path,
    rows: Sequence[RunRow],
    source: Path | None = None,
    *,
    new: Sequence[RunRow] = (),
) -> tuple[list[RunRow], list[TableRow], list[RunComparison]]:
    """Write settings.yaml and runs.csv; with a table, also table, comparisons and wrong rows.

    Arguments as in `write_results`. For runs that have just ended (`new`), curves and sheets of
    filters are written as well. Returns the rows of runs.csv, table.csv and mcnemar.csv.
    """
    settings = study.differing_settings
    rows = [replace(row, settings=settings.get(row.cell, {})) for row in rows]
    write_text(out / SETTINGS, settings_text(with_lowest_seeds(study, rows)))
    write_rows(out / RUNS_CSV, rows, RunRow)
    if study.is_filter_study:
        return rows, [], []
    table = table_of(rows)
    write_rows(out / TABLE_CSV, table, TableRow)
    tests = write_comparisons(out, rows, source or out)
    add_runs(study, out, [row for row in new if not row.error], rows)
    return rows, table, tests
