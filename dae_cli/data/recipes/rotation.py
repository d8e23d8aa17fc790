"""Turned digits, made as the authors made theirs.

The rule was found from the genuine rows of rot and rot-bg-img. A pixel of the turned image looks
back at the place in the digit that it came from, about the middle of the image, and takes the mean
of all pixels of the digit, weighted by a Gaussian of their distance to that place with a standard
deviation of .3 pixels. The rows of rot-bg-img come out so to their eighth digit, those of rot to
their sixth decimal (``digits.py``).

Of the mean only the 4 × 4 nearest pixels are taken here; the others weigh less than 1e-9 together.
The numbers are the same on any machine: only + − · / and square roots, one array at a time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.recipes.integers import Integers

Floats = NDArray[np.float64]

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
    """Turn images (n, height, width) by the angles of the directions (across, down), (n,) each.

    Returns float64 (n, height, width) in the unit of the images, 0 … 255.
    """
    n, height, width = images.shape
    length = np.sqrt(np.asarray(across**2 + down**2, dtype=np.float64))
    cosine, sine = ((part / length)[:, None, None] for part in (across, down))
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    y, x = np.arange(height)[:, None] - middle_y, np.arange(width) - middle_x
    row = cosine * y - sine * x + middle_y
    column = sine * y + cosine * x + middle_x
    top, left = _first_tap(row, height), _first_tap(column, width)
    first = (top * width + left).astype(np.int64)
    first += np.arange(n)[:, None, None] * (height * width)
    inked = _has_ink(images).take(first)  # most places are dark: they are left out
    turned = np.zeros(images.shape)
    turned[inked] = _weighted_mean(
        images.astype(np.float64).ravel(),
        [first[inked] + i * width for i in range(TAPS)],
        _weights((row - top)[inked]),
        _weights((column - left)[inked]),
    )
    return turned


def _first_tap(place: Floats, size: int) -> Floats:
    """The first of the four lines inside the image that are nearest to each place."""
    return np.asarray(np.clip(np.floor(place) - 1, 0, size - TAPS))


def _has_ink(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether any of the 4 × 4 pixels right of and below each pixel, itself included, is not 0."""
    ink = images > 0
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
    pixels: Floats, lines: list[Integers], rows: list[Floats], columns: list[Floats]
) -> Floats:
    """The mean over four pixels of each of four lines; each line is given by its first pixels."""
    total = np.zeros(lines[0].shape)
    for first, row_weight in zip(lines, rows, strict=True):
        line = np.zeros(first.shape)
        for j, column_weight in enumerate(columns):
            line += column_weight * pixels.take(first + j)
        total += row_weight * line
    return total / (_sum(rows) * _sum(columns))


def _sum(weights: list[Floats]) -> Floats:
    a, b, c, d = weights
    return a + b + c + d


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
