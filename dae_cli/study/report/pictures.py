"""The pictures of a study of a table: error against destruction, learning curves, filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.figures.filters import filter_sheet
from dae_cli.figures.plots import plot_errors, plot_learning
from dae_cli.figures.saving import png_text, remove_pictures
from dae_cli.files import remove_file
from dae_cli.study.report.context import TableReport
from dae_cli.study.report.datasets import DatasetResults, same_start, sheet_names
from dae_cli.study.report.saved_runs import (
    ShownFilters,
    add_curves,
    first_seeds,
    read_saved_runs,
    write_sheet,
)
from dae_cli.study.rows import RunRow
from dae_cli.study.run.filters import tiles_for
from dae_cli.study.run.job import SHEETS

ERRORS_PNG, CURVES_PNG = "error_vs_destruction.png", "learning_curves.png"
_TITLE = ": first-layer filters, "
"""Between the names of study and data set, in what a sheet says of itself."""


def save_pictures(report: TableReport, out: Path) -> None:
    """Save every picture of a report that is not there already, and remove those of former cells.

    Raises:
        OutputError: one cannot be written.
    """
    if report.error_charts:
        plot_errors(report.error_charts, out / ERRORS_PNG)
    else:
        remove_file(out / ERRORS_PNG)  # of cells that the table had before
    if report.learning_charts:
        plot_learning(report.learning_charts, out / CURVES_PNG)
    names = {row.cell for row in report.rows}
    for dataset in report.datasets:
        _save_sheets(dataset, out)
        names |= {Path(name).stem for _, name in dataset.sheets.whole}
    remove_pictures(out / SHEETS, f"{report.study.name}{_TITLE}", names)


def _save_sheets(dataset: DatasetResults, out: Path) -> None:
    """Save the sheet of all runs of a data set, if there is one, then those of its runs."""
    study, shown, limit = dataset.study, dataset.shown, dataset.limit

    def is_drawn(path: Path, filters: Sequence[ShownFilters]) -> bool:
        """Whether a sheet is of these filters already, which are known from sheets alone."""
        runs = ", ".join(one.row.run for one in filters)
        known = all(one.sheet_limit == limit for one in filters)
        return known and png_text(path, "Runs") == runs

    for _, name in dataset.sheets.whole:
        if is_drawn(out / name, shown):
            continue
        rows = [one.row for one in shown]
        sheet = filter_sheet(
            [replace(s.filters, title=f"{s.row.destruction_percent:g} %") for s in shown],
            _tiles(shown),
            limit=limit,
            title=f"First-layer filters on {dataset.name}, by destruction",
            caption=_caption(study, shown, rows),
            magnification=1,
        )
        sheet.save(out / name, _metadata(study, rows))
    for one, (title, name) in zip(shown, dataset.sheets.single, strict=True):
        if not is_drawn(out / name, [one]):
            _save_sheet(study, shown, one, out / name, limit, title)


def add_runs(
    study: ResolvedStudy, out: Path, new: Sequence[RunRow], rows: Sequence[RunRow]
) -> None:
    """Write the curves of runs that have just ended, and the sheets of those that their cells show.

    The caller holds the lock of the tables. A study that is stopped so leaves what it has, whether
    or not its run folders come along. `rows`: of runs.csv.
    """
    if not new:
        return
    done, names = [row for row in rows if not row.error], {row.run for row in new}
    add_curves(out, names, [row.run for row in done])
    saved = read_saved_runs(out)
    for dataset in dict.fromkeys(row.dataset for row in new):
        own = [row for row in done if row.dataset == dataset]
        if names.isdisjoint(row.run for row in first_seeds(own)):
            continue
        shown, limit = saved.shown_filters(own, study.dataset(dataset))
        sheets = sheet_names(study, [one.row for one in shown]).single
        for one, (title, name) in zip(shown, sheets, strict=True):
            if one.row.run in names:
                _save_sheet(study, shown, one, out / name, limit, title)


def _save_sheet(
    study: ResolvedStudy,
    shown: Sequence[ShownFilters],
    one: ShownFilters,
    path: Path,
    limit: float,
    title: str,
) -> None:
    """Save the sheet of one of the runs shown, from which its filters can be read again."""
    caption = _caption(study, shown, [one.row])
    sheet = filter_sheet([one.filters], _tiles(shown), limit=limit, title=title, caption=caption)
    write_sheet(sheet, path, limit, _metadata(study, [one.row]))


def _tiles(shown: Sequence[ShownFilters]) -> tuple[int, int]:
    return tiles_for(max(len(one.filters.weights) for one in shown))


def _caption(study: ResolvedStudy, shown: Sequence[ShownFilters], rows: Sequence[RunRow]) -> str:
    """What a sheet of some of the runs shown says of its units and places."""
    units = max(len(one.filters.weights) for one in shown)
    start = same_start(study, [one.row for one in shown])
    seeds = ", ".join(dict.fromkeys(str(row.seed) for row in rows))
    return (
        f"Rows of W after pretraining, units 0 to {units - 1}, seed {seeds}; the same unit at the "
        f"same place in every sheet{', from the same initial weights' if start else ''}."
    )


def _metadata(study: ResolvedStudy, rows: Sequence[RunRow]) -> dict[str, str]:
    """What a sheet says of itself."""
    return {
        "Title": f"{study.name}{_TITLE}{rows[0].dataset}",
        "Runs": ", ".join(row.run for row in rows),
        "Commit": ", ".join(dict.fromkeys(row.commit for row in rows)),
    }
