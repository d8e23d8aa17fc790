"""Filters whose answers are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def gabor(
    side: int = 12,
    *,
    orientation: float = 30.0,
    frequency: float = 0.2,
    across: float = 2.0,
    along: float = 2.5,
    row: float | None = None,
    column: float | None = None,
    phase: float = 40.0,
) -> Array:
    """The Gabor whose stripes lie at `orientation`, as one row of weights; angles in degrees."""
    row = (side - 1) / 2 if row is None else row
    column = (side - 1) / 2 if column is None else column
    rows, columns = np.mgrid[:side, :side]
    right, up = columns - column, row - rows
    # A unit step along the stripes is (cos, sin) of their orientation; the wave goes across,
    # clockwise by 90°, which is to the right.
    angle = np.radians(orientation)
    u = right * np.sin(angle) - up * np.cos(angle)
    v = right * np.cos(angle) + up * np.sin(angle)
    envelope = np.exp(-(u**2) / (2 * across**2) - v**2 / (2 * along**2))
    wave = np.cos(2 * np.pi * frequency * u + np.radians(phase))
    return np.asarray((envelope * wave).reshape(1, -1), dtype=np.float64)


def bell(side: int, sigma: float, row: float, column: float, stretch: float = 1.0) -> Array:
    """A round bell, or one stretched along the columns, as one row of weights."""
    rows, columns = np.mgrid[:side, :side]
    square = ((rows - row) / stretch) ** 2 + (columns - column) ** 2
    return np.asarray(np.exp(-square / (2 * sigma**2)).reshape(1, -1), dtype=np.float64)


def turned(filters: Array, quarter_turns: int = 1) -> Array:
    """Each filter turned counter-clockwise."""
    side = round(filters.shape[1] ** 0.5)
    tiles = filters.reshape(-1, side, side)
    return np.rot90(tiles, quarter_turns, axes=(1, 2)).reshape(len(filters), -1)


def noise(units: int, side: int = 12, seed: int = 0) -> Array:
    """White noise."""
    return np.random.default_rng(seed).standard_normal((units, side * side))


def angle_between(left: float, right: float) -> float:
    """Of two orientations, in degrees, 0 to 90."""
    return abs((left - right + 90) % 180 - 90)
