from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dae_cli.data.readers.fixed_width import FIELD_WIDTH, decode_fixed_width


def _decode(*fields: str) -> np.ndarray | None:
    text = "".join(fields).encode("latin-1")
    return decode_fixed_width(np.frombuffer(text, dtype=np.uint8).reshape(-1, FIELD_WIDTH))


@given(
    st.lists(st.tuples(st.integers(0, 99_999_999), st.integers(-15, 7)), min_size=1, max_size=40)
)
def test_every_field_of_the_layout_becomes_the_number_that_python_reads(
    parts: list[tuple[int, int]],
) -> None:
    fields = [f"   {m // 10**7}.{m % 10**7:07}e{e:+03}" for m, e in parts]
    decoded = _decode(*fields)
    assert decoded is not None
    assert decoded.tolist() == [float(field) for field in fields]


def test_every_grey_level_is_read_exactly() -> None:
    fields = [f"   {k / n:.7e}" for n in (1, 255, 256) for k in range(n + 1)]
    decoded = _decode(*fields)
    assert decoded is not None
    assert decoded.tolist() == [float(field) for field in fields]


def test_a_minus_before_the_exponent_of_0_and_a_plus_are_the_same() -> None:
    decoded = _decode("   2.5000000e-00", "   2.5000000e+00")
    assert decoded is not None
    assert decoded.tolist() == [2.5, 2.5]


@pytest.mark.parametrize("exponent", ["e+08", "e-16", "e+99", "e-99"])
def test_powers_that_would_not_be_exact_are_left_to_the_other_decoder(exponent: str) -> None:
    assert _decode("   0.0000000e+00", f"   1.2345678{exponent}") is None


def test_a_field_with_any_byte_of_another_form_is_left_to_the_other_decoder() -> None:
    allowed = {place: {*b"0123456789"} for place in range(16)}
    allowed |= {0: {32}, 1: {32}, 2: {32}, 4: {ord(".")}, 12: {ord("e")}, 13: {*b"+-"}, 14: {*b"0"}}
    good = b"   1.2345678e-05"
    for place in range(16):
        for byte in range(256):
            field = bytearray(good)
            field[place] = byte
            decoded = decode_fixed_width(np.frombuffer(field * 2, dtype=np.uint8).reshape(-1, 16))
            if byte not in allowed[place]:
                if place != 14:  # another exponent may be fit, and is compared above
                    assert decoded is None, (place, byte)
            elif decoded is not None:
                assert decoded.tolist() == [float(bytes(field))] * 2
