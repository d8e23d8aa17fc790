"""Decoding of the originals' fields, ``   0.0000000e+00``, eight bytes at a time.

A field is two 64-bit words, little-endian: `` ␣␣␣d.ddd`` and ``dddde±dd``. The eight digits are
brought together in one word and become a number in three steps (pairs, fours, all eight), each
for every field of a block at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FIELD_WIDTH = 16

_u64, _u32 = np.uint64, np.uint32

_FRAME_MASK = _u64(0x0000_00FF_00FF_FFFF)  # of the first word: three blanks and the point
_FRAME = _u64(0x0000_002E_0020_2020)
_ZEROS = _u64(0x3030_3030_3030_3030)
_ABOVE_9 = _u64(0x7676_7676_7676_7676)  # added to a byte, sets its high bit if it is above 9
_HIGH_BITS = _u64(0x8080_8080_8080_8080)
_TAIL_MASK = _u32(0xF0F0_F8FF)  # of "e±dd": what all valid ones have in common
_TAIL = _u32(0x3030_2865)


def decode_fixed_width(fields: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """Decode fields, contiguous (n, 16), to numbers (n,); None if any has another form.

    The eight digits are a whole number below 2^53 and the power of ten is at most 10^22, both
    exact in float64, so the one division rounds as a correct parser does.
    """
    first, second = fields.view("<u8").T
    if ((first & _FRAME_MASK) != _FRAME).any():
        return None
    word = (first >> _u64(32)) & _u64(0xFFFF_FF00)  # digits 2 to 4
    spare = (first >> _u64(24)) & _u64(0xFF)  # digit 1
    word |= spare
    np.left_shift(second, _u64(32), out=spare)  # digits 5 to 8
    word |= spare
    word ^= _ZEROS
    np.add(word, _ABOVE_9, out=spare)
    spare |= word  # a byte of 138 or more wraps, but has the high bit itself
    if np.bitwise_or.reduce(spare) & _HIGH_BITS:
        return None
    divisors = _divisors(fields.view("<u4")[:, 3])
    if divisors is None:
        return None
    for step, times, mask in (
        (8, 10, 0x00FF_00FF_00FF_00FF),
        (16, 100, 0x0000_FFFF_0000_FFFF),
        (32, 10_000, 0x0000_0000_FFFF_FFFF),
    ):
        np.right_shift(word, _u64(step), out=spare)
        word *= _u64(times)
        word += spare
        word &= _u64(mask)
    numbers: NDArray[np.float64] = word.view("<i4")[::2].astype(
        np.float64
    )  # below 10^8; 32 bits convert faster
    numbers /= divisors
    return numbers


def _divisors(tails: NDArray[np.uint32]) -> NDArray[np.float64] | None:
    """The power of ten that the eight digits are divided by, from ``e±dd``; None if unfit."""
    if ((tails & _TAIL_MASK) != _TAIL).any():
        return None
    index = (tails >> _u32(8)) & _u32(7)  # three bits of the sign, then four of each digit
    index |= (tails >> _u32(13)) & _u32(0x78)
    index |= (tails >> _u32(17)) & _u32(0x780)
    divisors = _DIVISORS.take(index)
    return divisors if divisors.all() else None


def _table() -> NDArray[np.float64]:
    table = np.zeros(1 << 11)
    for sign, character in ((1, "+"), (-1, "-")):
        for exponent in range(100):
            power = 7 - sign * exponent
            if 0 <= power <= 22:
                tens, ones = divmod(exponent, 10)
                table[(ord(character) & 7) | tens << 3 | ones << 7] = 10.0**power
    return table


_DIVISORS = _table()
