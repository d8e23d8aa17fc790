"""The operations of training as compiled kernels: loops of tiles and of rows, on addresses.

One thread, nothing allocated, nothing repacked. Which tile computes an element depends on the
shapes alone, so the same arguments give the same bits, wherever they lie in memory.
Addresses and the distances between rows are in bytes, all other sizes in numbers.
"""
# ruff: noqa: E501 — the addresses and sizes of a kernel read best on one line

from __future__ import annotations

from dae_cli.compilation import compiled
from dae_cli.engines.curves import FACTORS, cross_entropy_row, sigmoid_row, through_sigmoid_row
from dae_cli.engines.tiles import DOT_TILE, PANEL_TILE, dot_tile, panel_tile
from dae_cli.engines.vectors import LANES

HEIGHT, WIDTH = PANEL_TILE
PANEL = WIDTH * LANES
DOT_ROWS, DOT_COLUMNS = DOT_TILE

# Rows that stay in the level-2 cache while the weights pass by.
ROW_BLOCK = 160
# Terms of a sum that are added to the weights in one pass over them.
TERM_BLOCK = 100

# fmt: off


@compiled
def times_transposed(rows: int, rows_row: int, weight: int, weight_row: int, bias: int, out: int, out_row: int, m: int, units: int, inputs: int) -> None:
    """out (m, units) = rows (m, inputs) · Wᵀ + bias."""
    for first in range(0, m, ROW_BLOCK):
        last = min(m, first + ROW_BLOCK)
        column = 0
        while column < units:
            w, b = weight + column * weight_row, bias + 4 * column
            width = DOT_COLUMNS if column + DOT_COLUMNS <= units else 1
            row = first
            while row < last:
                height = DOT_ROWS if row + DOT_ROWS <= last else 1
                x, d = rows + row * rows_row, out + row * out_row + 4 * column
                _dot(height, width, x, rows_row, w, weight_row, inputs, b, d, out_row)
                row += height
            column += width


@compiled
def times(rows: int, rows_row: int, weight: int, weight_row: int, out: int, out_row: int, m: int, units: int, inputs: int) -> None:
    """out (m, inputs) += rows (m, units) · W."""
    column = 0
    while column < inputs:
        w, left = weight + 4 * column, inputs - column
        row = 0
        while row < m:
            height = _height(m - row)
            x, c = rows + row * rows_row, out + row * out_row + 4 * column
            _panel(height, left, x, 4, rows_row, w, weight_row, units, c, out_row, 1.0, 1.0)
            row += height
        column += PANEL if left >= PANEL else LANES


@compiled
def accumulate(weight: int, weight_row: int, left: int, left_row: int, right: int, right_row: int, scale: float, keep: float, terms: int, units: int, inputs: int) -> None:
    """W (units, inputs) = keep · W + scale · leftᵀ right; left (terms, units), right (terms, inputs)."""
    for first in range(0, terms, TERM_BLOCK):
        count, kept = min(TERM_BLOCK, terms - first), keep if first == 0 else 1.0
        unit = 0
        while unit < units:
            height = _height(units - unit)
            a = left + first * left_row + 4 * unit
            column = 0
            while column < inputs:
                rest = inputs - column
                b = right + first * right_row + 4 * column
                c = weight + unit * weight_row + 4 * column
                _panel(height, rest, a, left_row, 4, b, right_row, count, c, weight_row, scale, kept)
                column += PANEL if rest >= PANEL else LANES
            unit += height


@compiled
def sigmoid(values: int, values_row: int, m: int, units: int) -> None:
    """values (m, units) = sigm(values)."""
    for row in range(m):
        sigmoid_row(values + row * values_row, units)


@compiled
def through_sigmoid(error: int, error_row: int, code: int, code_row: int, m: int, units: int) -> None:
    """error (m, units) = error ∘ h ∘ (1 − h)."""
    for row in range(m):
        through_sigmoid_row(error + row * error_row, code + row * code_row, units)


@compiled
def cross_entropy(a: int, a_row: int, clean: int, clean_row: int, error: int, error_row: int, m: int, d: int) -> float:
    """error (m, d) = sigm(a) − x; return the cost, summed over all."""
    total = 0.0
    for row in range(m):
        for start in range(0, d, FACTORS):
            here = 4 * start
            a_here, x_here = a + row * a_row + here, clean + row * clean_row + here
            error_here = error + row * error_row + here
            total += cross_entropy_row(a_here, x_here, error_here, min(FACTORS, d - start))
    return total


@compiled
def _height(rest: int) -> int:
    """Rows of the next tile; two already keep the processor busy, one alone does not."""
    if rest >= HEIGHT:
        return HEIGHT
    return 2 if rest >= 2 else 1


@compiled
def _panel(height: int, left: int, a: int, a_step: int, a_row: int, b: int, b_step: int, count: int, c: int, c_row: int, scale: float, keep: float) -> None:
    """Run the panel tile of a height and of the columns that are left."""
    if left >= PANEL:
        if height == HEIGHT:
            panel_tile(HEIGHT, WIDTH, a, a_step, a_row, b, b_step, count, c, c_row, scale, keep, LANES)
        elif height == 2:
            panel_tile(2, WIDTH, a, a_step, a_row, b, b_step, count, c, c_row, scale, keep, LANES)
        else:
            panel_tile(1, WIDTH, a, a_step, a_row, b, b_step, count, c, c_row, scale, keep, LANES)
    elif left >= LANES:
        if height == HEIGHT:
            panel_tile(HEIGHT, 1, a, a_step, a_row, b, b_step, count, c, c_row, scale, keep, LANES)
        elif height == 2:
            panel_tile(2, 1, a, a_step, a_row, b, b_step, count, c, c_row, scale, keep, LANES)
        else:
            panel_tile(1, 1, a, a_step, a_row, b, b_step, count, c, c_row, scale, keep, LANES)
    elif height == HEIGHT:
        panel_tile(HEIGHT, 1, a, a_step, a_row, b, b_step, count, c, c_row, scale, keep, left)
    elif height == 2:
        panel_tile(2, 1, a, a_step, a_row, b, b_step, count, c, c_row, scale, keep, left)
    else:
        panel_tile(1, 1, a, a_step, a_row, b, b_step, count, c, c_row, scale, keep, left)


@compiled
def _dot(height: int, width: int, a: int, a_row: int, b: int, b_row: int, count: int, bias: int, d: int, d_row: int) -> None:
    """Run the dot tile of a size."""
    if height == DOT_ROWS and width == DOT_COLUMNS:
        dot_tile(DOT_ROWS, DOT_COLUMNS, a, a_row, b, b_row, count, bias, d, d_row)
    elif width == DOT_COLUMNS:
        dot_tile(1, DOT_COLUMNS, a, a_row, b, b_row, count, bias, d, d_row)
    elif height == DOT_ROWS:
        dot_tile(DOT_ROWS, 1, a, a_row, b, b_row, count, bias, d, d_row)
    else:
        dot_tile(1, 1, a, a_row, b, b_row, count, bias, d, d_row)
