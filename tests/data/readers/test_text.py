from __future__ import annotations

import io
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dae_cli.data.readers import text
from dae_cli.data.readers.text import read_rows
from dae_cli.data.registry import REGISTRY
from dae_cli.errors import DataError

same_set = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
"""For tests whose fixtures nobody changes."""


def _read(tiny: Any, data: bytes) -> Any:
    return read_rows(io.BytesIO(data), tiny.spec, 8, "tiny.amat")


def _refused(tiny: Any, data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        _read(tiny, data)


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
        lambda data: data.replace(b"   ", b", ").replace(b"\n, ", b"\n").removeprefix(b", "),
        lambda data: data.rstrip(b"\n"),
        lambda data: data.replace(b"\n", b"\r\n").rstrip(b"\r\n"),
        lambda data: data + b"\n\n",
        lambda data: data.replace(b"\n", b"\n\n \t\n"),
        lambda data: b"\n" + data,
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"0.0000000e+00", b"0"),
        lambda data: data.replace(b"e-0", b"e-00").replace(b"e+0", b"e+00"),
        lambda data: data.replace(b"e", b"E"),
    ],
    ids=[
        "single blanks",
        "CRLF",
        "tabs",
        "commas",
        "no last newline",
        "no last CRLF",
        "empty last lines",
        "empty lines",
        "empty first line",
        "byte order mark",
        "short zeros",
        "three digits of the exponent",
        "E",
    ],
)
def test_other_layouts_of_the_same_numbers_give_the_same_rows(tiny: Any, change: Any) -> None:
    data = change(tiny.text("train"))
    assert data != tiny.text("train")
    pixels, labels = _read(tiny, data)
    np.testing.assert_array_equal(pixels, tiny.content.pixels)
    np.testing.assert_array_equal(labels, tiny.content.labels)


FORMATS = ("{:.7e}", "{:.6f}", "{!r}", "{:.17g}", "{:.18e}", "{:>30.9f}", "{:010.7f}", "+{:.7f}")


@settings(same_set, max_examples=10)
@given(
    formats=st.lists(st.sampled_from(FORMATS), min_size=1, max_size=5),
    gaps=st.lists(st.sampled_from([" ", "\t", "    ", " \t "]), min_size=1, max_size=5),
    newline=st.sampled_from(["\n", "\r\n", "\n\n", " \n"]),
    start=st.sampled_from(["", " ", "\t"]),
)
def test_any_mixture_of_layouts_gives_the_same_rows(
    tiny: Any, formats: list[str], gaps: list[str], newline: str, start: str
) -> None:
    lines = []
    for row, label in zip(tiny.content.pixels, tiny.content.labels, strict=True):
        values = [*(row * tiny.spec.scale).tolist(), float(label)]
        fields = [formats[i % len(formats)].format(v) for i, v in enumerate(values)]
        gaps_here = [gaps[i % len(gaps)] for i in range(784)]
        parts = [part for pair in zip(fields, gaps_here, strict=False) for part in pair]
        lines.append(start + "".join(parts) + fields[-1] + newline)
    pixels, labels = _read(tiny, "".join(lines).encode())
    np.testing.assert_array_equal(pixels, tiny.content.pixels)
    np.testing.assert_array_equal(labels, tiny.content.labels)


@same_set
@given(data=st.data())
def test_a_changed_byte_is_refused_or_changes_only_its_own_field(tiny: Any, data: Any) -> None:
    good = tiny.text("train")
    place = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[place] = data.draw(st.integers(0, 255))
    try:
        pixels, labels = _read(tiny, bytes(bad))
    except DataError:
        return
    row, column = place // (785 * 16 + 1), min(place % (785 * 16 + 1) // 16, 784)
    rows = np.column_stack([pixels, labels])
    differ = rows != np.column_stack([tiny.content.pixels, tiny.content.labels])
    differ[row, column] = False
    assert not differ.any()


