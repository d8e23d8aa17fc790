from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dae_cli.data.content import as_dataset
from dae_cli.data.dataset import Split
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
