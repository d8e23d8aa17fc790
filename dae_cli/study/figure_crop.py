"""The parts of a figure's picture that report.html cuts off, because it shows them as text."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from math import prod
from pathlib import Path

import numpy as np
from PIL import Image

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.schema import FilterExperiment
from dae_cli.config.study_schema import Figure
from dae_cli.errors import ConfigError
from dae_cli.figures.filters import Filters
from dae_cli.figures.greys import ImageShape
from dae_cli.figures.saving import png_text
from dae_cli.figures.sheets import Sheet
from dae_cli.study.filter_study import OF_IMAGES, figure_sheet, first_runs_of, panel_title
from dae_cli.study.report.datasets import image_of
from dae_cli.study.rows import RunRow
from dae_cli.study.run.filters import TILES


def crop_of(
    study: ResolvedStudy, figure: Figure, rows: Sequence[RunRow], picture: Path | None
) -> tuple[int, int]:
    """Return the heights in pixels of a picture's title and source, with space around them.

    The layout is computed again without tiles; (0, 0) if it does not have the picture's size.
    """
    own = [row for row in rows if row.cell in figure.cells]
    image = image_of(study, own)
    panels = [] if image is None else _empty_panels(study, figure, own, image)
    if picture is None or not panels:
        return 0, 0
    title = png_text(picture, "Title").removeprefix(f"{study.name}: ")
    caption = png_text(picture, "Description")

    def sheet(title: str, caption: str) -> Sheet:
        return figure_sheet(figure.model_copy(update={"title": title}), panels, caption)

    with suppress(ConfigError, OSError, SyntaxError, Image.DecompressionBombError):
        height, width = sheet(title, caption).size
        with Image.open(picture, formats=("PNG",)) as png:
            if png.size != (width, height):
                return 0, 0
        untitled, bare = sheet("", caption), sheet(title, "")
        # Of the margins, a part stays around the rest of the picture.
        above = round(0.7 * min(text.y - text.size for text in untitled.texts))
        below = round(0.55 * (bare.size[0] - max(text.y for text in bare.texts)))
        top = height - untitled.size[0] + above if title else 0
        return top, (height - bare.size[0] + below if caption else 0)
    return 0, 0


def _empty_panels(
    study: ResolvedStudy, figure: Figure, rows: Sequence[RunRow], image: ImageShape
) -> list[Filters]:
    """Return panels with as many tiles as the figure's, all grey."""
    inputs, most = prod(image), prod(TILES)
    if figure.kind in OF_IMAGES:
        count = min(most, inputs) if figure.kind == "components" else most
        return [Filters(np.zeros((count, inputs)), image)]
    experiments = {cell.cell: cell.experiment for cell in study.all_cells}
    panels = []
    for row in first_runs_of(figure, rows):
        experiment = experiments[row.cell]
        assert isinstance(experiment, FilterExperiment)
        weights = np.zeros((experiment.model.hidden[0], inputs))
        panels.append(Filters(weights, image, panel_title(study, figure, row)))
    return panels