@same_set
@given(length=st.integers(0, 8 * (785 * 16 + 1) - 2))
def test_a_text_cut_anywhere_is_refused_or_has_lost_only_zeros(tiny: Any, length: int) -> None:
    try:
        _, labels = _read(tiny, tiny.text("train")[:length])
    except DataError:
        return
    assert tiny.text("train")[length:].strip(b"0+e\n") == b""  # "2.0000000" is 2 as well
    np.testing.assert_array_equal(labels, tiny.content.labels)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_plain_error(data: bytes) -> None:
    with pytest.raises(DataError):
        read_rows(io.BytesIO(data), REGISTRY["convex"], 8, "f")


def test_rows_that_straddle_blocks_are_whole(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for block in (20_000, 5_000):
        monkeypatch.setattr(text, "BLOCK", block)
        pixels, _ = _read(tiny, tiny.text("train"))
        np.testing.assert_array_equal(pixels, tiny.content.pixels)


def test_continuous_pixels_are_kept_to_float32(tiny: Any) -> None:
    floating = tiny.with_spec(levels=None)
    pixels, _ = _read(floating, floating.text("train"))
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, floating.content.pixels)


def test_a_file_cut_between_rows_is_refused(tiny: Any) -> None:
    data = b"\n".join(tiny.text("train").splitlines()[:6]) + b"\n"
    _refused(
        tiny,
        data,
        "tiny.amat: ends after 6 rows, expected 8 in the training file of tiny; "
        "it is truncated or belongs to another set or split; supply the whole file",
    )


def test_an_empty_file_is_refused(tiny: Any) -> None:
    for data in (b"", b"\n\n", b"\xef\xbb\xbf"):
        _refused(tiny, data, "tiny.amat: holds no rows, expected 8")


def test_a_file_cut_inside_a_row_is_refused_with_the_row(tiny: Any) -> None:
    _refused(tiny, tiny.text("train")[:-17], r"tiny.amat, row 8: 784 fields, expected 785")


def test_a_row_too_long_is_refused_even_when_its_neighbour_is_too_short(tiny: Any) -> None:
    lines = tiny.text("train").splitlines()
    lines[2], lines[3] = lines[2] + b"   0.0000000e+00", lines[3][16:]
    _refused(tiny, b"\n".join(lines), "row 3: 786 fields, expected 785")


def test_training_and_test_file_in_each_others_place_are_told(tiny: Any) -> None:
    _refused(
        tiny,
        tiny.text("test"),
        "holds 5 rows, as many as the test file, expected 8 in the training file of tiny; "
        "are the training file and the test file swapped",
    )
    with pytest.raises(DataError, match="holds 8 rows, as many as the training file, expected 5"):
        read_rows(io.BytesIO(tiny.text("train")), tiny.spec, 5, "f")


def test_a_file_of_too_many_rows_is_refused(tiny: Any) -> None:
    message = "more than 8 rows, expected 8 in the training file of tiny; is it the file of another"
    _refused(tiny, tiny.text("train") + tiny.text("test"), message)
    with pytest.raises(DataError, match="holds 7 rows, expected 5 in the test file"):
        seven = b"".join(tiny.text("train").splitlines(keepends=True)[:7])
        read_rows(io.BytesIO(seven), tiny.spec, 5, "f")


def test_a_test_file_of_10_000_rows_is_refused() -> None:
    row = b"   0.0000000e+00" * 785 + b"\n"
    with pytest.raises(DataError, match="ends after 10000 rows, expected 50000 in the test file"):
        read_rows(_Repeated(row, 10_000), REGISTRY["convex"], 50_000, "f")


@pytest.mark.parametrize("word", [b"nan", b"inf", b"1e999", b"-nan", b"Infinity"])
def test_values_that_are_not_finite_are_refused(tiny: Any, word: bytes) -> None:
    lines = tiny.text("train").splitlines()
    lines[4] = word.rjust(16) + lines[4][16:]
    _refused(tiny, b"\n".join(lines), r"row 5, pixel 1: (nan|inf) found")


