"""Does a filter prefer one orientation? From its power spectrum, without any fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.features.tiles import as_tiles, unit_norm

Array = NDArray[np.float64]


def orientation_selectivity(weights: NDArray[Any]) -> tuple[Array, Array]:
    """Return how selective each unit is, and for which orientation.

    |Σ P e^{2iθ}| / Σ P over the spectrum P of the tile with zeros around it, θ the direction of
    each frequency, frequency 0 left out: 0 where all directions are alike, 1 for a single one (the
    length of the mean vector; N. Swindale, Biol. Cybern. 78, 1998). Doubling the angle makes
    opposite directions one. White noise of 12 × 12 pixels has about .1. The tile is padded to
    2 · side + 1 pixels, so that the measure does not depend on where on the tile a shape lies, and
    no frequency is its own opposite.

    Args:
        weights: (units, side · side).

    Returns:
        The selectivities, (units,), from 0 to 1, and the stripes' preferred orientations in
        degrees, (units,), from 0 up to 180: 0 lies, 45 rises to the right, 90 stands; it says
        little where the selectivity is near 0. NaN for units without weights.

    Raises:
        DaeError: not square tiles, or a weight that is not finite.
    """
    tiles, norms = unit_norm(as_tiles(weights))
    size = 2 * tiles.shape[1] + 1
    power = np.abs(np.fft.fft2(tiles, (size, size))) ** 2
    power[:, 0, 0] = 0.0
    frequency = np.fft.fftfreq(size)
    right, up = frequency[None, :], -frequency[:, None]
    direction = np.arctan2(up, right)  # (size, size)
    total = np.where(norms > 0, power.sum(axis=(1, 2)), 1.0)
    mean = (power * np.exp(2j * direction)).sum(axis=(1, 2)) / total
    # Stripes lie across the direction in which their wave travels.
    orientation = np.mod(np.degrees(np.angle(mean)) / 2 + 90.0, 180.0)
    orientation = np.where(orientation >= 180.0, 0.0, orientation)
    selectivity = np.clip(np.abs(mean), 0.0, 1.0)
    return np.where(norms > 0, selectivity, np.nan), np.where(norms > 0, orientation, np.nan)
