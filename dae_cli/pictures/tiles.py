"""Drawing a laid-out sheet: square tiles of greys, the grey scale and the texts."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dae_cli.pictures.layout import Layout
from dae_cli.pictures.text import font

BACKGROUND = 255


def paint(layout: Layout, panels: Sequence[NDArray[np.uint8]]) -> Image.Image:
    """Draw each panel's tiles, greys (tiles, side · side), where ``layout`` has them.

    Whole pixels are repeated (nearest neighbour), so that edges stay crisp.
    """
    width, height = layout.size
    canvas = np.full((height, width), BACKGROUND, dtype=np.uint8)
    for greys, grid in zip(panels, layout.grids, strict=True):
        side = isqrt(greys.shape[1])
        block = np.ones((grid.tile // side,) * 2, dtype=np.uint8)
        for index, row in enumerate(greys):
            left, top, right, bottom = grid.box(index)
            canvas[top:bottom, left:right] = np.kron(row.reshape(side, side), block)
    return _letter(canvas, layout)


def _letter(canvas: NDArray[np.uint8], layout: Layout) -> Image.Image:
    """Add the grey scale and the texts of ``layout``."""
    left, top, right, bottom = layout.scale_bar
    ramp = np.linspace(0, 255, right - left).round().astype(np.uint8)
    canvas[top:bottom, left:right] = 160  # a thin frame: the white end ends somewhere
    canvas[top + 1 : bottom - 1, left + 1 : right - 1] = ramp[1:-1]
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    for run in layout.runs:
        draw.text(run.at, run.text, fill=run.grey, font=font(run.size), anchor=run.anchor)
    return image
