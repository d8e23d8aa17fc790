"""Pictures of a table study: error against destruction, learning curves, filters."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.figures.filters import filter_sheet
from dae_cli.figures.plots import plot_errors, plot_learning
from dae_cli.figures.saving import picture_files, png_text, remove_picture, remove_pictures
from dae_cli.study.report.context import TableReport
from dae_cli.study.report.datasets import FilterSheets, filter_sheets
from dae_cli.study.report.saved_runs import (
    ShownFilters,
    first_seeds,
    read_saved_runs,
    write_curves,
    write_sheet,
)
from dae_cli.study.rows import RunRow
from dae_cli.study.run.job import SHEETS

ERRORS_PNG, CURVES_PNG = "error_vs_destruction.png", "learning_curves.png"
_TITLE = ": first-layer filters, "
"""Text between study and data set in a sheet's metadata title."""


def save_pictures(report: TableReport, out: Path, formats: Collection[str] = ()) -> None:
    """Save all pictures that do not exist yet, and remove those of former cells.

    `formats`: see `figures.saving.picture_files`.
    """
    if report.error_charts:
        for path in picture_files(out / ERRORS_PNG, formats):
            plot_errors(report.error_charts, path)
    else:
        remove_picture(out / ERRORS_PNG)  # left by former cells
    if report.learning_charts:
        for path in picture_files(out / CURVES_PNG, formats):
            plot_learning(report.learning_charts, path)
    names = {row.cell for row in report.rows}
    for dataset in report.datasets:
        _save_whole(dataset.filters, out, formats)
        save_sheets(dataset.filters, out, formats)
        names |= {Path(name).stem for _, name in dataset.filters.whole}
    remove_sheets(report.study, out, names)


def remove_sheets(study: ResolvedStudy, out: Path, keep: Collection[str]) -> None:
    """Remove the sheets of former cells; `keep`: names of current cells and data sets."""
    remove_pictures(out / SHEETS, f"{study.name}{_TITLE}", keep)


def _save_whole(filters: FilterSheets, out: Path, formats: Collection[str]) -> None:
    """Save the sheet that shows all runs of a data set, if there is one."""
    shown = filters.shown
    for _, name in filters.whole:
        if paths := _undrawn(filters, shown, out / name, formats):
            sheet = filter_sheet(
                [replace(s.filters, title=f"{s.row.destruction_percent:g} %") for s in shown],
                filters.tiles,
                limit=filters.limit,
                title=f"First-layer filters on {shown[0].row.dataset}, by destruction",
                caption=filters.caption(filters.rows),
                magnification=1,
            )
            for path in paths:
                sheet.save(path, _metadata(filters, filters.rows))


def save_sheets(filters: FilterSheets, out: Path, formats: Collection[str] = ()) -> None:
    """Save one sheet per run, from which the filters can be read again."""
    for one, (title, name) in zip(filters.shown, filters.single, strict=True):
        if paths := _undrawn(filters, [one], out / name, formats):
            _save_sheet(filters, one, paths, title)


def _undrawn(
    filters: FilterSheets, shown: Sequence[ShownFilters], png: Path, formats: Collection[str]
) -> list[Path]:
    """Return the files to draw; an existing PNG of these filters is kept if they come from PNGs.

    It is drawn again if its caption has changed.
    """
    wanted = _metadata(filters, [one.row for one in shown])
    known = all(one.sheet_limit == filters.limit for one in shown)
    same = all(png_text(png, key) == wanted[key] for key in ("Runs", "Description"))
    paths = picture_files(png, formats)
    return paths[1:] if known and same else paths


def add_runs(
    study: ResolvedStudy, out: Path, new: Sequence[RunRow], rows: Sequence[RunRow]
) -> None:
    """Write the curves of runs that have just ended, and their sheets if their cells show them.

    A stopped study then keeps both even without its run folders. The caller has locked the tables.
    `rows`: rows of runs.csv.
    """
    if not new:
        return
    done, names = [row for row in rows if not row.error], {row.run for row in new}
    saved = read_saved_runs(out)
    # Saved curves of a new run may belong to an earlier run with the same name.
    known = {run: curves for run, curves in saved.curves.items() if run not in names}
    every = {row.run: known.get(row.run) or saved.curves_of(row.run) for row in done}
    write_curves(out, {run: curves for run, curves in every.items() if curves is not None})
    for dataset in dict.fromkeys(row.dataset for row in new):
        own = [row for row in done if row.dataset == dataset]
        if names.isdisjoint(row.run for row in first_seeds(own)):
            continue
        filters = filter_sheets(study, own, saved)
        for one, (title, name) in zip(filters.shown, filters.single, strict=True):
            if one.row.run in names:
                _save_sheet(filters, one, picture_files(out / name), title)


def _save_sheet(
    filters: FilterSheets, one: ShownFilters, paths: Sequence[Path], title: str
) -> None:
    """Save the sheet of one run, from which the filters can be read again."""
    caption = filters.caption([one.row])
    sheet = filter_sheet(
        [one.filters], filters.tiles, limit=filters.limit, title=title, caption=caption
    )
    for path in paths:
        write_sheet(sheet, path, filters.limit, _metadata(filters, [one.row]))


def _metadata(filters: FilterSheets, rows: Sequence[RunRow]) -> dict[str, str]:
    """Return the metadata of a sheet."""
    return {
        "Title": f"{filters.study.name}{_TITLE}{rows[0].dataset}",
        "Description": filters.caption(rows),
        "Runs": ", ".join(row.run for row in rows),
        "Commit": ", ".join(dict.fromkeys(row.commit for row in rows)),
    }
