"""How much of a filter's energy lies in one small window."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.features.tiles import as_tiles, unit_norm

Array = NDArray[np.float64]

LEAST_LOCALITY = 0.5
"""Of a local filter."""


def default_window(side: int) -> int:
    """Half of the tile's side, rounded down: a quarter of the tile's area or a little less."""
    return side // 2


def locality(weights: NDArray[Any], window: int | None = None) -> Array:
    """Return the largest share of Σ w² that a square window of the tile holds, from 0 to 1.

    By a table of sums over all rectangles from the corner. White noise has about .3 with half of
    the side, since the best window is taken; energy spread evenly, a quarter.

    Args:
        weights: (units, side · side).
        window: the window's side in pixels; `default_window` if none is given.

    Returns:
        (units,); NaN for a unit without weights.

    Raises:
        DaeError: not square tiles, or a weight that is not finite.
        ValueError: the window does not fit on the tile.
    """
    tiles, norms = unit_norm(as_tiles(weights))
    side = tiles.shape[1]
    size = default_window(side) if window is None else window
    if not 1 <= size <= side:
        raise ValueError(f"a window of {size} pixels: expected 1 to {side}, the tile's side")
    sums = np.zeros((len(tiles), side + 1, side + 1))
    sums[:, 1:, 1:] = (tiles**2).cumsum(axis=1).cumsum(axis=2)
    inside = (
        sums[:, size:, size:]
        - sums[:, :-size, size:]
        - sums[:, size:, :-size]
        + sums[:, :-size, :-size]
    )  # (units, side − size + 1, side − size + 1)
    best = np.clip(inside.max(axis=(1, 2)), 0.0, 1.0)
    return np.where(norms > 0, best, np.nan)
