from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dae_cli.data.readers import text
from dae_cli.data.readers.text import read_rows
from dae_cli.errors import DataError


def _read(tiny: Any, data: bytes) -> Any:
    return read_rows(io.BytesIO(data), tiny.spec, 8, "tiny.amat")


def test_rows_of_the_original_format_are_read_exactly(tiny: Any) -> None:
    data = tiny.text("train")
    assert len(data.splitlines()[0]) == 785 * 16
    pixels, labels = _read(tiny, data)
    np.testing.assert_array_equal(pixels, tiny.content.pixels)
    np.testing.assert_array_equal(labels, tiny.content.labels)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"   ", b" "),
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"   ", b"\t"),
        lambda data: data.rstrip(b"\n"),
        lambda data: data + b"\n\n",
        lambda data: data.replace(b"0.0000000e+00", b"0"),
    ],
    ids=["single blanks", "CRLF", "tabs", "no last newline", "empty last lines", "short zeros"],
)
def test_other_layouts_of_the_same_numbers_give_the_same_rows(tiny: Any, change: Any) -> None:
    pixels, labels = _read(tiny, change(tiny.text("train")))
    np.testing.assert_array_equal(pixels, tiny.content.pixels)
    np.testing.assert_array_equal(labels, tiny.content.labels)


def test_rows_that_straddle_blocks_are_whole(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "BLOCK", 20_000)
    pixels, _ = _read(tiny, tiny.text("train"))
    np.testing.assert_array_equal(pixels, tiny.content.pixels)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_fields_are_rounded_as_python_rounds_them(values: list[float]) -> None:
    values = (values * 785)[:785]
    line = "".join(f"   {value:.7e}" for value in values).encode()
    decoded = text._decode([line], "f", 0)
    np.testing.assert_array_equal(decoded[0], [float(f"{value:.7e}") for value in values])


def test_a_file_cut_between_rows_is_refused(tiny: Any) -> None:
    data = b"\n".join(tiny.text("train").splitlines()[:5]) + b"\n"
    with pytest.raises(DataError, match=r"tiny.amat: ends after 5 rows, expected 8"):
        _read(tiny, data)


def test_a_file_cut_inside_a_row_is_refused_with_the_row(tiny: Any) -> None:
    with pytest.raises(DataError, match=r"tiny.amat, row 8: 784 fields, expected 785"):
        _read(tiny, tiny.text("train")[:-17])


def test_a_row_too_long_is_refused_even_when_its_neighbour_is_too_short(tiny: Any) -> None:
    lines = tiny.text("train").splitlines()
    lines[2], lines[3] = lines[2] + b"   0.0000000e+00", lines[3][16:]
    with pytest.raises(DataError, match="row 3: 786 fields, expected 785"):
        _read(tiny, b"\n".join(lines))


def test_the_test_file_given_as_training_file_is_refused(tiny: Any) -> None:
    with pytest.raises(DataError, match=r"ends after 5 rows, expected 8.*another set or split"):
        _read(tiny, tiny.text("test"))
    with pytest.raises(DataError, match="more than 5 rows"):
        read_rows(io.BytesIO(tiny.text("train")), tiny.spec, 5, "f")


@pytest.mark.parametrize("word", [b"nan", b"inf", b"1e999"])
def test_values_that_are_not_finite_are_refused(tiny: Any, word: bytes) -> None:
    lines = tiny.text("train").splitlines()
    lines[4] = word.rjust(16) + lines[4][16:]
    with pytest.raises(DataError, match=r"row 5, pixel 1: (nan|inf) found"):
        _read(tiny, b"\n".join(lines))


def test_a_word_that_is_no_number_is_refused_with_its_field(tiny: Any) -> None:
    lines = tiny.text("train").splitlines()
    lines[4] = lines[4][:32] + b"           hello" + lines[4][48:]
    with pytest.raises(DataError, match="row 5, field 3: 'hello' is not a number"):
        _read(tiny, b"\n".join(lines))


def test_values_from_0_to_255_are_refused(tiny: Any) -> None:
    rows = np.column_stack([tiny.content.pixels, tiny.content.labels]).astype(float)
    stream = io.StringIO()
    np.savetxt(stream, rows, fmt="%16.7e", delimiter="")
    with pytest.raises(DataError, match="expected a grey value from 0 to 1: it seems to be 0 to"):
        _read(tiny, stream.getvalue().encode())


def test_a_label_out_of_range_is_refused(tiny: Any) -> None:
    lines = tiny.text("train").splitlines()
    lines[1] = lines[1][:-16] + b"   3.0000000e+00"
    with pytest.raises(DataError, match="row 2: label 3 found, expected a whole number from 0"):
        _read(tiny, b"\n".join(lines))


def test_a_stream_without_lines_is_refused(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "BLOCK", 1000)
    with pytest.raises(DataError, match="a line of more than"):
        _read(tiny, b"0" * 5000)


def test_continuous_pixels_are_kept_to_float32(tiny: Any) -> None:
    floating = tiny.with_spec(levels=None)
    pixels, _ = _read(floating, floating.text("train"))
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, floating.content.pixels)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_plain_error(data: bytes) -> None:
    from dae_cli.data.registry import REGISTRY

    with pytest.raises(DataError):
        read_rows(io.BytesIO(data), REGISTRY["convex"], 8, "f")
