from __future__ import annotations

import numpy as np

from dae_cli.data.digits import Digits
from dae_cli.data.generators.digit_order import draw_digits, permutation, transposed
from dae_cli.data.generators.words import Words
from dae_cli.data.registry import REGISTRY


def test_the_same_seed_gives_the_same_order_on_every_machine() -> None:
    assert permutation(Words(1), 8).tolist() == [2, 4, 7, 5, 0, 6, 3, 1]


def test_every_number_comes_once_and_no_place_is_preferred() -> None:
    orders = np.array([permutation(Words(seed), 5) for seed in range(2000)])
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(5), (2000, 1)))
    counts = np.array([np.bincount(place, minlength=5) for place in orders.T])
    assert np.abs(counts - 400).max() < 80


def test_digits_keep_their_labels_and_none_comes_twice() -> None:
    numbers = np.arange(70_000)
    images = np.zeros((70_000, 784), dtype=np.uint8)
    images[:, 0], images[:, 1], images[:, 2] = numbers & 255, numbers >> 8 & 255, numbers >> 16
    chosen = draw_digits(Words(2), Digits(images, (numbers % 10).astype(np.uint8)), REGISTRY["rot"])
    found = chosen.images[:, :3].astype(np.int64) @ [1, 256, 65536]
    assert found.shape == (62_000,)
    assert len(np.unique(found)) == 62_000
    np.testing.assert_array_equal(chosen.labels, found % 10)


def test_transposing_exchanges_rows_and_columns_and_undoes_itself() -> None:
    images = np.arange(2 * 784).reshape(2, 784)
    turned = transposed(images)
    np.testing.assert_array_equal(turned[1].reshape(28, 28), images[1].reshape(28, 28).T)
    np.testing.assert_array_equal(transposed(turned), images)
