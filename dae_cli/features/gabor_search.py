"""The search for the six parameters: from a grid of Gabors, then downhill, within bounds.

Deterministic: no random numbers, and the same grid for every filter. The grid is a matched filter,
so that it finds the peak of the spectrum and the place of the energy together.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dae_cli.features.gabor_equation import (
    PARAMETERS,
    normal_equations,
    squared_error,
    waves,
)

Array = NDArray[np.float64]

SMALLEST_SIGMA = 0.75
"""Pixels. A narrower bell is one pixel and its neighbours: nothing that has stripes."""
HIGHEST_FREQUENCY = 0.5 * 2**0.5
"""Cycles a pixel: that of a checkerboard, the highest that square pixels show."""
STARTS = 6
"""Downhill runs a filter, from the best of the grid. More find no better fit of a filter that is
Gabor-like; of noise they find slightly better ones."""

_DIRECTIONS = 8
_CYCLES_OF_SIGMA = (0.25, 0.55)
_ELONGATIONS = (1.0, 2.0)
_CHUNK = 128
"""Runs that go downhill together: their arrays stay in the cache."""
_ROUNDS = 80
_LARGEST_STEP = np.array([2.0, 2.0, 0.5, 0.5, 0.4, 0.4])
_SMALLEST_GAIN = 1e-8
_STUCK = 1e6
"""Damping at which a run ends: no step, however short, goes downhill."""


def bounds(side: int) -> tuple[Array, Array]:
    """Return the least and the largest parameters, (6,) each.

    The centre lies on the tile; no envelope is wider than the tile, over which it is then flat
    (above .88 to the edge from the middle); half a cycle of the carrier fits on the tile.
    """
    low = [-0.5, -0.5, np.log(SMALLEST_SIGMA), np.log(SMALLEST_SIGMA), np.log(0.5 / side), -np.inf]
    high = [side - 0.5, side - 0.5, np.log(side), np.log(side), np.log(HIGHEST_FREQUENCY), np.inf]
    return np.array(low), np.array(high)


def best_parameters(filters: Array, side: int) -> Array:
    """Return the parameters that leave the smallest squared error, (filters, 6).

    Args:
        filters: (filters, side · side), each of norm 1.
        side: pixels a side.
    """
    starts = _starts(filters, side)  # (filters, STARTS, 6)
    count = starts.shape[1]
    runs, targets = starts.reshape(-1, PARAMETERS), np.repeat(filters, count, axis=0)
    errors = np.empty(len(runs))
    for first in range(0, len(runs), _CHUNK):
        part = slice(first, first + _CHUNK)
        runs[part], errors[part] = _downhill(runs[part], targets[part], side)
    best = errors.reshape(-1, count).argmin(axis=1)
    return np.asarray(runs.reshape(-1, count, PARAMETERS)[np.arange(len(filters)), best])


def _grid(side: int) -> Iterator[Array]:
    """For each frequency and direction, Gabors of that wave everywhere on the tile: (gabors, 6)."""
    stride = max(1, side // 6)
    centres = np.arange((side - 1) % stride / 2, side, stride)
    for frequency in np.geomspace(0.7 / side, 0.55, round(np.log(0.8 * side) / np.log(1.45)) + 1):
        for direction in np.arange(_DIRECTIONS) * (np.pi / _DIRECTIONS):
            shapes = []
            for cycles in _CYCLES_OF_SIGMA:
                across = np.clip(cycles / frequency, 1.0, side / 2)
                shapes += [(across, np.clip(across * k, 1.0, side)) for k in _ELONGATIONS]
            yield np.array(
                [
                    (column, row, np.log(across), np.log(along), np.log(frequency), direction)
                    for across, along in shapes
                    for row in centres
                    for column in centres
                ]
            )


def _starts(filters: Array, side: int) -> Array:
    """The best Gabor of the grid for each of the best waves: (filters, STARTS, 6)."""
    explained, parameters = [], []
    for gabors in _grid(side):
        wave = waves(gabors, side)
        even = wave.even / np.linalg.norm(wave.even, axis=1, keepdims=True)
        odd = wave.odd - (wave.odd * even).sum(axis=1, keepdims=True) * even
        odd /= np.linalg.norm(odd, axis=1, keepdims=True)
        share = (filters @ even.T) ** 2 + (filters @ odd.T) ** 2  # (filters, gabors)
        best = share.argmax(axis=1)
        explained.append(share[np.arange(len(filters)), best])
        parameters.append(gabors[best])
    order = np.argsort(-np.array(explained), axis=0, kind="stable")[:STARTS]
    chosen = np.array(parameters)[order, np.arange(len(filters))]  # (STARTS, filters, 6)
    return np.ascontiguousarray(np.clip(chosen.transpose(1, 0, 2), *bounds(side)))


def _downhill(start: Array, filters: Array, side: int) -> tuple[Array, Array]:
    """Levenberg's and Marquardt's method for each run; a run that has ended takes no more part.

    A parameter at its bound whose derivative points outwards is held there.

    Returns:
        The parameters (runs, 6) and the squared errors (runs,).
    """
    low, high = bounds(side)
    parameters, errors = start.copy(), squared_error(start, filters, side)
    damping, idle = np.full(len(start), 1e-2), np.zeros(len(start), dtype=np.int64)
    running = np.arange(len(start))
    for _ in range(_ROUNDS):
        here, targets = parameters[running], filters[running]
        curvature, slope = normal_equations(here, targets, side)
        held = ((here <= low) & (slope < 0)) | ((here >= high) & (slope > 0))
        step = _damped_step(curvature, slope, held, damping[running])
        there = np.clip(here + np.clip(step, -_LARGEST_STEP, _LARGEST_STEP), low, high)
        reached = squared_error(there, targets, side)
        gain = errors[running] - reached
        better = gain > 0
        parameters[running[better]], errors[running[better]] = there[better], reached[better]
        damping[running] *= np.where(better, 0.2, 4.0)
        idle[running] = np.where(
            better, (gain < _SMALLEST_GAIN) * (idle[running] + 1), idle[running]
        )
        running = running[(idle[running] < 2) & (damping[running] < _STUCK)]
        if not len(running):
            break
    return parameters, errors


def _damped_step(curvature: Array, slope: Array, held: NDArray[np.bool_], damping: Array) -> Array:
    """Solve (JᵀJ + λ · diag JᵀJ) step = Jᵀr for the parameters that are not held."""
    free = ~held
    matrix = curvature * (free[:, :, None] & free[:, None, :])
    k = np.arange(PARAMETERS)
    scale = matrix[:, k, k]
    scale = np.maximum(scale, 1e-9 * scale.max(axis=1, keepdims=True) + 1e-15)
    matrix[:, k, k] += np.where(held, 1.0, damping[:, None] * scale)
    right = np.where(held, 0.0, slope)[:, :, None]
    return np.asarray(np.linalg.solve(matrix, right)[:, :, 0], dtype=np.float64)
