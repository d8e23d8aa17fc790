"""Greys to PNG bytes; and a made-up picture with a share of its pixels destroyed."""

from __future__ import annotations

from io import BytesIO
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 28
LEVELS = 16
"""Greys of a sheet: more than the eye tells apart in noise, and a third of the bytes of 256."""


def sheet_png(greys: NDArray[np.uint8], columns: int = 10) -> tuple[bytes, tuple[int, int]]:
    """Lay tiles side by side and return the PNG and its (width, height).

    Args:
        greys: (units, 784), 0 black to 255 white. They are rounded to 16 greys.
    """
    units = len(greys)
    rows = -(-units // columns)
    whole = np.full((rows * columns, SIDE * SIDE), 128, dtype=np.uint8)
    whole[:units] = greys
    tiles = whole.reshape(rows, columns, SIDE, SIDE).transpose(0, 2, 1, 3)
    image = Image.fromarray(tiles.reshape(rows * SIDE, columns * SIDE) // (256 // LEVELS))
    indexed = Image.frombytes("P", image.size, image.tobytes())
    step = 255 / (LEVELS - 1)
    indexed.putpalette([round(step * k) for k in range(LEVELS) for _ in "rgb"])
    return _png(indexed), image.size


def sheet_greys(png: bytes) -> NDArray[np.uint8]:
    """Return the tiles (units, 784) of a sheet, the inverse of ``sheet_png``; none of another PNG.

    Tiles of one grey at its end are taken for places without a unit.
    """
    with Image.open(BytesIO(png), formats=("PNG",)) as image:
        whole = np.asarray(image.convert("L"))
    rows, columns = whole.shape[0] // SIDE, whole.shape[1] // SIDE
    if whole.shape != (rows * SIDE, columns * SIDE):
        return np.empty((0, SIDE * SIDE), dtype=np.uint8)
    tiles = whole.reshape(rows, SIDE, columns, SIDE).transpose(0, 2, 1, 3).reshape(-1, SIDE * SIDE)
    drawn = np.flatnonzero(tiles.min(axis=1) < tiles.max(axis=1))
    return tiles[: drawn[-1] + 1] if len(drawn) else tiles[:0]


def destroyed_drawing(destruction_percent: float) -> bytes:
    """Return a PNG of 28 × 28 pixels: a convex shape with that share of all pixels set to 0.

    What is destroyed at one level is destroyed at all higher ones.
    """
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    shape = (x + 0.5 * y) ** 2 / 81 + (y - 0.3 * x) ** 2 / 100 < 1
    random = Random(0)
    drawn = np.array([random.random() for _ in range(SIDE * SIDE)]).reshape(SIDE, SIDE)
    order = drawn.ravel().argsort().argsort().reshape(SIDE, SIDE)
    kept = order >= round(destruction_percent / 100.0 * SIDE * SIDE)
    return _png(Image.fromarray(np.where(shape & kept, 255, 0).astype(np.uint8)).convert("1"))


def _png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
