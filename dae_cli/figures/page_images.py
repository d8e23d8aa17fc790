"""The images that report.html holds: first filters side by side, and what corruption looks like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dae_cli.figures.saving import png_bytes

if TYPE_CHECKING:
    from dae_cli.figures.greys import Greys

_COLUMNS = 10
_LEVELS = 16
"""Greys of a sheet: more than the eye distinguishes in noise, and a third of the bytes of 256."""
_SHAPE = 21
"""Width and height in pixels of the shape that shows what corruption is."""


@dataclass(frozen=True, eq=False)
class PageSheet:
    """The first filters of a run: a PNG of tiles side by side, a pixel for each weight.

    Attributes:
        tiles: (units, height, width) greys, and 3 of colours; 16 of each remain.
    """

    tiles: Greys
    columns: int = _COLUMNS

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return -(-len(self.tiles) // self.columns)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        _, height, width, *_ = self.tiles.shape
        return self.columns * width, self.rows * height

    @property
    def png(self) -> bytes:
        """The PNG; places without a unit are mid grey."""
        from PIL import Image

        image = self.tiles.shape[1:]
        places = np.full((self.rows * self.columns, *image), 128, dtype=np.uint8)
        places[: len(self.tiles)] = self.tiles
        rows = np.moveaxis(places.reshape(self.rows, self.columns, *image), 2, 1)
        pixels = np.ascontiguousarray(rows) // (256 // _LEVELS)
        step = 255 / (_LEVELS - 1)
        if len(image) > 2:
            colours = np.rint(step * pixels).astype(np.uint8)
            return png_bytes(Image.frombytes("RGB", self.size, colours.tobytes()))
        picture = Image.frombytes("P", self.size, pixels.tobytes())
        picture.putpalette([round(step * k) for k in range(_LEVELS) for _ in "rgb"])
        return png_bytes(picture)


def corrupted_shape(destruction_percent: float) -> bytes:
    """Return a PNG of a convex shape, with that share of all pixels set to 0.

    What is destroyed at one level is destroyed at all higher ones.
    """
    from PIL import Image

    y, x = (np.mgrid[:_SHAPE, :_SHAPE] - (_SHAPE - 1) / 2) / _SHAPE
    inside = (x + 0.5 * y) ** 2 / 0.103 + (y - 0.3 * x) ** 2 / 0.128 < 1
    order = np.random.RandomState(0).permutation(_SHAPE * _SHAPE).reshape(_SHAPE, _SHAPE)
    left = order >= round(destruction_percent / 100 * _SHAPE * _SHAPE)
    return png_bytes(Image.fromarray(np.where(inside & left, 255, 0).astype(np.uint8)).convert("1"))
