"""A unit's incoming weights as a square tile, and which units have any."""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.errors import DaeError

Array = NDArray[np.float64]

SMALLEST_SIDE = 4
"""Below so many pixels a side, a lobe and its neighbour have no room."""


def as_tiles(weights: NDArray[Any]) -> Array:
    """Return the weights as tiles, row 0 at the top.

    Args:
        weights: (units, side · side), each row a tile read line by line.

    Returns:
        (units, side, side) in double precision.

    Raises:
        DaeError: not a matrix of square tiles, or a weight that is not finite.
    """
    shape = weights.shape
    side = isqrt(shape[1]) if len(shape) == 2 else 0
    if len(shape) != 2 or side**2 != shape[1] or side < SMALLEST_SIDE:
        raise DaeError(
            f"weights of shape {shape} are no square tiles: expected (units, side · side) with a "
            f"side of {SMALLEST_SIDE} or more; measure the layer that looks at square images"
        )
    tiles = np.asarray(weights, dtype=np.float64)
    finite = np.isfinite(tiles)
    if not finite.all():
        unit, pixel = (int(k) for k in np.argwhere(~finite)[0])
        raise DaeError(
            f"unit {unit}: the weight of pixel {pixel} is {tiles[unit, pixel]}, expected finite "
            "weights; the training diverged: lower its learning rate"
        )
    return tiles.reshape(-1, side, side)


def unit_norm(tiles: Array) -> tuple[Array, Array]:
    """Divide each tile by its Euclidean norm; a tile of zeros stays.

    Returns:
        The tiles (units, side, side) and their norms (units,).
    """
    # By the largest weight first: the square of a tiny weight would be 0.
    largest = np.abs(tiles).max(axis=(1, 2), keepdims=True)
    scaled = tiles / np.where(largest > 0, largest, 1.0)
    norms = np.sqrt((scaled**2).sum(axis=(1, 2), keepdims=True))
    return scaled / np.where(norms > 0, norms, 1.0), (norms * largest)[:, 0, 0]
