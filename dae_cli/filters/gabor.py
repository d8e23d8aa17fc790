"""Least-squares fits of Gabor functions to all filters of a layer.

    g = A · exp(−u² / 2σ_u² − v² / 2σ_v²) · cos(2π f u + φ)

The coordinate u runs across the stripes, in the direction of the wave, and v along them
(J. Daugman, J. Opt. Soc. Am. A 2, 1985; J. Jones and L. Palmer, J. Neurophysiol. 58, 1987). There
is no offset: image patches have zero mean, so a unit does not respond to a constant in its weights,
and such a constant counts as unexplained.

With a = A cos φ and b = −A sin φ, the Gabor is a · even + b · odd, which is linear in a and b.
These are solved for exactly, and only the other six parameters are searched: variable projection
(G. Golub and V. Pereyra, SIAM J. Numer. Anal. 10, 1973) with the derivatives of L. Kaufman (BIT
15, 1975). The search starts from the best Gabors of a grid, which locate the peak of the spectrum
and the position of the energy together, and continues with the Levenberg–Marquardt method within
bounds. It uses no random numbers.

All filters are fitted together. `scipy.optimize.least_squares`, which fits one filter at a time,
is several times slower and finds other minima for filters that no Gabor fits.
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
"""Columns of the parameters: the centre in pixels (0 is the middle of the first pixel), the
logarithms of the envelope's lengths in pixels and of the carrier's frequency in cycles per pixel,
and the direction of the wave in radians, counter-clockwise from the right."""
PARAMETERS = 6

SMALLEST_SIGMA = 0.75
"""Smallest σ in pixels. A narrower bell covers one pixel and its neighbours and has no stripes."""
HIGHEST_FREQUENCY = 0.5 * 2**0.5
"""Highest frequency of square pixels in cycles per pixel, that of a checkerboard."""
STARTS = 6
"""Number of descents per filter, from the best Gabors of the grid. More descents do not improve the
fit of Gabor-like filters; for noise they improve it slightly."""

_GRID_DIRECTIONS = 8
_GRID_CYCLES_OF_SIGMA = (0.25, 0.55)
_GRID_ELONGATIONS = (1.0, 2.0)

_RIDGE = 1e-9
"""Relative weight that keeps a and b finite if the even and odd parts coincide on the tile."""
_CHUNK = 128
"""Number of descents computed together, so that their arrays fit in the cache."""
_ROUNDS = 80
_LARGEST_STEP = np.array([2.0, 2.0, 0.5, 0.5, 0.4, 0.4])
_SMALLEST_GAIN = 1e-8
_LARGEST_DAMPING = 1e6
"""A descent ends at this damping, when even short steps do not reduce the error."""

_SPECTRUM_FREQUENCIES = np.linspace(0.0, HIGHEST_FREQUENCY, 709)
"""Frequencies, 0.001 cycles per pixel apart, at which a fitted Gabor's spectrum is evaluated."""


@dataclass(frozen=True, slots=True)
class GaborFit:
    """The Gabor g with the smallest squared error for one filter w."""

    explained_variance: float
    """1 − Σ (w − g)² / Σ w² over all pixels of the tile, from 0 to 1. The mean is not subtracted,
    because the Gabor has no offset."""
    amplitude: float
    """Amplitude A > 0, in units of the weights."""
    centre_row: float
    """Pixels downwards from the middle of the top row."""
    centre_column: float
    """Pixels to the right from the middle of the left column."""
    orientation_degrees: float
    """Orientation of the stripes in [0, 180): 0 is horizontal, 45 rises to the right."""
    carrier_cycles_per_pixel: float
    """Carrier frequency f. It is poorly determined if the Gabor has less than a pair of lobes."""
    frequency_cycles_per_pixel: float
    """Peak frequency of the fitted Gabor's spectrum, which the unit prefers. It is f if several
    cycles fit under the envelope and 0 for a blob; unlike f, it is always well determined."""
    envelope_across_stripes_pixels: float
    """Standard deviation σ_u of the envelope (of the weights, not of their squares)."""
    envelope_along_stripes_pixels: float
    """Standard deviation σ_v of the envelope."""
    phase_degrees: float
    """Phase φ in (−180, 180]: 0 for a bright stripe in the middle, 180 for a dark one, ±90 for an
    edge. The wave runs to the right, or downwards if the stripes are horizontal."""
    weaker_sign_share: float
    """Share of the sign with less energy in the fitted Gabor's energy Σ g² on the tile: 0 for a
    blob, at most 0.5, where bright and dark parts are equal."""
    peak_coverage: float
    """Share of the tile's pixels where |g| is at least half of its maximum."""
    coverage: float
    """Share of the tile's pixels where the envelope is at least half of its height."""
    cycles: float
    """Number of cycles of the carrier across these pixels."""


