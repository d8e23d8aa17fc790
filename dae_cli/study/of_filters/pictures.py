"""The pictures of a study on filters, one for each item of its `figures`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from dae_cli.config.schema import FilterExperiment
from dae_cli.config.study_schema import Figure
from dae_cli.data.dataset import Split
from dae_cli.pictures.filters import Panel, side_by_side
from dae_cli.pictures.greys import common_limit
from dae_cli.pictures.saving import remove_pictures, save_png
from dae_cli.pictures.zoom import zoom
from dae_cli.study.of_filters.report import source_of
from dae_cli.study.plan import Plan
from dae_cli.study.rows import RunRow
from dae_cli.study.run.corruption import corruption_told
from dae_cli.study.run.filter_run import images_of
from dae_cli.study.run.filters import run_filters
from dae_cli.study.run.folder import RUNS, Job

FIGURES = "figures"
TILES = (10, 10)
PCA_ROWS = 100_000
PATCH_ENDS = ("pixel -max", "+max of each patch  (mid grey: 0)")

Weights = NDArray[np.float32]


def draw_figures(plan: Plan, rows: Sequence[RunRow]) -> dict[str, str]:
    """Draw what the runs at hand allow, of the first seed of each cell.

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
            _draw(plan, figure, panels, rows, plan.out / name, source)
        if (plan.out / name).exists():
            found[figure.name] = name
    names = {figure.name for figure in plan.study.figures}
    remove_pictures(plan.out / FIGURES, f"{plan.study.name}: ", names)
    return found


def _panels(plan: Plan, figure: Figure, rows: Sequence[RunRow]) -> list[Panel]:
    """What stands side by side; fewer than the figure has cells where one cannot be had."""
    if figure.kind in ("patches", "components"):
        jobs = [_job_of(plan, cell) for cell in figure.cells]
        return [Panel(_from_images(figure, job), "") for job in jobs if job is not None]
    panels = []
    for row in _first_runs(figure, rows):
        folder = plan.out / RUNS / row.run
        if folder.exists():
            panels.append(Panel(run_filters(folder), _title_of(plan, figure, row)))
    return panels


def _first_runs(figure: Figure, rows: Sequence[RunRow]) -> list[RunRow]:
    """The run with the lowest seed of each cell, in the figure's order."""
    done = sorted((row for row in rows if not row.error), key=lambda row: row.seed, reverse=True)
    by_cell = {row.cell: row for row in done}
    return [by_cell[cell] for cell in figure.cells if cell in by_cell]


def _job_of(plan: Plan, cell: str) -> Job | None:
    return next((planned.job for planned in plan.runs if planned.job.cell == cell), None)


def _from_images(figure: Figure, job: Job) -> Weights:
    """Patches as they are learned from, or their principal components, the strongest first."""
    experiment = job.experiment
    assert isinstance(experiment, FilterExperiment)
    images = images_of(job.data, experiment)
    rows = images.as_float(slice(PCA_ROWS)) if isinstance(images, Split) else images[:PCA_ROWS]
    if figure.kind == "patches":
        return rows[: TILES[0] * TILES[1]]
    from sklearn.decomposition import PCA

    count = min(TILES[0] * TILES[1], rows.shape[1])
    return np.asarray(PCA(count, svd_solver="full").fit(rows).components_, np.float32)


def _draw(
    plan: Plan,
    figure: Figure,
    panels: list[Panel],
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
    path.parent.mkdir(exist_ok=True)
    save_png(_image(figure, panels, caption), path, about)


def _image(figure: Figure, panels: list[Panel], caption: str) -> Image:
    if figure.kind == "zoom":
        return zoom(
            panels,
            figure.units,
            limit=common_limit([panel.weights[list(figure.units)] for panel in panels]),
            title=figure.title,
            caption=caption,
            scale=figure.scale,
        )
    shown = [panel.shown(TILES[0] * TILES[1]) for panel in panels]
    rows_of_tiles = math.ceil(max(map(len, shown)) / TILES[1])
    return side_by_side(
        panels,
        limit=common_limit(shown),
        tiles=(min(TILES[0], rows_of_tiles), TILES[1]),
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
