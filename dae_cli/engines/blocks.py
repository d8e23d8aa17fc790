"""Matrix products and elementwise functions on blocks: a range of units for a whole minibatch.

Matrices are C-contiguous float32; rows are padded with zeros to whole vectors (tiles.py). Only the
first `m` rows of a minibatch are used. The block size does not change a bit of the results.
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

# Number of units whose weights fit into the first-level cache together with some rows.
GROUP = 16
# Number of inputs multiplied before the lanes are summed; changing it changes results.
INPUTS = 512


# Matrix products


@inlined
def linear(
    rows: Matrix, m: int, weight: Matrix, first: int, last: int, bias: Vector, out: Matrix,
    ahead: bool,
) -> None:  # fmt: skip
    """out (m, units) = rows (m, inputs) · Wᵀ + bias, for the units first … last.

    `ahead`: the weights are not in the cache yet, so prefetch the next ones.
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
    left: Matrix, right: Matrix, m: int, left2: Matrix, right2: Matrix, m2: int,
) -> None:  # fmt: skip
    """W = keep · W + scale · (leftᵀ right + left2ᵀ right2), for the units first … last."""
    unit = first
    while unit < last:
        height = _height(last - unit)
        column = 0
        while column < weight.shape[1]:
            width = WIDTH if column + WIDTH * LANES <= weight.shape[1] else 1
            update_tile(
                height, width, weight, unit, column, scale, keep,
                left, right, m, left2, right2, m2,
            )  # fmt: skip
            column += width * LANES
        unit += height


@inlined
def _height(left: int) -> int:
    """Return the number of rows of the next tile if `left` rows remain."""
    if left >= HEIGHT:
        return HEIGHT
    return 2 if left >= 2 else 1


# Elementwise functions


@inlined
def apply_sigmoid(values: Matrix, m: int, first: int, last: int) -> None:
    """values = sigm(values)."""
    for r in range(m):
        row = values[r, first:last]
        for j in range(len(row)):
            row[j] = sigmoid(row[j])


@inlined
def back_through_sigmoid(errors: Matrix, codes: Matrix, m: int, first: int, last: int) -> None:
    """Backpropagate through h = sigm(a): errors = errors ∘ h ∘ (1 − h)."""
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
    """Copy the bias to each row of `out`."""
    for r in range(m):
        row = out[r, : len(bias)]
        for j in range(len(bias)):
            row[j] = bias[j]


@inlined
def pairwise_sum(values: Vector) -> float:
    """Return the sum of `values` by adding halves repeatedly; overwrites `values`."""
    count = len(values)
    while count > 1:
        half = (count + 1) // 2
        for k in range(count - half):
            values[k] += values[k + half]
        count = half
    return float(values[0])


@inlined
def sum_of(values: Matrix, m: int, width: int) -> float:
    """Return the sum of the first `width` values of m rows; overwrites them."""
    result = 0.0
    for r in range(m):
        result += pairwise_sum(values[r, :width])
    return result


@inlined
def bernoulli(
    probabilities: Matrix, uniforms: Matrix, m: int, first: int, last: int, out: Matrix
) -> None:
    """Sample 1 with the given probabilities, else 0; `out` may be `probabilities`."""
    for r in range(m):
        p, u, state = probabilities[r, first:last], uniforms[r, first:last], out[r, first:last]
        for j in range(len(state)):
            state[j] = ONE if p[j] > u[j] else ZERO
