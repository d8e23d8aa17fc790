"""Drawing a laid-out sheet: square tiles of greys, the grey scale and the texts."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dae_cli.pictures.layout import Box, Grid, Layout
from dae_cli.pictures.text import font

BACKGROUND = 255
FRAME = 160  # grey of the thin frame around the grey scale: its white end ends somewhere

Greys = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Drawing:
    """A sheet that is laid out: ``paint`` makes an image of it, ``saving.save_sheet`` a file.

    Attributes:
        panels: of each panel the greys (tiles, side · side) of its tiles, 0 black to 255 white.
    """

    layout: Layout
    panels: tuple[Greys, ...]


def paint(drawing: Drawing) -> Image.Image:
    """Draw each panel's tiles where its layout has them, the grey scale and the texts."""
    layout = drawing.layout
    width, height = layout.size
    canvas = np.full((height, width), BACKGROUND, dtype=np.uint8)
    for greys, grid in zip(drawing.panels, layout.grids, strict=True):
        left, top, right, bottom = grid.whole
        canvas[top:bottom, left:right] = panel_pixels(greys, grid)
    left, top, right, bottom = layout.scale_bar
    canvas[top:bottom, left:right] = FRAME
    canvas[top + 1 : bottom - 1, left + 1 : right - 1] = scale_ramp(layout.scale_bar)[1:-1]
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    for run in layout.runs:
        draw.text(run.at, run.text, fill=run.grey, font=font(run.size), anchor=run.anchor)
    return image


def panel_pixels(greys: Greys, grid: Grid, times: int = 1) -> Greys:
    """The pixels of ``grid.whole``, ``times`` as many each way.

    Whole pixels are repeated (nearest neighbour), so that edges stay crisp.
    """
    left, top, right, bottom = grid.whole
    pixels = np.full((bottom - top, right - left), BACKGROUND, dtype=np.uint8)
    side = isqrt(greys.shape[1])
    block = np.ones((grid.tile // side,) * 2, dtype=np.uint8)
    for index, row in enumerate(greys):
        x, y, _, _ = grid.box(index)
        tile = np.kron(row.reshape(side, side), block)
        pixels[y - top : y - top + grid.tile, x - left : x - left + grid.tile] = tile
    return pixels if times == 1 else np.kron(pixels, np.ones((times, times), dtype=np.uint8))


def scale_ramp(bar: Box) -> Greys:
    """The greys along the grey scale, one for each of its pixels from left to right."""
    return np.linspace(0, 255, bar[2] - bar[0]).round().astype(np.uint8)
