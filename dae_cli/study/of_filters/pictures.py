"""The pictures of a study on filters, one for each item of its `figures`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dae_cli.config.schema import FilterExperiment
from dae_cli.config.study_schema import Figure
from dae_cli.data.dataset import Split
from dae_cli.figures.filters import Filters, filter_sheet, zoom_sheet
from dae_cli.figures.saving import remove_pictures
from dae_cli.figures.sheets import Sheet
from dae_cli.study.of_filters.report import source_of
from dae_cli.study.plan import Plan
from dae_cli.study.rows import RunRow
from dae_cli.study.run.corruption import corruption_told
from dae_cli.study.run.filter_run import images_of
from dae_cli.study.run.filters import TILES, as_shown, run_filters, tiles_for
from dae_cli.study.run.folder import RUNS, Job

FIGURES = "figures"
PCA_ROWS = 100_000
PATCH_ENDS = ("pixel −max", "+max of each patch  (mid grey: 0)")


def save_figures(plan: Plan, rows: Sequence[RunRow]) -> dict[str, str]:
    """Save what the runs at hand allow, of the first seed of each cell.

    Returns:
        The file name of each figure that there is, relative to the results; those of runs whose
        folders are elsewhere are left as they were, and figures that the study no longer has go.
    """
    found = {}
    for figure in plan.study.figures:
        name = f"{FIGURES}/{figure.name}.png"
        panels = _panels(plan, figure, rows)
        if len(panels) == len(figure.cells):
            source = source_of(plan.study, figure, rows)
            _save(plan, figure, panels, rows, plan.out / name, source)
        if (plan.out / name).exists():
            found[figure.name] = name
    names = {figure.name for figure in plan.study.figures}
    remove_pictures(plan.out / FIGURES, f"{plan.study.name}: ", names)
    return found


def _panels(plan: Plan, figure: Figure, rows: Sequence[RunRow]) -> list[Filters]:
    """What stands side by side; fewer than the figure has cells where one cannot be had."""
    if figure.kind in ("patches", "components"):
        jobs = [_job_of(plan, cell) for cell in figure.cells]
        return [_from_images(figure, job) for job in jobs if job is not None]
    panels = []
    for row in _first_runs(figure, rows):
        folder = plan.out / RUNS / row.run
        if folder.exists():
            title = _title_of(plan, figure, row)
            panels.append(as_shown(run_filters(folder), plan.study.dataset(row.dataset), title))
    return panels


def _first_runs(figure: Figure, rows: Sequence[RunRow]) -> list[RunRow]:
    """The run with the lowest seed of each cell, in the figure's order."""
    done = sorted((row for row in rows if not row.error), key=lambda row: row.seed, reverse=True)
    by_cell = {row.cell: row for row in done}
    return [by_cell[cell] for cell in figure.cells if cell in by_cell]


def _job_of(plan: Plan, cell: str) -> Job | None:
    return next((planned.job for planned in plan.runs if planned.job.cell == cell), None)


def _from_images(figure: Figure, job: Job) -> Filters:
    """Patches as they are learned from, or their principal components, the strongest first."""
    experiment = job.experiment
    assert isinstance(experiment, FilterExperiment)
    images = images_of(job.data, experiment)
    rows = images.as_float(slice(PCA_ROWS)) if isinstance(images, Split) else images[:PCA_ROWS]
    if figure.kind == "components":
        from sklearn.decomposition import PCA

        count = min(TILES[0] * TILES[1], rows.shape[1])
        rows = np.asarray(PCA(count, svd_solver="full").fit(rows).components_, np.float32)
    return as_shown(rows[: TILES[0] * TILES[1]], experiment.dataset)


def _save(
    plan: Plan,
    figure: Figure,
    panels: list[Filters],
    rows: Sequence[RunRow],
    path: Path,
    caption: str,
) -> None:
    of = _first_runs(figure, rows)
    about = {
        "Title": f"{plan.study.name}: {figure.title}",
        "Runs": ", ".join(row.run for row in of),
        "Commit": ", ".join(dict.fromkeys(row.commit for row in of)),
    }
    if caption:
        about["Description"] = caption
    _sheet(figure, panels, caption).save(path, about)


def _sheet(figure: Figure, panels: list[Filters], caption: str) -> Sheet:
    if figure.kind == "zoom":
        return zoom_sheet(
            panels, figure.units, title=figure.title, caption=caption, scale=figure.scale
        )
    return filter_sheet(
        panels,
        tiles_for(max(len(panel.weights) for panel in panels)),
        title=figure.title,
        caption=caption,
        scale=figure.scale,
        scale_ends=PATCH_ENDS if figure.kind == "patches" else None,
    )


def _title_of(plan: Plan, figure: Figure, row: RunRow) -> str:
    """What was done to the cell; and its units, where the figure's cells differ in them."""
    cells = {cell.cell: cell.experiment for cell in plan.study.all_cells}
    of_figure = [cells[name] for name in figure.cells]
    experiment = cells[row.cell]
    assert isinstance(experiment, FilterExperiment)
    told = corruption_told(experiment)
    sizes = {e.model.hidden for e in of_figure if isinstance(e, FilterExperiment)}
    return told if len(sizes) == 1 else f"{experiment.model.hidden[0]} units, {told}"
