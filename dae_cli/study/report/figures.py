"""The pictures of a study: error against destruction, learning curves, filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.figures.filters import filter_sheet
from dae_cli.figures.plots import plot_errors, plot_learning
from dae_cli.figures.saving import png_text, remove_pictures
from dae_cli.files import remove_file
from dae_cli.study.paper import is_svm
from dae_cli.study.report.labels import differ_in_destruction, labels_of, same_start
from dae_cli.study.report.saved_runs import (
    FILTERS,
    SavedRuns,
    read_saved_runs,
    write_sheet,
)
from dae_cli.study.report.series import error_series, learning_series
from dae_cli.study.report.shown_filters import (
    ShownFilters,
    first_seeds,
    shown_filters,
)
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.run.filters import tiles_for

ERRORS_PNG, CURVES_PNG = "error_vs_destruction.png", "learning_curves.png"
_TITLE = ": first-layer filters, "
"""Between the names of study and data set, in what a sheet says of itself."""


@dataclass
class StudyPictures:
    """File names of the pictures there are, relative to the study's results folder."""

    errors: str = ""
    curves: str = ""
    filters: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """For each data set: (title, file name), the side-by-side sheet first."""


def save_pictures(
    study: ResolvedStudy,
    out: Path,
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    saved: SavedRuns,
) -> StudyPictures:
    """Save every picture that the results allow, and return the names of those there are.

    Of runs whose folders are elsewhere, curves and filters are those that are `saved`.

    Raises:
        RunFolderError: a run's metrics.csv is damaged.
    """
    pictures = StudyPictures()
    # An SVM has no destruction, no epochs and no filters.
    rows = [row for row in rows if not is_svm(row.model)]
    table = [row for row in table if not is_svm(row.model)]
    done = [row for row in rows if not row.error]
    by_dataset = {row.dataset: [r for r in table if r.dataset == row.dataset] for row in table}
    errors = [error_series(study, own) for own in by_dataset.values()]
    # A study that compares models, each at the destruction selected, is not about destruction.
    if study.reference != "model" and (shown := [own for own in errors if own is not None]):
        plot_errors(shown, out / ERRORS_PNG)
        pictures.errors = ERRORS_PNG
    else:
        remove_file(out / ERRORS_PNG)  # of cells that the table had before
    learning = [
        learning_series(study, out, [r for r in done if r.dataset == name], own, saved)
        for name, own in by_dataset.items()
    ]
    if learning := [own for own in learning if any(run.curves.valid for run in own.runs)]:
        plot_learning(learning, out / CURVES_PNG)
        pictures.curves = CURVES_PNG
    for dataset in dict.fromkeys(row.dataset for row in done):
        own = [row for row in done if row.dataset == dataset]
        sheets = _filter_sheets(study, out, own, saved)
        if sheets:
            pictures.filters[dataset] = sheets
    known = {row.cell for row in rows}
    known |= {Path(name).stem for sheets in pictures.filters.values() for _, name in sheets}
    remove_pictures(out / FILTERS, f"{study.name}{_TITLE}", known)
    return pictures


def _filter_sheets(
    study: ResolvedStudy, out: Path, rows: Sequence[RunRow], saved: SavedRuns
) -> list[tuple[str, str]]:
    """Save the sheets of one data set, the first seed of each cell, on one grey scale.

    Sheets stay as they are where nothing of them can be had anew.
    """
    found, limit = shown_filters(study, out, rows, saved)
    if all(shown.sheet_limit == limit for shown in found):
        rows = first_seeds(rows)
        sheets = _sheet_names(study, rows)
        if rows and _are_of(out, sheets, rows):
            return sheets
    if not found:
        return []
    sheets = _sheet_names(study, [shown.row for shown in found])
    _save_sheets(study, out, found, limit, sheets)
    return sheets


def _sheet_names(study: ResolvedStudy, rows: Sequence[RunRow]) -> list[tuple[str, str]]:
    """(title, file name) of each sheet of a data set; that of all rows first, if there is one.

    It is for cells that differ in destruction: units can be followed from one panel to the next.
    """
    if not rows:
        return []
    dataset, labels = rows[0].dataset, labels_of(rows, study.changed)
    single = [(f"{dataset}, {labels[row.cell]}", f"{FILTERS}/{row.cell}.png") for row in rows]
    if not differ_in_destruction(rows):
        return single
    return [(f"{dataset}, every destruction", f"{FILTERS}/{dataset}.png"), *single]


