"""Tiles of a matrix product: the part of a result that the registers hold while a sum runs.

There are two, and neither ever needs a transposed or repacked operand:

    panel tile   C[r, v] = keep · C[r, v] + scale · Σₖ A[r, k] B[k, v]
                                                          each A spread, B and C in vectors
    dot tile     D[r, c]  = Σₖ A[r, k] B[c, k] + bias[c]   A and B in vectors, summed at the end

Addresses, steps along k and distances between rows are in bytes. Every product of two numbers
is a fused multiply-add. While a tile is computed, what the next one needs of the weights is on
its way: layers of megabytes leave the caches between two steps, and the processor does not guess
by itself which rows come next. Numba's own array code reaches neither tile: LLVM does not keep it
in registers when it vectorises loops by itself.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dae_cli.engines.vectors import (
    BYTES,
    FLOAT,
    INT,
    LANES,
    REGISTERS,
    VECTOR,
    Emitter,
    Value,
    literal,
)

# Rows × vectors, rows × rows: as many accumulators as the registers hold beside the operands.
PANEL_TILE = ((10, 2) if LANES == 16 else (5, 4)) if REGISTERS == 32 else (5, 2)
DOT_TILE = (5, 4) if REGISTERS == 32 else (5, 2)

# Vectors in a cache line of 64 bytes.
PER_LINE = 64 // BYTES

_ZERO = ir.Constant(VECTOR, None)
_ADDRESSES = [types.int64] * 8


# fmt: off
def _panel_tile(_: Any, rows: Any, vectors: Any, a: Any, a_step: Any, a_row: Any, b: Any,
                b_step: Any, count: Any, c: Any, c_row: Any, scale: Any,
                keep: Any, lanes: Any) -> Any:
    # fmt: on
    """C (rows, vectors) = keep · C + scale · A B; `lanes` numbers of the last vector are C's."""
    height, width = literal(rows), literal(vectors)
    whole = isinstance(lanes, types.Literal) and lanes.literal_value == LANES

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Value:
        a, a_step, a_row, b, b_step, count, c, c_row, scale, keep, lanes = arguments[2:]
        emit = Emitter(builder)
        mask = None if whole else emit.first_lanes(lanes)
        starts = [emit.at(a, a_row, r) for r in range(height)]

        def step(k: Value, sums: list[Value]) -> list[Value]:
            offset, b_k = builder.mul(k, a_step), builder.add(b, builder.mul(k, b_step))
            panel = [emit.load(emit.at(b_k, INT(BYTES), v), mask) for v in range(width)]
            for v in range(0, width, PER_LINE):
                emit.prefetch(emit.at(b_k, INT(BYTES), width + v))
            new = []
            for r, start in enumerate(starts):
                factor = emit.spread(emit.load(builder.add(start, offset), kind=FLOAT))
                pairs = zip(panel, sums[r * width : (r + 1) * width], strict=True)
                new += [emit.multiply_add(factor, vector, total) for vector, total in pairs]
            return new

        for r in range(height):
            for v in range(0, width, PER_LINE):
                following = emit.at(emit.at(c, c_row, r), INT(BYTES), width + v)
                emit.prefetch(following, to_write=True)
        sums = emit.loop(count, step, [_ZERO] * (height * width))
        factor, kept = emit.spread(scale), emit.spread(keep)
        for k, total in enumerate(sums):
            place = emit.at(emit.at(c, c_row, k // width), INT(BYTES), k % width)
            before = builder.fmul(kept, emit.load(place, mask))
            emit.store(emit.multiply_add(factor, total, before), place, mask)
        return context.get_dummy_value()

    return types.void(rows, vectors, *_ADDRESSES, types.float32, types.float32, lanes), generate


# fmt: off
def _dot_tile(_: Any, rows: Any, columns: Any, a: Any, a_row: Any, b: Any, b_row: Any,
              count: Any, bias: Any, d: Any, d_row: Any) -> Any:
    # fmt: on
    """D (rows, columns) = A Bᵀ + bias over rows of `count` numbers."""
    height, width = literal(rows), literal(columns)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Value:
        a, a_row, b, b_row, count, bias, d, d_row = arguments[2:]
        emit = Emitter(builder)
        a_starts = [emit.at(a, a_row, r) for r in range(height)]
        b_starts = [emit.at(b, b_row, c) for c in range(width)]

        def step(offset: Value, mask: Value | None, sums: list[Value]) -> list[Value]:
            left = [emit.load(builder.add(start, offset), mask) for start in a_starts]
            new = []
            for c, start in enumerate(b_starts):
                right = emit.load(builder.add(start, offset), mask)
                emit.prefetch(builder.add(emit.at(start, b_row, width), offset))
                pairs = zip(left, sums[c * height : (c + 1) * height], strict=True)
                new += [emit.multiply_add(vector, right, total) for vector, total in pairs]
            return new

        sums = emit.loop_over(count, step, [_ZERO] * (height * width))
        start = emit.load(bias, kind=ir.VectorType(FLOAT, width))
        for r in range(height):
            total = builder.fadd(emit.sums(sums[r::height]), start)
            emit.store(total, emit.at(d, d_row, r))
        return context.get_dummy_value()

    return types.void(rows, columns, *_ADDRESSES), generate


# What kernels call: the sizes as constants, the rest as numbers, without Numba's context.
panel_tile: Any = intrinsic(prefer_literal=True)(_panel_tile)
dot_tile: Any = intrinsic(prefer_literal=True)(_dot_tile)
