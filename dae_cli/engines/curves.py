"""The nonlinear functions on rows of numbers, a vector at a time, each row read once.

Both sides of the sigmoid come from e = exp(−|a|), which lies in (0, 1]:

    sigm(a) = 1/(1 + e) for a ≥ 0, e/(1 + e) for a < 0        log(1 + eᵃ) = max(a, 0) + log(1 + e)

The logarithms of a cost are taken of products of many (1 + e), each between 1 and 2.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dae_cli.engines.vectors import INT32, INTS, LANES, VECTOR, Emitter, Value

FACTORS = 100 * LANES
"""Numbers whose (1 + e) are multiplied before a logarithm is taken; 2¹⁰⁰ is no overflow."""

_DEGREE = 7  # of the Taylor polynomial of exp on ±log(2)/2: off by less than 1e-8
_LEAST = -87.0  # exp of less is no normal number
_LOG2 = 0.693359375, math.log(2) - 0.693359375  # the first with few bits: its multiples are exact
_ROUNDING = 1.5 * 2.0**23  # added to a number, it leaves the nearest integer in the low bits


def _exp_of_minus_absolute(emit: Emitter, a: Value) -> Value:
    """Return exp(−|a|); NaN stays NaN."""
    builder = emit.builder
    absolute = emit.call(f"llvm.fabs.v{LANES}f32", VECTOR, [a])
    x, least = builder.fneg(absolute), emit.constant(_LEAST)
    x = builder.select(builder.fcmp_ordered("<", x, least), least, x)
    rounding = emit.constant(_ROUNDING)
    shifted = emit.multiply_add(x, emit.constant(1.0 / math.log(2)), rounding)
    power = builder.fsub(shifted, rounding)
    for part in _LOG2:
        x = emit.multiply_add(power, emit.constant(-part), x)
    result = emit.constant(1.0 / math.factorial(_DEGREE))
    for k in range(_DEGREE - 1, -1, -1):
        result = emit.multiply_add(result, x, emit.constant(1.0 / math.factorial(k)))
    bits = builder.shl(builder.bitcast(shifted, INTS), _ints(23))
    scale = builder.bitcast(builder.add(bits, _ints(127 << 23)), VECTOR)
    return builder.fmul(result, scale)


def _sigmoid(emit: Emitter, a: Value) -> tuple[Value, Value]:
    """Return sigm(a) and 1 + exp(−|a|)."""
    builder = emit.builder
    e = _exp_of_minus_absolute(emit, a)
    factor = builder.fadd(e, emit.constant(1.0))
    upper = builder.fdiv(emit.constant(1.0), factor)
    negative = builder.fcmp_ordered("<", a, emit.constant(0.0))
    return builder.select(negative, builder.fmul(e, upper), upper), factor


def _ints(number: int) -> Value:
    return ir.Constant(INTS, [INT32(number)] * LANES)


def _sigmoid_row(_: Any, values: Any, count: Any) -> Any:
    """values = sigm(values)."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Value:
        values, count = arguments
        emit = Emitter(builder)

        def step(offset: Value, mask: Value | None, _: list[Value]) -> list[Value]:
            place = builder.add(values, offset)
            emit.store(_sigmoid(emit, emit.load(place, mask))[0], place, mask)
            return []

        emit.loop_over(count, step, [])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def _through_sigmoid_row(_: Any, error: Any, code: Any, count: Any) -> Any:
    """error = error ∘ h − (error ∘ h) ∘ h."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Value:
        error, code, count = arguments
        emit = Emitter(builder)

        def step(offset: Value, mask: Value | None, _: list[Value]) -> list[Value]:
            place = builder.add(error, offset)
            h = emit.load(builder.add(code, offset), mask)
            part = builder.fmul(emit.load(place, mask), h)
            emit.store(emit.multiply_add(builder.fneg(part), h, part), place, mask)
            return []

        emit.loop_over(count, step, [])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


def _cross_entropy_row(_: Any, a: Any, clean: Any, error: Any, count: Any) -> Any:
    """error = sigm(a) − x; return Σ log(1 + eᵃ) − x a over at most FACTORS numbers."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Value:
        a, clean, error, count = arguments
        emit = Emitter(builder)
        zero, one = emit.constant(0.0), emit.constant(1.0)

        def step(offset: Value, mask: Value | None, sums: list[Value]) -> list[Value]:
            product, linear = sums
            value = emit.load(builder.add(a, offset), mask)
            x = emit.load(builder.add(clean, offset), mask)
            x_hat, factor = _sigmoid(emit, value)
            emit.store(builder.fsub(x_hat, x), builder.add(error, offset), mask)
            if mask is not None:
                factor = builder.select(mask, factor, one)
            positive = builder.select(builder.fcmp_ordered(">", value, zero), value, zero)
            rest = emit.multiply_add(builder.fneg(x), value, positive)
            return [builder.fmul(product, factor), builder.fadd(linear, rest)]

        product, linear = emit.loop_over(count, step, [one, zero])
        logarithms = emit.call(f"llvm.log.v{LANES}f32", VECTOR, [product])
        total = emit.sums([builder.fadd(logarithms, linear)])
        return builder.extract_element(total, INT32(0))

    return types.float32(*[types.int64] * 4), generate


sigmoid_row: Any = intrinsic(_sigmoid_row)
through_sigmoid_row: Any = intrinsic(_through_sigmoid_row)
cross_entropy_row: Any = intrinsic(_cross_entropy_row)
