"""Register tiles of the three matrix products: the part of a result that stays in registers.

    linear   D[r, u] = bias[u] + Σᵢ A[r, i] W[u, i]        A and W are vectors along i; lanes
                                                            are summed at the end
    product  C[r, i] = C[r, i] + Σᵤ A[r, u] W[u, i]         each A is copied to all lanes
    update   W[u, i] = keep · W[u, i] + scale · (Σₖ A[k, u] B[k, i] + Σₖ A2[k, u] B2[k, i])

Matrices are C-contiguous float32 with rows padded to whole vectors by zeros. No operand is
transposed or repacked. The order of each sum is fixed (over i by lanes, over u and k sequentially),
so results depend neither on the tile size nor on the block size, not even in the last bit. Loops
over arrays in Numba are slower: LLVM's vectorizer does not keep such tiles in registers.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dae_cli.engines.vectors import AVX512, FLOAT, INT, LANES, LINE, VECTOR, Emitter, Value

# Accumulators that fit into registers together with the operands: rows × units, rows × vectors.
# A vector takes 1 of 32 registers with AVX-512, 2 of 16 with AVX2, 4 of 32 with NEON.
ROWS, UNITS = (5, 4) if AVX512 else (2, 3)
HEIGHT, WIDTH = (10, 2) if AVX512 else (5, 1)

# Tile sizes: (rows, units, whether to prefetch) and (rows, vectors).
_LINEAR = ((ROWS, UNITS, 1), (ROWS, UNITS, 0), (ROWS, 1, 0), (1, UNITS, 0), (1, 1, 0))
# Two rows keep the processor busy; one does not.
_PANELS = sorted({(height, width) for height in (HEIGHT, 2, 1) for width in (WIDTH, 1)})[::-1]

_ZERO = ir.Constant(VECTOR, None)
_INT, _FLOAT = types.int64, types.float32


def _linear_tile(
    _: Any, rows: Any, units: Any, ahead: Any, a: Any, row: Any, weight: Any, unit: Any,
    first: Any, last: Any, bias: Any, d: Any,
) -> Any:  # fmt: skip
    """D[row …, unit …] = bias + A Wᵀ over the inputs first … last, or D + A Wᵀ if first > 0.

    `ahead` prefetches the next rows of W.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        *sizes, a, row, weight, unit, first, last, bias, d = _operands(
            context, builder, signature, arguments
        )
        emit = Emitter(builder)
        count = builder.sdiv(builder.sub(last, first), INT(LANES))
        begins = builder.icmp_signed("==", first, INT(0))
        offsets = builder.add(emit.start(bias), builder.mul(unit, INT(4)))

        def tile(height: int, width: int, fetch: int) -> None:
            a_rows = emit.rows(a, row, first, height)
            w_rows = emit.rows(weight, unit, first, width)
            to_next = builder.mul(emit.row_bytes(weight), INT(width))

            def step(k: Value, sums: list[Value]) -> list[Value]:
                here = builder.mul(k, INT(LINE))
                left = [emit.load(builder.add(start, here)) for start in a_rows]
                new = []
                for u, start in enumerate(w_rows):
                    place = builder.add(start, here)
                    right = emit.load(place)
                    if fetch:
                        emit.prefetch(builder.add(place, to_next))
                    pairs = zip(left, sums[u * height : (u + 1) * height], strict=True)
                    new += [emit.multiply_add(vector, right, total) for vector, total in pairs]
                return new

            sums = emit.loop(count, step, [_ZERO] * (height * width))
            kind = ir.VectorType(FLOAT, width)
            for r, place in enumerate(emit.rows(d, row, unit, height)):
                before = emit.load(builder.select(begins, offsets, place), kind)
                emit.store(builder.fadd(before, emit.sums(sums[r::height])), place)

        emit.switch(sizes, _LINEAR, tile)
        return context.get_dummy_value()

    arguments = (a, _INT, weight, _INT, _INT, _INT, bias, d)
    return types.void(_INT, _INT, _INT, *arguments), generate


