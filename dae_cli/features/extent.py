"""How large the strongest spot of a filter is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.features.tiles import as_tiles, unit_norm

Array = NDArray[np.float64]

ENLARGED = 8
"""Times, in each direction: a spot of five pixels is then known to a tenth of its area."""
LEVEL = 0.5
"""Share of the strongest weight down to which the spot reaches."""


def extent(weights: NDArray[Any]) -> Array:
    """Return the area of each unit's strongest spot, in pixels of the tile.

    The spot is what is connected with the strongest weight, whatever its sign, through weights of
    that sign that are at least half of it; connected by sides, on the tile enlarged eight times by
    cubic splines. A bell of standard deviation σ has 2π ln 2 · σ² = 4.4 σ².

    Args:
        weights: (units, side · side).

    Returns:
        (units,); NaN for a unit without weights.

    Raises:
        DaeError: not square tiles, or a weight that is not finite.
    """
    from scipy import ndimage

    tiles, norms = unit_norm(as_tiles(weights))
    # Enlarging is linear along each side: the matrix that does it is the enlarged identity.
    enlarge = ndimage.zoom(
        np.eye(tiles.shape[1]), (ENLARGED, 1), order=3, mode="reflect", grid_mode=True
    )
    areas = np.full(len(tiles), np.nan)
    for unit in np.flatnonzero(norms):
        large = enlarge @ tiles[unit] @ enlarge.T
        peak = np.unravel_index(np.abs(large).argmax(), large.shape)
        spots, _ = ndimage.label(large / large[peak] >= LEVEL)
        areas[unit] = np.count_nonzero(spots == spots[peak]) / ENLARGED**2
    return areas
