"""The two-dimensional Gabor, its best amplitudes and its derivatives, for many filters at once.

    g = A · exp(−u² / 2σ_u² − v² / 2σ_v²) · cos(2π f u + φ)

u runs across the stripes, the way the wave travels, and v along them (J. Daugman, J. Opt. Soc.
Am. A 2, 1985; J. Jones and L. Palmer, J. Neurophysiol. 58, 1987). It has no offset: image patches
have a mean of zero, and a constant in the weights is then no part of what a unit looks for, but
of what the Gabor fails to explain.

With a = A cos φ and b = −A sin φ it is a · even + b · odd, linear in a and b. They are solved for
exactly, and only the other six parameters are searched: "variable projection" (G. Golub and
V. Pereyra, SIAM J. Numer. Anal. 10, 1973), with the derivatives of L. Kaufman (BIT 15, 1975).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

COLUMN, ROW, LOG_SIGMA_ACROSS, LOG_SIGMA_ALONG, LOG_FREQUENCY, DIRECTION = range(6)
"""Columns of the parameters: the centre in pixels (0 is the middle of the first pixel), lengths
in pixels, the carrier's frequency in cycles a pixel, and the direction in which the wave travels,
in radians, counter-clockwise from "to the right"."""

PARAMETERS = 6
_RIDGE = 1e-9
"""Relative weight that keeps a and b finite where a tile shows even and odd part as one."""


@dataclass(frozen=True)
class Waves:
    """What the equation needs at every pixel: (filters, 1) or (filters, pixels) each."""

    u: Array
    v: Array
    inverse_square_across: Array
    inverse_square_along: Array
    angular_frequency: Array
    cosine: Array
    """Of the direction; (filters, 1)."""
    sine: Array
    even: Array
    odd: Array


def waves(parameters: Array, side: int) -> Waves:
    """Evaluate the even and the odd wave under their envelope on the pixels of a tile.

    Args:
        parameters: (filters, 6).
        side: pixels a side.
    """
    column, row, log_across, log_along, log_frequency, direction = (
        parameters[:, k, None] for k in range(PARAMETERS)
    )
    pixel = np.arange(side * side)
    right, up = pixel % side - column, row - pixel // side
    cosine, sine = np.cos(direction), np.sin(direction)
    u, v = right * cosine + up * sine, up * cosine - right * sine
    across, along = np.exp(-2 * log_across), np.exp(-2 * log_along)
    envelope = np.exp(-0.5 * (u * u * across + v * v * along))
    omega = 2 * np.pi * np.exp(log_frequency)
    even, odd = envelope * np.cos(omega * u), envelope * np.sin(omega * u)
    return Waves(u, v, across, along, omega, cosine, sine, even, odd)


@dataclass(frozen=True)
class Amplitudes:
    """The least-squares a and b of each filter, and the inverse of the 2 × 2 normal matrix."""

    even: Array
    """a; (filters, 1)."""
    odd: Array
    """b; (filters, 1)."""
    inverse: tuple[Array, Array, Array]
    """Entries ee, eo, oo; (filters, 1) each."""


def amplitudes(wave: Waves, filters: Array) -> Amplitudes:
    """Solve for a and b.

    Args:
        wave: of each filter.
        filters: (filters, pixels).
    """
    ee, oo, eo = _dot(wave.even, wave.even), _dot(wave.odd, wave.odd), _dot(wave.even, wave.odd)
    ridge = _RIDGE * (ee + oo)
    ee, oo = ee + ridge, oo + ridge
    determinant = ee * oo - eo * eo
    inverse = (oo / determinant, -eo / determinant, ee / determinant)
    even, odd = _times(inverse, _dot(wave.even, filters), _dot(wave.odd, filters))
    return Amplitudes(even, odd, inverse)


def fitted(parameters: Array, filters: Array, side: int) -> tuple[Array, Amplitudes]:
    """Return the Gabors with the best amplitudes, (filters, pixels), and these amplitudes."""
    wave = waves(parameters, side)
    best = amplitudes(wave, filters)
    return best.even * wave.even + best.odd * wave.odd, best


def squared_error(parameters: Array, filters: Array, side: int) -> Array:
    """Return the sum of squares that the best amplitudes leave; (filters,)."""
    gabor, _ = fitted(parameters, filters, side)
    return np.asarray(((filters - gabor) ** 2).sum(axis=1), dtype=np.float64)


def normal_equations(parameters: Array, filters: Array, side: int) -> tuple[Array, Array]:
    """Return JᵀJ (filters, 6, 6) and Jᵀr (filters, 6) of the residual r = filter − Gabor.

    J holds the derivatives of the Gabor by the six parameters, less what a and b take up.
    """
    wave = waves(parameters, side)
    best = amplitudes(wave, filters)
    gabor = best.even * wave.even + best.odd * wave.odd
    # The derivative by the phase, times the wave's: what moves with u beside the envelope.
    carrier = wave.angular_frequency * (best.odd * wave.even - best.even * wave.odd)
    by_u = carrier - wave.u * wave.inverse_square_across * gabor
    by_v = -wave.v * wave.inverse_square_along * gabor
    derivatives = np.stack(
        [
            wave.sine * by_v - wave.cosine * by_u,
            wave.sine * by_u + wave.cosine * by_v,
            wave.u**2 * wave.inverse_square_across * gabor,
            wave.v**2 * wave.inverse_square_along * gabor,
            wave.u * carrier,
            wave.v * by_u - wave.u * by_v,
        ],
        axis=1,
    )  # (filters, 6, pixels)
    even, odd = wave.even[:, None], wave.odd[:, None]
    inverse = tuple(entry[:, None] for entry in best.inverse)
    taken_even, taken_odd = _times(
        (inverse[0], inverse[1], inverse[2]), _dot(derivatives, even), _dot(derivatives, odd)
    )
    derivatives -= taken_even * even + taken_odd * odd
    residual = (filters - gabor)[:, :, None]
    return derivatives @ derivatives.transpose(0, 2, 1), (derivatives @ residual)[:, :, 0]


def _dot(left: Array, right: Array) -> Array:
    """Sum over pixels, which stay as an axis of length one."""
    return np.asarray((left * right).sum(axis=-1, keepdims=True), dtype=np.float64)


def _times(inverse: tuple[Array, Array, Array], even: Array, odd: Array) -> tuple[Array, Array]:
    ee, eo, oo = inverse
    return ee * even + eo * odd, eo * even + oo * odd