def _are_of(out: Path, sheets: Sequence[tuple[str, str]], rows: Sequence[RunRow]) -> bool:
    """Tell whether sheets, that of all rows first, say that they are of these runs."""
    whole, single = sheets[: -len(rows)], sheets[-len(rows) :]
    return all(_runs_of(out / name) == [row.run for row in rows] for _, name in whole) and all(
        row.run in _runs_of(out / name) for row, (_, name) in zip(rows, single, strict=True)
    )


def _runs_of(sheet: Path) -> list[str]:
    """Of which runs a sheet is, as it says itself; of none where there is no sheet that does."""
    return png_text(sheet, "Runs").split(", ")


def _save_sheets(
    study: ResolvedStudy,
    out: Path,
    found: Sequence[ShownFilters],
    limit: float,
    sheets: Sequence[tuple[str, str]],
) -> None:
    """Save the sheet of all runs, if there is one, then each by itself.

    Args:
        sheets: (title, file name) of each, that of all runs first.
    """
    rows = [shown.row for shown in found]
    whole, single = sheets[: -len(rows)], sheets[-len(rows) :]
    tiles, units, place = _about(study, found)
    seeds = ", ".join(dict.fromkeys(str(row.seed) for row in rows))
    for _, name in whole:
        sheet = filter_sheet(
            [
                replace(shown.filters, title=f"{shown.row.destruction_percent:g} %")
                for shown in found
            ],
            tiles,
            limit=limit,
            title=f"First-layer filters on {rows[0].dataset}, by destruction",
            caption=f"{units}, seed {seeds}; {place}.",
            magnification=1,
        )
        sheet.save(out / name, _metadata(study, rows))
    for shown, (heading, name) in zip(found, single, strict=True):
        if shown.sheet_limit != limit or shown.row.run not in _runs_of(out / name):
            _save_sheet(study, out / name, shown, limit, heading, _about(study, found))


def save_own_sheet(study: ResolvedStudy, out: Path, row: RunRow, rows: Sequence[RunRow]) -> None:
    """Save the sheet of a run that has just ended, if it is the one that its cell shows.

    Args:
        rows: of runs.csv.
    """
    own = [other for other in rows if other.dataset == row.dataset and not other.error]
    if row.run not in [first.run for first in first_seeds(own)]:
        return
    found, limit = shown_filters(study, out, own, read_saved_runs(out))
    sheets = _sheet_names(study, [shown.row for shown in found])[-len(found) :]
    for shown, (heading, name) in zip(found, sheets, strict=True):
        if shown.row.run == row.run:
            _save_sheet(study, out / name, shown, limit, heading, _about(study, found))


def _about(study: ResolvedStudy, found: Sequence[ShownFilters]) -> tuple[tuple[int, int], str, str]:
    """Rows and columns of the sheets of a data set, and what is said of their units and places."""
    shown_units = max(len(shown.filters.weights) for shown in found)
    start = ", from the same initial weights" if same_start(study, [s.row for s in found]) else ""
    return (
        tiles_for(shown_units),
        f"Rows of W after pretraining, units 0 to {shown_units - 1}",
        f"the same unit at the same place in every sheet{start}",
    )


def _save_sheet(
    study: ResolvedStudy,
    path: Path,
    shown: ShownFilters,
    limit: float,
    heading: str,
    about: tuple[tuple[int, int], str, str],
) -> None:
    """Save the sheet of one run, from which its filters can be read again."""
    tiles, units, place = about
    caption = f"{units}, seed {shown.row.seed}; {place}."
    sheet = filter_sheet([shown.filters], tiles, limit=limit, title=heading, caption=caption)
    write_sheet(sheet, path, limit, _metadata(study, [shown.row]))


def _metadata(study: ResolvedStudy, rows: Sequence[RunRow]) -> dict[str, str]:
    """What a sheet says of itself."""
    return {
        "Title": f"{study.name}{_TITLE}{rows[0].dataset}",
        "Runs": ", ".join(row.run for row in rows),
        "Commit": ", ".join(dict.fromkeys(row.commit for row in rows)),
    }
