"""Turned digits, made as the authors made theirs.

The rule was found from the genuine rows of rot and rot-bg-img. A pixel of the turned image looks
back at the place in the digit that it came from, about the middle of the image, (13.5, 13.5), and
takes the mean of all pixels of the digit, weighted by a Gaussian of their distance to that place
with a standard deviation of .3 pixels. The rows of rot-bg-img come out so to their eighth digit,
those of rot to their sixth decimal (``rot_bg_img.py``, ``rot.py``).

Of the mean only the 4 × 4 nearest pixels are taken here; the others weigh less than 1e-9 together.
The numbers are the same on any machine: only + − · / and square roots, one array at a time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.generators.words import Integers

Floats = NDArray[np.float64]

SIDE = 28
N_PIXELS = SIDE * SIDE
MIDDLE = 13.5
VARIANCE = 0.09  # .3 squared
TAPS = 4
OUTER = 1.4945338524781451e-05
"""exp(−1 / VARIANCE): how little the outer two of four pixels weigh at equal distances."""

TAYLOR = tuple(1 / math.factorial(k) for k in range(14))
LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
"""Natural logarithm of 2 in two parts; the first has zeros at its end."""


def rotated(
    images: NDArray[np.uint8], across: Integers | Floats, down: Integers | Floats
) -> Floats:
    """Turn images (n, 784) by the angles of the directions (across, down), (n,) each.

    Returns float64 (n, 784) in the unit of the images, 0 … 255.
    """
    length = np.sqrt(np.asarray(across**2 + down**2, dtype=np.float64))
    cosine, sine = (across / length)[:, None], (down / length)[:, None]
    y, x = (axis.ravel() - MIDDLE for axis in np.mgrid[0:SIDE, 0:SIDE])
    row = cosine * y - sine * x + MIDDLE
    column = sine * y + cosine * x + MIDDLE
    top, left = _first_tap(row), _first_tap(column)
    first = (top * SIDE + left).astype(np.int64) + np.arange(len(images))[:, None] * N_PIXELS
    inked = _has_ink(images).take(first)  # most places are dark: they are left out
    turned = np.zeros(first.shape)
    turned[inked] = _weighted_mean(
        images.astype(np.float64).ravel(),
        first[inked],
        _weights((row - top)[inked]),
        _weights((column - left)[inked]),
    )
    return turned


def _first_tap(place: Floats) -> Floats:
    """The first of the four lines inside the image that are nearest to each place."""
    return np.asarray(np.clip(np.floor(place) - 1, 0, SIDE - TAPS))


def _has_ink(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether any of the 4 × 4 pixels right of and below each pixel, itself included, is not 0."""
    ink = images.reshape(-1, SIDE, SIDE) > 0
    for axis in (1, 2):
        ink = ink | np.roll(ink, -1, axis)
        ink = ink | np.roll(ink, -2, axis)
    return np.asarray(ink)


def _weights(place: Floats) -> list[Floats]:
    """Gaussian weights of the four lines 0 … 3 for each place, but for a common factor.

    With d the distance from the middle of the four and p = exp(d / VARIANCE), they are as
    OUTER : p : p² : OUTER · p³, since the square of d cancels.
    """
    p = exponential((place - (TAPS - 1) / 2) / VARIANCE)
    square = p * p
    return [np.full(p.shape, OUTER), p, square, OUTER * (square * p)]


def _weighted_mean(
    pixels: Floats, first: Integers, rows: list[Floats], columns: list[Floats]
) -> Floats:
    total = np.zeros(first.shape)
    for i, row_weight in enumerate(rows):
        line = np.zeros(first.shape)
        for j, column_weight in enumerate(columns):
            line += column_weight * pixels.take(first + (i * SIDE + j))
        total += row_weight * line
    return total / (_sum(rows) * _sum(columns))


def _sum(weights: list[Floats]) -> Floats:
    total = weights[0]
    for weight in weights[1:]:
        total = total + weight
    return total


def exponential(x: Floats) -> Floats:
    """exp(x), |x| below 700, with the same bits on every machine; relative error below 1e-15.

    x = n · ln 2 + r, and the Taylor series of exp(r) to its 13th power, |r| below .35.
    """
    n = np.rint(x * LOG2_E)
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    series = np.full(r.shape, TAYLOR[-1])
    for coefficient in TAYLOR[-2::-1]:
        series *= r
        series += coefficient
    return np.asarray(np.ldexp(series, n.astype(np.int32)))
