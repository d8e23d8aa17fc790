from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from dae_cli.data.content import as_dataset
from dae_cli.data.dataset import Greys, Split
from dae_cli.errors import DataError


def _split(n: int) -> Split:
    pixels = (np.arange(n * 784) % 256).astype(np.uint8).reshape(n, 784)
    return Split(pixels, np.arange(n, dtype=np.uint8), 1 / 255)


def test_grey_values_are_pixels_times_scale_from_0_to_exactly_1() -> None:
    greys = _split(3).as_float()
    assert greys.dtype == np.float32
    assert greys.flags.c_contiguous
    assert greys.min() == 0
    assert greys.max() == 1
    np.testing.assert_array_equal(greys, (_split(3).pixels / 255).astype(np.float32))


def test_rows_may_be_a_slice_or_indices() -> None:
    split = _split(5)
    np.testing.assert_array_equal(split.as_float(slice(1, 3)), split.as_float()[1:3])
    np.testing.assert_array_equal(split.as_float(np.array([4, 0])), split.as_float()[[4, 0]])


def test_float_pixels_are_copied_not_shared() -> None:
    pixels = np.full((2, 784), 0.25, dtype=np.float32)
    greys = Split(pixels, np.zeros(2, dtype=np.uint8), 1.0).as_float()
    greys[:] = 9
    assert pixels.max() == 0.25


def test_a_subset_is_spread_over_the_split_not_its_first_rows() -> None:
    np.testing.assert_array_equal(_split(10).take(4).labels, [0, 2, 5, 7])
    np.testing.assert_array_equal(_split(10).take(10).labels, np.arange(10))


@pytest.mark.parametrize("n", [0, 11])
def test_a_subset_of_no_rows_or_too_many_is_refused(n: int) -> None:
    with pytest.raises(DataError, match=f"subset of {n} rows"):
        _split(10).take(n)


def test_the_last_rows_of_the_training_file_are_the_validation_set(tiny: Any) -> None:
    dataset = as_dataset(tiny.spec, tiny.content, "original", tiny.sha256)
    assert (len(dataset.train), len(dataset.valid), len(dataset.test)) == (6, 2, 5)
    np.testing.assert_array_equal(dataset.valid.pixels, tiny.content.pixels[-2:])
    np.testing.assert_array_equal(dataset.valid.labels, tiny.content.labels[-2:])


BYTES = (np.arange(7 * 784) % 256).astype(np.uint8).reshape(7, 784)
REALS = np.random.default_rng(0).random((7, 784), dtype=np.float32)
KINDS: dict[str, tuple[Any, float]] = {
    "255 levels": (BYTES, 1 / 255),
    "256 levels": (BYTES, 1 / 256),
    "bits": (BYTES % 2, 1.0),
    "reals": (REALS, 1.0),
    "a scale of no use": (BYTES, 0.0123),
    "reals of another scale": (REALS, 0.3),
}


def _room(rows: int, padding: int) -> Any:
    """Memory for rows, of which each begins `padding` numbers after the end of the last."""
    return np.full((rows, 784 + padding), np.nan, dtype=np.float32)[:, :784]


def _of_kind(kind: str) -> Split:
    pixels, scale = KINDS[kind]
    return Split(pixels, np.zeros(7, dtype=np.uint8), scale)


@pytest.mark.parametrize("padding", [0, 16])
@pytest.mark.parametrize("kind", KINDS)
def test_gathered_greys_are_those_of_as_float_bit_for_bit(kind: str, padding: int) -> None:
    split = _of_kind(kind)
    greys = Greys(split, 5)
    for rows in ([6, 0, 3, 3, 1], [2], [], [5, 4]):
        out = _room(len(rows), padding)
        greys.into(np.array(rows, dtype=np.intp), out)
        assert out.tobytes() == split.as_float(np.array(rows, dtype=np.intp)).tobytes()


@pytest.mark.parametrize("levels", [1, 2, 15, 100, 254, 255, 256])
def test_dividing_a_byte_by_the_levels_gives_its_grey_value_bit_for_bit(levels: int) -> None:
    split = Split(np.arange(256, dtype=np.uint8)[:, None], np.zeros(256, np.uint8), 1 / levels)
    out = np.empty((256, 1), dtype=np.float32)
    Greys(split, 256).into(np.arange(256), out)
    assert out.tobytes() == split.as_float().tobytes()


@pytest.mark.parametrize("padding", [0, 16])
@pytest.mark.parametrize("kind", ["255 levels", "256 levels", "bits", "reals"])
def test_gathering_allocates_nothing_and_leaves_the_pixels(kind: str, padding: int) -> None:
    split = _of_kind(kind)
    before = split.pixels.tobytes()
    greys, out, rows = Greys(split, 5), _room(5, padding), np.array([4, 2, 6, 0, 1])
    greys.into(rows, out)
    tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        start, _ = tracemalloc.get_traced_memory()
        greys.into(rows, out)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - start < 2000  # a row alone is 784 bytes or more, the minibatch five of them
    assert split.pixels.tobytes() == before
