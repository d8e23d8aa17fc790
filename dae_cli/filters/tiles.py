"""Tiles: a unit's incoming weights as an image."""

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
"""Smallest side in pixels; smaller tiles have no room for a lobe and its neighbour."""


def as_tiles(weights: NDArray[Any], shape: Shape | None = None) -> Array:
    """Return the weights as tiles, row 0 at the top.

    Args:
        weights: (units, height · width), each row a tile in row-major order.
        shape: height and width of a tile; square by default.

    Returns:
        (units, height, width) in double precision.

    Raises:
        DaeError: the weights do not have this shape, or one is not finite.
    """
    kind = "square tiles" if shape is None else f"tiles of {shape[0]} × {shape[1]} pixels"
    size = "side · side" if shape is None else "height · width"
    inputs = weights.shape[1] if weights.ndim == 2 else 0
    height, width = (isqrt(inputs),) * 2 if shape is None else shape
    if weights.ndim != 2 or height * width != inputs or min(height, width) < SMALLEST_SIDE:
        raise DaeError(
            f"weights of shape {weights.shape} are not {kind}; expected (units, {size}) with "
            f"sides of at least {SMALLEST_SIDE}; choose a layer whose inputs are images"
        )
    tiles = np.asarray(weights, dtype=np.float64)
    finite = np.isfinite(tiles)
    if not finite.all():
        unit, pixel = (int(k) for k in np.argwhere(~finite)[0])
        raise DaeError(
            f"unit {unit}: the weight of pixel {pixel} is {tiles[unit, pixel]}, expected finite "
            "weights; training diverged; lower the learning rate and train again"
        )
    return tiles.reshape(-1, height, width)


def unit_norm(tiles: Array) -> tuple[Array, Array]:
    """Divide each tile by its Euclidean norm; tiles of zeros stay zero.

    Returns:
        The tiles (units, height, width) and their norms (units,).
    """
    # Divide by the largest weight first, because the square of a tiny weight would underflow.
    largest = np.abs(tiles).max(axis=(1, 2), keepdims=True)
    scaled = tiles / np.where(largest > 0, largest, 1.0)
    norms = np.sqrt((scaled**2).sum(axis=(1, 2), keepdims=True))
    return scaled / np.where(norms > 0, norms, 1.0), (norms * largest)[:, 0, 0]