@pytest.mark.parametrize(
    ("word", "shown"),
    [(b"hello", "hello"), (b"1_0", "1_0"), (b"0x1", "0x1"), (b"1.0.0", "1.0.0"), (b"\xff", "�")],
)
def test_a_word_that_is_no_number_is_refused_with_its_field(
    tiny: Any, word: bytes, shown: str
) -> None:
    lines = tiny.text("train").splitlines()
    lines[4] = lines[4][:32] + word.rjust(16) + lines[4][48:]
    _refused(tiny, b"\n".join(lines), f"row 5, field 3: '{shown}' found, expected a number; the")


def test_a_table_with_a_head_is_refused(tiny: Any) -> None:
    head = ",".join([*(f"pixel{i}" for i in range(784)), "label"]).encode()
    _refused(tiny, head + b"\n" + tiny.text("train"), "row 1, field 1: 'pixel0' found, expected a")


def test_an_empty_field_between_commas_is_refused(tiny: Any) -> None:
    _refused(tiny, b"," * 784 + b"\n", "row 1, field 1: '' found, expected a number")


def test_utf_16_is_named(tiny: Any) -> None:
    _refused(tiny, tiny.text("train").decode().encode("utf-16"), "is UTF-16 text; save it as plain")


def test_values_from_0_to_255_are_refused(tiny: Any) -> None:
    rows = np.column_stack([tiny.content.pixels, tiny.content.labels]).astype(float)
    stream = io.StringIO()
    np.savetxt(stream, rows, fmt="%16.7e", delimiter="")
    message = "expected a grey value from 0 to 1; it seems to be 0 to"
    _refused(tiny, stream.getvalue().encode(), message)


@pytest.mark.parametrize(("word", "shown"), [(b"3.0", "3"), (b"0.5", "0.5"), (b"-1", "-1")])
def test_a_label_out_of_range_is_refused(tiny: Any, word: bytes, shown: str) -> None:
    lines = tiny.text("train").splitlines()
    lines[1] = lines[1][:-16] + word.rjust(16)
    _refused(tiny, b"\n".join(lines), f"row 2: label {shown} found, expected a whole number from 0")


class _Repeated(io.BytesIO):
    """The same bytes again and again; counts how many are read."""

    def __init__(self, again: bytes, times: int = 1 << 60) -> None:
        super().__init__()
        self.again = again
        self.length = len(again) * times
        self.count = 0

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None and size >= 0
        size = min(size, self.length - self.count)
        start = self.count % len(self.again)
        self.count += size
        return (self.again * (size // len(self.again) + 2))[start : start + size]


@pytest.mark.parametrize(
    ("again", "message"),
    [
        (b"0", "a line of more than 50240 bytes, expected 785 fields a line"),
        (b"\0" * 100, "a line of more than 50240 bytes"),
        (b"0\n", "row 1: 1 fields, expected 785"),
        (b"\n", "more than 10048000 bytes, far more than the 785 fields of each row need"),
        (b"0 " * 784 + b"1\n", "more than 200 rows, expected 200 in the test file of convex"),
        (b"   0.0000000e+00" * 785 + b"\n", "more than 200 rows, expected 200"),
    ],
    ids=["one line", "one line of NUL", "short rows", "empty lines", "rows", "original rows"],
)
def test_a_stream_without_end_is_given_up_with_little_memory(again: bytes, message: str) -> None:
    spec = replace(REGISTRY["convex"], n_train=100, n_valid=50, n_test=200)
    stream = _Repeated(again)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=message):
            read_rows(stream, spec, spec.n_test, "f")
        assert tracemalloc.get_traced_memory()[1] < 60e6
    finally:
        tracemalloc.stop()
    assert stream.count < 13e6
