"""The least-squares Gabor of each filter of a layer, all of them fitted at once.

    g = A · exp(−u² / 2σ_u² − v² / 2σ_v²) · cos(2π f u + φ)

u runs across the stripes, the way the wave travels, and v along them (J. Daugman, J. Opt. Soc.
Am. A 2, 1985; J. Jones and L. Palmer, J. Neurophysiol. 58, 1987). It has no offset: image patches
have a mean of zero, and a constant in the weights is then no part of what a unit looks for, but
of what the Gabor fails to explain.

With a = A cos φ and b = −A sin φ it is a · even + b · odd, linear in a and b. They are solved for
exactly, and only the other six parameters are searched: "variable projection" (G. Golub and
V. Pereyra, SIAM J. Numer. Anal. 10, 1973), with the derivatives of L. Kaufman (BIT 15, 1975).
The search starts from the best of a grid of Gabors, a matched filter that finds the peak of the
spectrum and the place of the energy together, and goes downhill from there by Levenberg's and
Marquardt's method, within bounds. It draws no random numbers.

All filters go downhill together, since `scipy.optimize.least_squares`, a filter at a time, takes
several times as long and ends in other minima of filters that no Gabor fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.errors import DaeError
from dae_cli.filters.tiles import Array, Shape, as_tiles, unit_norm

COLUMN, ROW, LOG_SIGMA_ACROSS, LOG_SIGMA_ALONG, LOG_FREQUENCY, DIRECTION = range(6)
"""Columns of the parameters: the centre in pixels (0 is the middle of the first pixel), lengths
in pixels, the carrier's frequency in cycles a pixel, and the direction in which the wave travels,
in radians, counter-clockwise from "to the right"."""
PARAMETERS = 6

SMALLEST_SIGMA = 0.75
"""Pixels. A narrower bell is one pixel and its neighbours: nothing that has stripes."""
HIGHEST_FREQUENCY = 0.5 * 2**0.5
"""Cycles a pixel: that of a checkerboard, the highest that square pixels show."""
STARTS = 6
"""Descents of each filter, from the best of the grid. More find no better fit of a filter that is
Gabor-like; of noise they find slightly better ones."""

_GRID_DIRECTIONS = 8
_GRID_CYCLES_OF_SIGMA = (0.25, 0.55)
_GRID_ELONGATIONS = (1.0, 2.0)

_RIDGE = 1e-9
"""Relative weight that keeps a and b finite where a tile shows even and odd part as one."""
_CHUNK = 128
"""Descents that are made together: their arrays stay in the cache."""
_ROUNDS = 80
_LARGEST_STEP = np.array([2.0, 2.0, 0.5, 0.5, 0.4, 0.4])
_SMALLEST_GAIN = 1e-8
_LARGEST_DAMPING = 1e6
"""Where a descent ends: no step, however short, goes downhill."""

_SPECTRUM_FREQUENCIES = np.linspace(0.0, HIGHEST_FREQUENCY, 709)
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


def fit_gabors(weights: NDArray[Any], shape: Shape | None = None) -> list[GaborFit]:
    """Fit a Gabor to each unit's weights.

    Turning, mirroring, scaling or negating a filter changes only what it should. A unit takes some
    milliseconds, in proportion to its pixels.

    Args:
        weights: (units, height · width).
        shape: height and width; a square if none is given.

    Raises:
        DaeError: not such tiles, a weight that is not finite, or a unit without weights.
    """
    tiles, norms = unit_norm(as_tiles(weights, shape))
    if not len(tiles):
        return []
    if not norms.all():
        raise DaeError(
            f"unit {int(np.argmin(norms))}: all weights are 0, expected a filter to fit a Gabor "
            "to; leave out units without weights"
        )
    shape = tiles.shape[1], tiles.shape[2]
    filters = tiles.reshape(len(tiles), -1)
    parameters = _best_parameters(filters, shape)
    fit = _Fit(parameters, filters, shape)
    gabors, even = fit.gabors, fit.even_amplitude[:, 0]
    orientation, odd = _orientation_and_odd(parameters[:, DIRECTION], fit.odd_amplitude[:, 0])
    energy, size = (gabors**2).sum(axis=1), np.abs(gabors)
    bright = (np.maximum(gabors, 0.0) ** 2).sum(axis=1) / energy
    coverage, cycles = _coverage_and_cycles(fit.waves, parameters)
    columns = {
        "explained_variance": np.clip(1.0 - fit.squared_errors, 0.0, 1.0),
        "amplitude": np.hypot(even, odd) * norms,
        "centre_row": parameters[:, ROW],
        "centre_column": parameters[:, COLUMN],
        "orientation_degrees": orientation,
        "carrier_cycles_per_pixel": np.exp(parameters[:, LOG_FREQUENCY]),
        "frequency_cycles_per_pixel": _peak_frequency(parameters, even, odd),
        "envelope_across_stripes_pixels": np.exp(parameters[:, LOG_SIGMA_ACROSS]),
        "envelope_along_stripes_pixels": np.exp(parameters[:, LOG_SIGMA_ALONG]),
        "phase_degrees": np.degrees(np.arctan2(-odd, even)),
        "weaker_sign_share": np.minimum(bright, 1.0 - bright),
        "peak_coverage": (size >= 0.5 * size.max(axis=1, keepdims=True)).mean(axis=1),
        "coverage": coverage,
        "cycles": cycles,
    }
    return [
        GaborFit(**{name: float(values[unit]) for name, values in columns.items()})
        for unit in range(len(filters))
    ]


# The equation, its best amplitudes and its derivatives.


class _Waves:
    """The even and the odd wave under the envelopes of Gabors, at every pixel of a tile."""

    def __init__(self, parameters: Array, shape: Shape) -> None:
        """Evaluate Gabors of (gabors, 6) parameters."""
        column, row, log_across, log_along, log_frequency, direction = (
            parameters[:, k, None] for k in range(PARAMETERS)
        )
        height, width = shape
        pixel = np.arange(height * width)
        right, up = pixel % width - column, row - pixel // width
        self.cosine, self.sine = np.cos(direction), np.sin(direction)  # (gabors, 1)
        self.u = right * self.cosine + up * self.sine  # (gabors, pixels), as v, even and odd
        self.v = up * self.cosine - right * self.sine
        self.inverse_square_across = np.exp(-2 * log_across)  # (gabors, 1)
        self.inverse_square_along = np.exp(-2 * log_along)
        self.angular_frequency = 2 * np.pi * np.exp(log_frequency)
        u, v = self.u, self.v
        envelope = np.exp(
            -0.5 * (u * u * self.inverse_square_across + v * v * self.inverse_square_along)
        )
        self.even = envelope * np.cos(self.angular_frequency * u)
        self.odd = envelope * np.sin(self.angular_frequency * u)


class _Fit:
    """Gabors of given parameters with the amplitudes a and b that leave the smallest errors."""

    def __init__(self, parameters: Array, filters: Array, shape: Shape) -> None:
        """Solve for the amplitudes.

        Args:
            parameters: (filters, 6).
            filters: (filters, pixels).
            shape: of a tile.
        """
        self.waves = waves = _Waves(parameters, shape)
        ee, oo = _dot(waves.even, waves.even), _dot(waves.odd, waves.odd)
        eo = _dot(waves.even, waves.odd)
        ridge = _RIDGE * (ee + oo)
        ee, oo = ee + ridge, oo + ridge
        determinant = ee * oo - eo * eo
        self._inverse = oo / determinant, -eo / determinant, ee / determinant
        self.even_amplitude, self.odd_amplitude = self._solve(filters, waves.even, waves.odd)
        # (filters, 1) each
        self.gabors = self.even_amplitude * waves.even + self.odd_amplitude * waves.odd
        self._residuals = filters - self.gabors  # (filters, pixels), as the Gabors

    @property
    def squared_errors(self) -> Array:
        """(filters,)."""
        return np.asarray((self._residuals**2).sum(axis=1), dtype=np.float64)

    def normal_equations(self) -> tuple[Array, Array]:
        """Return JᵀJ (filters, 6, 6) and Jᵀr (filters, 6) of the residuals r = filters − Gabors.

        J holds the derivatives of the Gabor by the six parameters, less what a and b take up.
        """
        waves, gabors = self.waves, self.gabors
        # The derivative by the phase, times the wave's: what moves with u beside the envelope.
        carrier = waves.angular_frequency * (
            self.odd_amplitude * waves.even - self.even_amplitude * waves.odd
        )
        by_u = carrier - waves.u * waves.inverse_square_across * gabors
        by_v = -waves.v * waves.inverse_square_along * gabors
        derivatives = np.stack(
            [
                waves.sine * by_v - waves.cosine * by_u,
                waves.sine * by_u + waves.cosine * by_v,
                waves.u**2 * waves.inverse_square_across * gabors,
                waves.v**2 * waves.inverse_square_along * gabors,
                waves.u * carrier,
                waves.v * by_u - waves.u * by_v,
            ],
            axis=1,
        )  # (filters, 6, pixels)
        even, odd = waves.even[:, None], waves.odd[:, None]
        by_even, by_odd = self._solve(derivatives, even, odd)
        derivatives -= by_even * even + by_odd * odd
        residuals = self._residuals[:, :, None]
        return derivatives @ derivatives.transpose(0, 2, 1), (derivatives @ residuals)[:, :, 0]

    def _solve(self, values: Array, even: Array, odd: Array) -> tuple[Array, Array]:
        """Return the amplitudes of the even and the odd wave that come nearest to some values."""
        ee, eo, oo = (entry.reshape(-1, *[1] * (values.ndim - 1)) for entry in self._inverse)
        by_even, by_odd = _dot(even, values), _dot(odd, values)
        return ee * by_even + eo * by_odd, eo * by_even + oo * by_odd


def _dot(left: Array, right: Array) -> Array:
    """Sum over pixels, which stay as an axis of length one."""
    return np.asarray((left * right).sum(axis=-1, keepdims=True), dtype=np.float64)


# The search for the six parameters.


def _bounds(shape: Shape) -> tuple[Array, Array]:
    """Return the least and the largest parameters, (6,) each.

    The centre lies on the tile; no envelope is wider than the tile, over which it is then flat
    (above .88 to the edge from the middle); half a cycle of the carrier fits on the tile.
    """
    (height, width), longest = shape, np.log(max(shape))
    sigma, half_cycle = np.log(SMALLEST_SIGMA), np.log(0.5 / max(shape))
    low = [-0.5, -0.5, sigma, sigma, half_cycle, -np.inf]
    high = [width - 0.5, height - 0.5, longest, longest, np.log(HIGHEST_FREQUENCY), np.inf]
    return np.array(low), np.array(high)


def _best_parameters(filters: Array, shape: Shape) -> Array:
    """Return the parameters that leave the smallest squared error, (filters, 6).

    Args:
        filters: (filters, pixels), each of norm 1.
        shape: of a tile.
    """
    starts = _starts(filters, shape)  # (filters, STARTS, 6)
    count = starts.shape[1]
    parameters, targets = starts.reshape(-1, PARAMETERS), np.repeat(filters, count, axis=0)
    errors = np.empty(len(parameters))
    for first in range(0, len(parameters), _CHUNK):
        chunk = slice(first, first + _CHUNK)
        parameters[chunk], errors[chunk] = _descend(parameters[chunk], targets[chunk], shape)
    best = errors.reshape(-1, count).argmin(axis=1)
    return np.asarray(parameters.reshape(-1, count, PARAMETERS)[np.arange(len(filters)), best])


def _grid(shape: Shape) -> Iterator[Array]:
    """For each frequency and direction, Gabors of that wave everywhere on the tile: (gabors, 6)."""
    longest = max(shape)
    rows, columns = map(_grid_centres, shape)
    frequencies = round(np.log(0.8 * longest) / np.log(1.45)) + 1
    for frequency in np.geomspace(0.7 / longest, 0.55, frequencies):
        for direction in np.arange(_GRID_DIRECTIONS) * (np.pi / _GRID_DIRECTIONS):
            sigmas = []
            for cycles in _GRID_CYCLES_OF_SIGMA:
                across = np.clip(cycles / frequency, 1.0, longest / 2)
                sigmas += [(across, np.clip(across * k, 1.0, longest)) for k in _GRID_ELONGATIONS]
            yield np.array(
                [
                    (column, row, np.log(across), np.log(along), np.log(frequency), direction)
                    for across, along in sigmas
                    for row in rows
                    for column in columns
                ]
            )


def _grid_centres(side: int) -> Array:
    """Seven or so pixels of a side, in the middle of it."""
    stride = max(1, side // 6)
    return np.arange((side - 1) % stride / 2, side, stride)


def _starts(filters: Array, shape: Shape) -> Array:
    """The best Gabor of the grid for each of the best waves: (filters, STARTS, 6)."""
    explained, parameters = [], []
    for gabors in _grid(shape):
        waves = _Waves(gabors, shape)
        even = waves.even / np.linalg.norm(waves.even, axis=1, keepdims=True)
        odd = waves.odd - (waves.odd * even).sum(axis=1, keepdims=True) * even
        odd /= np.linalg.norm(odd, axis=1, keepdims=True)
        share = (filters @ even.T) ** 2 + (filters @ odd.T) ** 2  # (filters, gabors)
        best = share.argmax(axis=1)
        explained.append(share[np.arange(len(filters)), best])
        parameters.append(gabors[best])
    order = np.argsort(-np.array(explained), axis=0, kind="stable")[:STARTS]
    chosen = np.array(parameters)[order, np.arange(len(filters))]  # (STARTS, filters, 6)
    return np.ascontiguousarray(np.clip(chosen.transpose(1, 0, 2), *_bounds(shape)))


def _descend(start: Array, filters: Array, shape: Shape) -> tuple[Array, Array]:
    """Levenberg's and Marquardt's method from each start; a descent that has ended stands still.

    A parameter at its bound whose derivative points outwards is held there.

    Returns:
        The parameters (starts, 6) and the squared errors (starts,).
    """
    low, high = _bounds(shape)
    parameters, errors = start.copy(), _Fit(start, filters, shape).squared_errors
    damping, idle = np.full(len(start), 1e-2), np.zeros(len(start), dtype=np.int64)
    going = np.arange(len(start))
    for _ in range(_ROUNDS):
        current, targets = parameters[going], filters[going]
        curvature, slope = _Fit(current, targets, shape).normal_equations()
        held = ((current <= low) & (slope < 0)) | ((current >= high) & (slope > 0))
        step = _damped_step(curvature, slope, held, damping[going])
        proposed = np.clip(current + np.clip(step, -_LARGEST_STEP, _LARGEST_STEP), low, high)
        reached = _Fit(proposed, targets, shape).squared_errors
        gain = errors[going] - reached
        better = gain > 0
        parameters[going[better]], errors[going[better]] = proposed[better], reached[better]
        damping[going] *= np.where(better, 0.2, 4.0)
        idle[going] = np.where(better, (gain < _SMALLEST_GAIN) * (idle[going] + 1), idle[going])
        going = going[(idle[going] < 2) & (damping[going] < _LARGEST_DAMPING)]
        if not len(going):
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


# What is said of a fitted Gabor.


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
        np.exp(-2.0 * (np.pi * sigma * (_SPECTRUM_FREQUENCIES + sign * carrier)) ** 2)
        for sign in (-1, 1)
    )
    power = (even[:, None] * (near + far)) ** 2 + (odd[:, None] * (near - far)) ** 2
    return np.asarray(_SPECTRUM_FREQUENCIES[power.argmax(axis=1)], dtype=np.float64)


def _coverage_and_cycles(waves: _Waves, parameters: Array) -> tuple[Array, Array]:
    high = np.hypot(waves.even, waves.odd) >= 0.5  # (filters, pixels)
    last = np.where(high, waves.u, -np.inf).max(axis=1)
    first = np.where(high, waves.u, np.inf).min(axis=1)
    length = np.where(high.any(axis=1), last - first, 0.0)
    return high.mean(axis=1), length * np.exp(parameters[:, LOG_FREQUENCY])
