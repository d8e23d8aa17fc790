"""Products and functions of blocks: some of the units of a layer, and the rows of a minibatch.

Matrices are C-contiguous float32 with rows of whole vectors, of which the last numbers are zeros
(tiles.py); only the first `m` rows of a minibatch are looked at. The bits of a result do not
depend on the blocks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dae_cli.compilation import inlined
from dae_cli.engines.activations import ONE, ZERO, F, sigmoid
from dae_cli.engines.tiles import HEIGHT, ROWS, UNITS, WIDTH, linear_tile, product_tile, update_tile
from dae_cli.engines.vectors import LANES

Matrix = NDArray[np.float32]
Vector = NDArray[np.float32]

# Units of which the weights, and rows of a minibatch, stay in the first-level cache.
GROUP = 16
# Inputs that are multiplied before lanes are summed: part of the numerics.
INPUTS = 512


# The three products


@inlined
def linear(
    rows: Matrix, m: int, weight: Matrix, first: int, last: int, bias: Vector, out: Matrix,
    ahead: bool,
) -> None:  # fmt: skip
    """out (m, units) = rows (m, inputs) · Wᵀ + bias, for the units first … last.

    `ahead`: the weights are not in the cache yet, those that follow are fetched.
    """
    parts = (weight.shape[1] + INPUTS - 1) // INPUTS
    part = (weight.shape[1] // LANES + parts - 1) // parts * LANES
    for group in range(first, last, GROUP):
        end = min(last, group + GROUP)
        for begin in range(0, weight.shape[1], part):
            stop = min(weight.shape[1], begin + part)
            row = 0
            while row < m:
                height = ROWS if row + ROWS <= m else 1
                unit = group
                while unit < end:
                    width = UNITS if unit + UNITS <= end else 1
                    fetch = ahead and row == 0 and height == ROWS and width == UNITS
                    linear_tile(
                        height, width, fetch, rows, row, weight, unit, begin, stop, bias, out
                    )
                    unit += width
                row += height


@inlined
def add_product(left: Matrix, m: int, weight: Matrix, first: int, last: int, out: Matrix) -> None:
    """out (m, inputs) += left (m, units) · W, over the units first … last."""
    column = 0
    while column < weight.shape[1]:
        width = WIDTH if column + WIDTH * LANES <= weight.shape[1] else 1
        row = 0
        while row < m:
            height = _height(m - row)
            product_tile(height, width, left, row, weight, first, last, out, column)
            row += height
        column += width * LANES


@inlined
def update(
    weight: Matrix, first: int, last: int, scale: F, keep: F,
    left: Matrix, right: Matrix, m: int, left_too: Matrix, right_too: Matrix, m_too: int,
) -> None:  # fmt: skip
    """W = keep · W + scale · (leftᵀ right + left'ᵀ right'), for the units first … last."""
    unit = first
    while unit < last:
        height = _height(last - unit)
        column = 0
        while column < weight.shape[1]:
            width = WIDTH if column + WIDTH * LANES <= weight.shape[1] else 1
            update_tile(
                height, width, weight, unit, column, scale, keep,
                left, right, m, left_too, right_too, m_too,
            )  # fmt: skip
            column += width * LANES
        unit += height


@inlined
def _height(left: int) -> int:
    """Return the rows of the next tile."""
    if left >= HEIGHT:
        return HEIGHT
    return 2 if left >= 2 else 1


# Number by number


@inlined
def apply_sigmoid(values: Matrix, m: int, first: int, last: int) -> None:
    """values = sigm(values)."""
    for r in range(m):
        row = values[r, first:last]
        for j in range(len(row)):
            row[j] = sigmoid(row[j])


@inlined
def back_through_sigmoid(errors: Matrix, codes: Matrix, m: int, first: int, last: int) -> None:
    """Take errors back through h = sigm(a): errors = errors ∘ h ∘ (1 − h)."""
    for r in range(m):
        error, code = errors[r, first:last], codes[r, first:last]
        for j in range(len(error)):
            error[j] = error[j] * code[j] * (ONE - code[j])


@inlined
def add_rows(bias: Vector, scale: F, errors: Matrix, m: int, first: int, last: int) -> None:
    """bias += scale · Σᵣ errors[r]."""
    target = bias[first:last]
    for r in range(m):
        error = errors[r, first:last]
        for j in range(len(target)):
            target[j] += scale * error[j]


@inlined
def fill_rows(bias: Vector, m: int, out: Matrix) -> None:
    """Write a bias into each row."""
    for r in range(m):
        row = out[r, : len(bias)]
        for j in range(len(bias)):
            row[j] = bias[j]


@inlined
def pairwise_sum(values: Vector) -> float:
    """Return the sum of some numbers, of which nothing is left: halves are added up."""
    count = len(values)
    while count > 1:
        half = (count + 1) // 2
        for k in range(count - half):
            values[k] += values[k + half]
        count = half
    return float(values[0])


@inlined
def sum_of(values: Matrix, m: int, width: int) -> float:
    """Return the sum over m rows of so many numbers, of which nothing is left."""
    result = 0.0
    for r in range(m):
        result += pairwise_sum(values[r, :width])
    return result


@inlined
def bernoulli(
    probabilities: Matrix, uniforms: Matrix, m: int, first: int, last: int, out: Matrix
) -> None:
    """Draw ones with these probabilities, else zeros; `out` may be the probabilities."""
    for r in range(m):
        p, u, state = probabilities[r, first:last], uniforms[r, first:last], out[r, first:last]
        for j in range(len(state)):
            state[j] = ONE if p[j] > u[j] else ZERO
