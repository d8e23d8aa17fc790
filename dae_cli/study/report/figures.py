"""The pictures of a study: error against destruction, learning curves, filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.files import remove_file
from dae_cli.pictures.curves import (
    CurvePoint,
    LearningCurve,
    error_vs_destruction,
    learning_curves,
)
from dae_cli.pictures.filters import Panel, lay_out_sheet, save_png, side_by_side
from dae_cli.pictures.saving import png_text, remove_pictures
from dae_cli.pictures.tiles import paint
from dae_cli.study.paper import is_svm
from dae_cli.study.report.labels import differ_in_destruction, labels_of, same_start, series_of
from dae_cli.study.report.metrics_curves import kept_epoch
from dae_cli.study.report.saved_runs import (
    FILTERS,
    LIMIT,
    TILES,
    SavedRuns,
    read_saved_runs,
    run_curves,
    tiles_text,
)
from dae_cli.study.report.shown_filters import (
    ShownFilters,
    first_seeds,
    shown_filters,
)
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.run.filters import tiles_of
from dae_cli.study.tables.cells import data_mark
from dae_cli.study.verdict import half_width_with_seeds

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


def draw(
    study: ResolvedStudy,
    out: Path,
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    saved: SavedRuns,
) -> StudyPictures:
    """Draw every picture that the results allow, and return the names of those there are.

    Of runs whose folders are elsewhere, curves and filters are those that are `saved`.

    Raises:
        RunFolderError: a run's metrics.csv is damaged.
    """
    pictures = StudyPictures()
    # An SVM has no destruction, no epochs and no filters.
    rows = [row for row in rows if not is_svm(row.model)]
    table = [row for row in table if not is_svm(row.model)]
    if _shows_destruction(study, table):
        error_vs_destruction(_points(study, table), out / ERRORS_PNG)
        pictures.errors = ERRORS_PNG
    else:
        remove_file(out / ERRORS_PNG)  # of cells that the table had before
    done = [row for row in rows if not row.error]
    if series := _curves(study, out, done, saved):
        learning_curves(series, out / CURVES_PNG)
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


def _shows_destruction(study: ResolvedStudy, table: Sequence[TableRow]) -> bool:
    """Tell whether errors can be drawn over destruction: each cell has a place of its own there.

    A study that compares models, each at the destruction that was selected, is not about it.
    """
    if study.reference == "model" or all(row.test_error_percent is None for row in table):
        return False
    points = _points(study, table)
    return len({(p.dataset, p.series, p.destruction_percent) for p in points}) == len(points)


def _points(study: ResolvedStudy, table: Sequence[TableRow]) -> list[CurvePoint]:
    series: dict[str, str] = {}
    for dataset in {row.dataset for row in table}:
        series |= series_of(study, [row for row in table if row.dataset == dataset])
    return [_point(row, series[row.cell]) for row in table]


def _point(row: TableRow, series: str) -> CurvePoint:
    missing = float("nan")
    return CurvePoint(
        dataset=row.dataset,
        destruction_percent=row.destruction_percent,
        error_percent=missing if row.test_error_percent is None else row.test_error_percent,
        half_width_95=missing
        if row.half_width_95 is None
        else half_width_with_seeds(row.half_width_95, row.sd_over_seeds),
        paper_error_percent=row.paper_error_percent,
        paper_half_width_95=row.paper_half_width_95,
        paper_model=row.paper_model,
        data_mark=data_mark(row),
        over_seeds=row.sd_over_seeds is not None,
        series=series,
    )


def _curves(
    study: ResolvedStudy, out: Path, rows: Sequence[RunRow], saved: SavedRuns
) -> list[LearningCurve]:
    """Return the learning curves of runs; a model names them where that tells cells apart."""
    models = {row.cell: row.model for row in rows}
    by_model = len({(row.dataset, row.model) for row in rows}) == len(models)
    labels = models if by_model else {}
    for dataset in {row.dataset for row in rows if not by_model}:
        own = [row for row in rows if row.dataset == dataset]
        labels |= labels_of(own, study.changed)
    found = []
    for row in rows:
        curves = run_curves(out, row.run, saved)
        if curves is not None and curves.valid:
            epochs, errors = zip(*curves.valid, strict=True)
            found.append(
                LearningCurve(row.dataset, labels[row.cell], epochs, errors, kept_epoch(row))
            )
    return found


def _filter_sheets(
    study: ResolvedStudy, out: Path, rows: Sequence[RunRow], saved: SavedRuns
) -> list[tuple[str, str]]:
    """Draw the sheets of one data set, the first seed of each cell, on one grey scale.

    Sheets stay as they are where nothing of them can be drawn anew.
    """
    found, limit = shown_filters(out, rows, saved)
    if all(shown.sheet_limit == limit for shown in found):
        rows = first_seeds(rows)
        sheets = _sheet_names(study, rows)
        if rows and _are_of(out, sheets, rows):
            return sheets
    if not found:
        return []
    sheets = _sheet_names(study, [shown.row for shown in found])
    _draw_sheets(study, out, found, limit, sheets)
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
    return all(_runs_drawn(out / name) == [row.run for row in rows] for _, name in whole) and all(
        row.run in _runs_drawn(out / name) for row, (_, name) in zip(rows, single, strict=True)
    )


def _runs_drawn(sheet: Path) -> list[str]:
    """Of which runs a sheet is, as it says itself; of none where there is none that tells."""
    return png_text(sheet, "Runs").split(", ")


def _draw_sheets(
    study: ResolvedStudy,
    out: Path,
    found: Sequence[ShownFilters],
    limit: float,
    sheets: Sequence[tuple[str, str]],
) -> None:
    """Draw the sheet of all runs, if there is one, then each by itself.

    Args:
        sheets: (title, file name) of each, that of all runs first.
    """
    rows = [shown.row for shown in found]
    whole, single = sheets[: -len(rows)], sheets[-len(rows) :]
    tiles, units, place = _about(study, found)
    seeds = ", ".join(dict.fromkeys(str(row.seed) for row in rows))
    for _, name in whole:
        image = side_by_side(
            [Panel(shown.weights, f"{shown.row.destruction_percent:g} %") for shown in found],
            limit=limit,
            tiles=tiles,
            title=f"First-layer filters on {rows[0].dataset}, by destruction",
            caption=f"{units}, seed {seeds}; {place}.",
            magnification=1,
        )
        save_png(image, out / name, _metadata(study, rows))
    for shown, (heading, name) in zip(found, single, strict=True):
        if shown.sheet_limit != limit or shown.row.run not in _runs_drawn(out / name):
            _draw_sheet(study, out / name, shown, limit, heading, _about(study, found))


def draw_own_sheet(study: ResolvedStudy, out: Path, row: RunRow, rows: Sequence[RunRow]) -> None:
    """Draw the sheet of a run that has just been made, if it is the one that its cell shows.

    Args:
        rows: of runs.csv.
    """
    own = [other for other in rows if other.dataset == row.dataset and not other.error]
    if row.run not in [first.run for first in first_seeds(own)]:
        return
    found, limit = shown_filters(out, own, read_saved_runs(out))
    sheets = _sheet_names(study, [shown.row for shown in found])[-len(found) :]
    for shown, (heading, name) in zip(found, sheets, strict=True):
        if shown.row.run == row.run:
            _draw_sheet(study, out / name, shown, limit, heading, _about(study, found))


def _about(study: ResolvedStudy, found: Sequence[ShownFilters]) -> tuple[tuple[int, int], str, str]:
    """Rows and columns of the sheets of a data set, and what is said of their units and places."""
    shown_units = max(len(shown.weights) for shown in found)
    start = ", from the same initial weights" if same_start(study, [s.row for s in found]) else ""
    return (
        tiles_of(shown_units),
        f"Rows of W after pretraining, units 0 to {shown_units - 1}",
        f"the same unit at the same place in every sheet{start}",
    )


def _draw_sheet(
    study: ResolvedStudy,
    path: Path,
    shown: ShownFilters,
    limit: float,
    heading: str,
    about: tuple[tuple[int, int], str, str],
) -> None:
    """Draw the sheet of one run, from which its filters can be read again."""
    tiles, units, place = about
    caption = f"{units}, seed {shown.row.seed}; {place}."
    panel = Panel(shown.weights, "")
    drawing = lay_out_sheet([panel], limit=limit, tiles=tiles, title=heading, caption=caption)
    texts = {LIMIT: repr(limit), TILES: tiles_text(drawing.layout.grids[0], len(shown.weights))}
    save_png(paint(drawing), path, _metadata(study, [shown.row]) | texts)


def _metadata(study: ResolvedStudy, rows: Sequence[RunRow]) -> dict[str, str]:
    """What a sheet says of itself."""
    return {
        "Title": f"{study.name}{_TITLE}{rows[0].dataset}",
        "Runs": ", ".join(row.run for row in rows),
        "Commit": ", ".join(dict.fromkeys(row.commit for row in rows)),
    }