def _product_tile(
    _: Any, rows: Any, vectors: Any, a: Any, row: Any, weight: Any, first: Any, last: Any,
    c: Any, column: Any,
) -> Any:  # fmt: skip
    """C[row …, column …] = C + A W over the units first … last."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        *sizes, a, row, weight, first, last, c, column = _operands(
            context, builder, signature, arguments
        )
        emit = Emitter(builder)

        def tile(height: int, width: int) -> None:
            places = _panel(emit, emit.rows(c, row, column, height), width)
            factors = [(start, INT(4)) for start in emit.rows(a, row, first, height)]
            panel = emit.element(weight, first, column), emit.row_bytes(weight)
            sums = [emit.load(place) for place in places]
            sums = _add(emit, sums, builder.sub(last, first), factors, *panel)
            for place, total in zip(places, sums, strict=True):
                emit.store(total, place)

        emit.switch(sizes, _PANELS, tile)
        return context.get_dummy_value()

    return types.void(_INT, _INT, a, _INT, weight, _INT, _INT, c, _INT), generate


def _update_tile(
    _: Any, units: Any, vectors: Any, weight: Any, unit: Any, column: Any, scale: Any, keep: Any,
    a: Any, b: Any, terms: Any, a2: Any, b2: Any, terms2: Any,
) -> Any:  # fmt: skip
    """W[unit …, column …] = keep · W + scale · (Aᵀ B + A2ᵀ B2), sums of `terms` and `terms2`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        *sizes, weight, unit, column, scale, keep, a, b, terms, a2, b2, terms2 = _operands(
            context, builder, signature, arguments
        )
        emit = Emitter(builder)

        def tile(height: int, width: int) -> None:
            sums = [_ZERO] * (height * width)
            for left, right, count in ((a, b, terms), (a2, b2, terms2)):
                start, step = emit.element(left, INT(0), unit), emit.row_bytes(left)
                factors = [(builder.add(start, INT(4 * r)), step) for r in range(height)]
                panel = emit.element(right, INT(0), column), emit.row_bytes(right)
                sums = _add(emit, sums, count, factors, *panel)
            scales, keeps = emit.spread(scale), emit.spread(keep)
            places = _panel(emit, emit.rows(weight, unit, column, height), width)
            for place, total in zip(places, sums, strict=True):
                before = builder.fmul(keeps, emit.load(place))
                emit.store(emit.multiply_add(scales, total, before), place)

        emit.switch(sizes, _PANELS, tile)
        return context.get_dummy_value()

    pairs = (a, b, _INT, a2, b2, _INT)
    return types.void(_INT, _INT, weight, _INT, _INT, _FLOAT, _FLOAT, *pairs), generate


def _operands(context: Any, builder: Any, signature: Any, values: Any) -> list[Any]:
    """Return the arguments, with arrays as Numba's array structures."""
    return [
        context.make_array(kind)(context, builder, value)
        if isinstance(kind, types.Array)
        else value
        for kind, value in zip(signature.args, values, strict=True)
    ]


def _panel(emit: Emitter, starts: list[Value], width: int) -> list[Value]:
    """Return the addresses of the first `width` vectors of each row, row by row."""
    return [emit.builder.add(start, INT(LINE * v)) for start in starts for v in range(width)]


def _add(
    emit: Emitter,
    sums: list[Value],
    count: Value,
    factors: list[tuple[Value, Value]],
    vectors: Value,
    step: Value,
) -> list[Value]:
    """Add Σₖ factor[r, k] · vector[k, v] to each sum; `factors`: (address, step along k)."""
    builder, width = emit.builder, len(sums) // len(factors)

    def term(k: Value, sums: list[Value]) -> list[Value]:
        start = builder.add(vectors, builder.mul(k, step))
        panel = [emit.load(place) for place in _panel(emit, [start], width)]
        new = []
        for r, (address, distance) in enumerate(factors):
            place = builder.add(address, builder.mul(k, distance))
            factor = emit.spread(emit.load(place, FLOAT))
            pairs = zip(panel, sums[r * width : (r + 1) * width], strict=True)
            new += [emit.multiply_add(factor, vector, total) for vector, total in pairs]
        return new

    return emit.loop(count, term, sums)


# The functions that kernels call; Numba supplies the typing context.
linear_tile: Any = intrinsic(_linear_tile)
product_tile: Any = intrinsic(_product_tile)
update_tile: Any = intrinsic(_update_tile)
