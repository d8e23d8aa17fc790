"""A unit's incoming weights as an image, the tile, and which units have any."""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.errors import DaeError

Array = NDArray[np.float64]
Shape = tuple[int, int]
"""Height and width of a tile, in pixels."""

SMALLEST_SIDE = 4
"""Below so many pixels a side, a lobe and its neighbour have no room."""


def as_tiles(weights: NDArray[Any], shape: Shape | None = None) -> Array:
    """Return the weights as tiles, row 0 at the top.

    Args:
        weights: (units, height · width), each row a tile read line by line.
        shape: of a tile; a square if none is given.

    Returns:
        (units, height, width) in double precision.

    Raises:
        DaeError: not a matrix of such tiles, or a weight that is not finite.
    """
    kind = "square tiles" if shape is None else f"tiles of {shape[0]} × {shape[1]} pixels"
    size = "side · side" if shape is None else "height · width"
    inputs = weights.shape[1] if weights.ndim == 2 else 0
    height, width = (isqrt(inputs),) * 2 if shape is None else shape
    if weights.ndim != 2 or height * width != inputs or min(height, width) < SMALLEST_SIDE:
        raise DaeError(
            f"weights of shape {weights.shape} are no {kind}: expected (units, {size}) with a "
            f"side of {SMALLEST_SIDE} or more; measure the layer that looks at images"
        )
    tiles = np.asarray(weights, dtype=np.float64)
    finite = np.isfinite(tiles)
    if not finite.all():
        unit, pixel = (int(k) for k in np.argwhere(~finite)[0])
        raise DaeError(
            f"unit {unit}: the weight of pixel {pixel} is {tiles[unit, pixel]}, expected finite "
            "weights; the training diverged: lower its learning rate"
        )
    return tiles.reshape(-1, height, width)


def unit_norm(tiles: Array) -> tuple[Array, Array]:
    """Divide each tile by its Euclidean norm; a tile of zeros stays.

    Returns:
        The tiles (units, height, width) and their norms (units,).
    """
    # By the largest weight first: the square of a tiny weight would be 0.
    largest = np.abs(tiles).max(axis=(1, 2), keepdims=True)
    scaled = tiles / np.where(largest > 0, largest, 1.0)
    norms = np.sqrt((scaled**2).sum(axis=(1, 2), keepdims=True))
    return scaled / np.where(norms > 0, norms, 1.0), (norms * largest)[:, 0, 0]
