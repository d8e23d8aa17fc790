"""The least-squares Gabor of a filter: how well it fits, and what the fitted one looks like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.errors import DaeError
from dae_cli.features.gabor_equation import (
    COLUMN,
    DIRECTION,
    LOG_FREQUENCY,
    LOG_SIGMA_ACROSS,
    LOG_SIGMA_ALONG,
    ROW,
    fitted,
    waves,
)
from dae_cli.features.gabor_search import HIGHEST_FREQUENCY, best_parameters
from dae_cli.features.tiles import as_tiles, unit_norm

Array = NDArray[np.float64]

_FREQUENCIES = np.linspace(0.0, HIGHEST_FREQUENCY, 709)
"""Cycles a pixel, in steps of .001, where the spectrum of a fitted Gabor is looked at."""


@dataclass(frozen=True, slots=True)
class GaborFit:
    """The Gabor that leaves the smallest squared error of one filter w."""

    explained_variance: float
    """1 − Σ (w − g)² / Σ w², over all pixels of the tile, from 0 to 1; no mean is taken off, since
    the Gabor has no offset."""
    amplitude: float
    """A, in units of the weights; above 0."""
    centre_row: float
    """Pixels from the middle of the top row, downwards."""
    centre_column: float
    """Pixels from the middle of the left column."""
    orientation_degrees: float
    """Of the stripes, from 0 up to 180: 0 lies, 45 rises to the right, 90 stands."""
    carrier_cycles_per_pixel: float
    """f of the equation. A Gabor of hardly one lobe pair says little about it."""
    frequency_cycles_per_pixel: float
    """Where the spectrum of the fitted Gabor peaks: the frequency that the unit prefers. It is f
    where some cycles fit under the envelope, 0 for a blob, and unlike f always well determined."""
    envelope_across_stripes_pixels: float
    """σ_u: standard deviation of the bell, as measured in weights, not in their squares."""
    envelope_along_stripes_pixels: float
    """σ_v."""
    phase_degrees: float
    """φ, above −180 up to 180: 0 for a bright stripe in the middle, 180 for a dark one, ±90 for
    an edge. The wave is followed to the right, or downwards where the stripes lie."""
    weaker_sign_share: float
    """Of the fitted Gabor's energy Σ g² on the tile, the share of the sign that has less: 0 for a
    blob, up to .5 where bright and dark weigh the same."""
    peak_coverage: float
    """Share of the tile's pixels where the fitted Gabor itself is at least half of its peak."""
    coverage: float
    """Share of the tile's pixels where the envelope is at least half of its height."""
    cycles: float
    """Cycles of the carrier from end to end of these pixels."""


def fit_gabors(weights: NDArray[Any]) -> list[GaborFit]:
    """Fit a Gabor to each unit's weights.

    Turning, mirroring, scaling or negating a filter changes only what it should. 2 to 5 ms a unit
    of 12 × 12 pixels, about five times that for 28 × 28.

    Args:
        weights: (units, side · side).

    Raises:
        DaeError: not square tiles, a weight that is not finite, or a unit without weights.
    """
    tiles, norms = unit_norm(as_tiles(weights))
    if not len(tiles):
        return []
    if not norms.all():
        raise DaeError(
            f"unit {int(np.argmin(norms))}: all weights are 0, expected a filter to fit a Gabor "
            "to; leave out units without weights"
        )
    side = tiles.shape[1]
    filters = tiles.reshape(len(tiles), -1)
    parameters = best_parameters(filters, side)
    gabors, best = fitted(parameters, filters, side)
    orientation, odd = _orientation_and_odd(parameters[:, DIRECTION], best.odd[:, 0])
    even = best.even[:, 0]
    energy, size = (gabors**2).sum(axis=1), np.abs(gabors)
    bright = (np.maximum(gabors, 0.0) ** 2).sum(axis=1) / energy
    coverage, cycles = _coverage_and_cycles(parameters, side)
    columns = (
        np.clip(1.0 - ((filters - gabors) ** 2).sum(axis=1), 0.0, 1.0),
        np.hypot(even, odd) * norms,
        parameters[:, ROW],
        parameters[:, COLUMN],
        orientation,
        np.exp(parameters[:, LOG_FREQUENCY]),
        _peak_frequency(parameters, even, odd),
        np.exp(parameters[:, LOG_SIGMA_ACROSS]),
        np.exp(parameters[:, LOG_SIGMA_ALONG]),
        np.degrees(np.arctan2(-odd, even)),
        np.minimum(bright, 1.0 - bright),
        (size >= 0.5 * size.max(axis=1, keepdims=True)).mean(axis=1),
        coverage,
        cycles,
    )
    return [GaborFit(*(float(value) for value in row)) for row in zip(*columns, strict=True)]


def _orientation_and_odd(direction: Array, odd: Array) -> tuple[Array, Array]:
    """Let the wave travel within ±90° of "to the right", so that its stripes lie at 0° to 180°.

    A wave that travels the other way is the same with the sign of its odd part turned.
    """
    half_turns = np.floor(direction / np.pi + 0.5)
    orientation = np.degrees(direction - half_turns * np.pi) + 90.0
    orientation = np.where(orientation >= 180.0, 0.0, np.maximum(orientation, 0.0))
    return orientation, np.where(half_turns % 2 == 0, odd, -odd)


def _peak_frequency(parameters: Array, even: Array, odd: Array) -> Array:
    """Where |a G₊ + b G₋| peaks, G± = the bells at f and −f of the even and the odd wave."""
    sigma = np.exp(parameters[:, LOG_SIGMA_ACROSS, None])
    carrier = np.exp(parameters[:, LOG_FREQUENCY, None])
    near, far = (
        np.exp(-2.0 * (np.pi * sigma * (_FREQUENCIES + sign * carrier)) ** 2) for sign in (-1, 1)
    )
    power = (even[:, None] * (near + far)) ** 2 + (odd[:, None] * (near - far)) ** 2
    return np.asarray(_FREQUENCIES[power.argmax(axis=1)], dtype=np.float64)


def _coverage_and_cycles(parameters: Array, side: int) -> tuple[Array, Array]:
    wave = waves(parameters, side)
    high = np.hypot(wave.even, wave.odd) >= 0.5  # (filters, pixels)
    last = np.where(high, wave.u, -np.inf).max(axis=1)
    first = np.where(high, wave.u, np.inf).min(axis=1)
    length = np.where(high.any(axis=1), last - first, 0.0)
    return high.mean(axis=1), length * np.exp(parameters[:, LOG_FREQUENCY])