def fit_gabors(weights: NDArray[Any], shape: Shape | None = None) -> list[GaborFit]:
    """Fit a Gabor to each unit's weights.

    Rotating, mirroring, scaling or negating a filter changes only the corresponding parameters. A
    unit takes a few milliseconds, in proportion to its number of pixels.

    Args:
        weights: (units, height · width).
        shape: height and width of a tile; square by default.

    Raises:
        DaeError: the weights do not have this shape, one is not finite, or all weights of a unit
            are 0.
    """
    tiles, norms = unit_norm(as_tiles(weights, shape))
    if not len(tiles):
        return []
    if not norms.all():
        raise DaeError(
            f"unit {int(np.argmin(norms))}: all weights are 0, so no Gabor can be fitted; "
            "remove such units"
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


# The Gabor function, its best amplitudes and its derivatives


class _Waves:
    """Even and odd waves times the envelope of each Gabor, at every pixel of a tile."""

    def __init__(self, parameters: Array, shape: Shape) -> None:
        """Evaluate Gabors with the given parameters (gabors, 6)."""
        column, row, log_across, log_along, log_frequency, direction = (
            parameters[:, k, None] for k in range(PARAMETERS)
        )
        height, width = shape
        pixel = np.arange(height * width)
        right, up = pixel % width - column, row - pixel // width
        self.cosine, self.sine = np.cos(direction), np.sin(direction)  # (gabors, 1)
        self.u = right * self.cosine + up * self.sine  # (gabors, pixels), like v, even and odd
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
    """Gabors with given parameters and the amplitudes a and b of least squares."""

    def __init__(self, parameters: Array, filters: Array, shape: Shape) -> None:
        """Solve for the amplitudes.

        Args:
            parameters: (filters, 6).
            filters: (filters, pixels).
            shape: height and width of a tile.
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
        self._residuals = filters - self.gabors  # (filters, pixels), like the Gabors

    @property
    def squared_errors(self) -> Array:
        """Squared error of each filter, (filters,)."""
        return np.asarray((self._residuals**2).sum(axis=1), dtype=np.float64)

    def normal_equations(self) -> tuple[Array, Array]:
        """Return JᵀJ (filters, 6, 6) and Jᵀr (filters, 6) for the residuals r = filters − Gabors.

        J contains the derivatives of the Gabor with respect to the six parameters, minus their
        projection onto the even and odd waves.
        """
        waves, gabors = self.waves, self.gabors
        # Derivative of the carrier with respect to u; the envelope's is added below.
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
        """Return the least-squares amplitudes of the even and the odd wave for `values`."""
        ee, eo, oo = (entry.reshape(-1, *[1] * (values.ndim - 1)) for entry in self._inverse)
        by_even, by_odd = _dot(even, values), _dot(odd, values)
        return ee * by_even + eo * by_odd, eo * by_even + oo * by_odd


def _dot(left: Array, right: Array) -> Array:
    """Sum left · right over the pixels; keeps that axis with length 1."""
    return np.asarray((left * right).sum(axis=-1, keepdims=True), dtype=np.float64)


# The search for the six parameters


def _bounds(shape: Shape) -> tuple[Array, Array]:
    """Return the lower and upper bounds of the parameters, (6,) each.

    The centre lies on the tile. σ is at most the tile's side; a centred envelope of that width is
    almost flat (above 0.88 on the whole side). The carrier has at least half a cycle on the tile.
    """
    (height, width), longest = shape, np.log(max(shape))
    sigma, half_cycle = np.log(SMALLEST_SIGMA), np.log(0.5 / max(shape))
    low = [-0.5, -0.5, sigma, sigma, half_cycle, -np.inf]
    high = [width - 0.5, height - 0.5, longest, longest, np.log(HIGHEST_FREQUENCY), np.inf]
    return np.array(low), np.array(high)


def _best_parameters(filters: Array, shape: Shape) -> Array:
    """Return the parameters with the smallest squared error, (filters, 6).

    Args:
        filters: (filters, pixels), each with norm 1.
        shape: height and width of a tile.
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
    """Yield Gabors (gabors, 6) all over the tile for each frequency and direction."""
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
    """Return about seven evenly spaced positions on a side, symmetric about its middle."""
    stride = max(1, side // 6)
    return np.arange((side - 1) % stride / 2, side, stride)


def _starts(filters: Array, shape: Shape) -> Array:
    """Return the grid's best Gabor for each of the best waves, (filters, STARTS, 6)."""
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
    """Run the Levenberg–Marquardt method from each start; descents that have ended are skipped.

    A parameter at its bound stays fixed while its derivative points outwards.

    Returns:
        Parameters (starts, 6) and squared errors (starts,).
    """
    low, high = _bounds(shape)
    parameters, errors = start.copy(), _Fit(start, filters, shape).squared_errors
    damping, idle = np.full(len(start), 1e-2), np.zeros(len(start), dtype=np.int64)
    active = np.arange(len(start))
    for _ in range(_ROUNDS):
        current, targets = parameters[active], filters[active]
        curvature, slope = _Fit(current, targets, shape).normal_equations()
        fixed = ((current <= low) & (slope < 0)) | ((current >= high) & (slope > 0))
        step = _damped_step(curvature, slope, fixed, damping[active])
        proposed = np.clip(current + np.clip(step, -_LARGEST_STEP, _LARGEST_STEP), low, high)
        reached = _Fit(proposed, targets, shape).squared_errors
        gain = errors[active] - reached
        better = gain > 0
        parameters[active[better]], errors[active[better]] = proposed[better], reached[better]
        damping[active] *= np.where(better, 0.2, 4.0)
        idle[active] = np.where(better, (gain < _SMALLEST_GAIN) * (idle[active] + 1), idle[active])
        active = active[(idle[active] < 2) & (damping[active] < _LARGEST_DAMPING)]
        if not len(active):
            break
    return parameters, errors


def _damped_step(curvature: Array, slope: Array, fixed: NDArray[np.bool_], damping: Array) -> Array:
    """Solve (JᵀJ + λ · diag JᵀJ) step = Jᵀr for the parameters that are not fixed."""
    free = ~fixed
    matrix = curvature * (free[:, :, None] & free[:, None, :])
    k = np.arange(PARAMETERS)
    scale = matrix[:, k, k]
    scale = np.maximum(scale, 1e-9 * scale.max(axis=1, keepdims=True) + 1e-15)
    matrix[:, k, k] += np.where(fixed, 1.0, damping[:, None] * scale)
    right = np.where(fixed, 0.0, slope)[:, :, None]
    return np.asarray(np.linalg.solve(matrix, right)[:, :, 0], dtype=np.float64)


# Measures of a fitted Gabor


def _orientation_and_odd(direction: Array, odd: Array) -> tuple[Array, Array]:
    """Return orientations in [0°, 180°) and odd amplitudes of waves that run to the right.

    Reversing the direction of a wave only flips the sign of its odd part.
    """
    half_turns = np.floor(direction / np.pi + 0.5)
    orientation = np.degrees(direction - half_turns * np.pi) + 90.0
    orientation = np.where(orientation >= 180.0, 0.0, np.maximum(orientation, 0.0))
    return orientation, np.where(half_turns % 2 == 0, odd, -odd)


def _peak_frequency(parameters: Array, even: Array, odd: Array) -> Array:
    """Return the frequency at which the spectrum |a G₊ + b G₋| peaks.

    G± is the sum or difference of the Gaussians at f and −f: the spectrum of the even or odd wave.
    """
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
