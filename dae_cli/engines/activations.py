"""Scalar activation functions; LLVM vectorizes the loops that call them.

They use only additions, multiplications, divisions (rounded according to IEEE 754) and bit
operations: no library's exp or log, no contraction to fused multiply-adds. The results are
therefore identical, bit for bit, on every processor.

Both functions are computed from e = exp(−|a|), which lies in (0, 1]:

    sigm(a) = 1/(1 + e) for a ≥ 0, e/(1 + e) for a < 0        log(1 + eᵃ) = max(a, 0) + log(1 + e)
"""

from __future__ import annotations

import math

import numpy as np

from dae_cli.compilation import inlined

F = np.float32

# log(2) in two parts; the first has few enough bits that its integer multiples are exact.
_LOG2, _LOG2_REST = F(0.693359375), F(math.log(2) - 0.693359375)
_PER_LOG2 = F(1 / math.log(2))
# Adding this to a number leaves the nearest integer in its low bits.
_ROUNDING = F(1.5 * 2.0**23)
# Below this, exp is not a normal float32 number.
_LEAST = F(-87.0)
# Taylor polynomial of exp; its error is below 1e-8 within ±log(2)/2.
_E2, _E3, _E4, _E5, _E6, _E7 = (F(1 / math.factorial(k)) for k in range(2, 8))
# log(m) = 2 artanh(s) with s = (m − 1)/(m + 1); the error of the series is below 1e-8 for m from
# √½ to √2.
_L3, _L5, _L7, _L9 = F(2 / 3), F(2 / 5), F(2 / 7), F(2 / 9)
_ROOT_HALF = F(math.sqrt(0.5))
ZERO, HALF, ONE, TWO = F(0), F(0.5), F(1), F(2)


@inlined
def exp_of_minus(size: F) -> F:
    """Return exp(−size) for size ≥ 0; NaN for NaN."""
    x = -size
    if x < _LEAST:
        x = _LEAST
    shifted = x * _PER_LOG2 + _ROUNDING
    power = shifted - _ROUNDING
    x = x - power * _LOG2
    x = x - power * _LOG2_REST
    result = _E7 * x + _E6
    result = result * x + _E5
    result = result * x + _E4
    result = result * x + _E3
    result = result * x + _E2
    result = result * x + ONE
    result = result * x + ONE
    exponent = (F(shifted).view(np.int32) + 127) << 23
    return result * np.int32(exponent).view(np.float32)


@inlined
def sigmoid(a: F) -> F:
    """Return sigm(a)."""
    e = exp_of_minus(abs(a))
    upper = ONE / (ONE + e)
    return e * upper if a < ZERO else upper


@inlined
def log(x: F) -> F:
    """Return log(x) for a normal number x > 0; NaN for NaN."""
    bits = F(x).view(np.int32)
    mantissa = np.int32((bits & 0x007FFFFF) | 0x3F000000).view(np.float32)  # ½ … 1
    power = F((bits >> 23) - 126)
    if mantissa < _ROOT_HALF:
        mantissa = mantissa + mantissa
        power = power - ONE
    s = (mantissa - ONE) / (mantissa + ONE)
    square = s * s
    series = _L9 * square + _L7
    series = series * square + _L5
    series = series * square + _L3
    result = power * _LOG2_REST + s * square * series + TWO * s + power * _LOG2
    return result if x == x else x


@inlined
def softplus(a: F) -> F:
    """Return log(1 + eᵃ) without overflow; NaN for NaN, ∞ for ∞."""
    positive = ZERO if a < ZERO else a
    return positive + log(ONE + exp_of_minus(abs(a)))
