"""Images in report.html: the first filters of runs, and an example of corruption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dae_cli.figures.saving import png_bytes

if TYPE_CHECKING:
    from dae_cli.figures.greys import Greys

_COLUMNS = 10
_LEVELS = 16
"""Grey levels of a sheet: enough for noisy filters, with a third of the bytes of 256 levels."""
_SHAPE = 21
"""Width and height in pixels of the example of corruption."""


@dataclass(frozen=True, eq=False)
class PageSheet:
    """The first filters of a run: a PNG of adjacent tiles with one pixel per weight.

    Attributes:
        tiles: greys (units, height, width[, 3]); the PNG reduces them to 16 levels.
    """

    tiles: Greys
    columns: int = _COLUMNS

    @property
    def rows(self) -> int:
        """Number of rows of tiles."""
        return -(-len(self.tiles) // self.columns)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        _, height, width, *_ = self.tiles.shape
        return self.columns * width, self.rows * height

    @property
    def png(self) -> bytes:
        """The PNG; positions without a unit are mid grey."""
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
    """Return a PNG of a convex shape with this share of all pixels set to 0.

    Pixels destroyed at one level are also destroyed at all higher levels.
    """
    from PIL import Image

    y, x = (np.mgrid[:_SHAPE, :_SHAPE] - (_SHAPE - 1) / 2) / _SHAPE
    inside = (x + 0.5 * y) ** 2 / 0.103 + (y - 0.3 * x) ** 2 / 0.128 < 1
    order = np.random.RandomState(0).permutation(_SHAPE * _SHAPE).reshape(_SHAPE, _SHAPE)
    left = order >= round(destruction_percent / 100 * _SHAPE * _SHAPE)
    return png_bytes(Image.fromarray(np.where(inside & left, 255, 0).astype(np.uint8)).convert("1"))
