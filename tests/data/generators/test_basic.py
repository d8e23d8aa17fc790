from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dae_cli.data.content import content_digest
from dae_cli.data.digits import Digits
from dae_cli.data.generators.basic import generate_basic
from dae_cli.data.generators.recipes import RECIPES
from dae_cli.data.registry import REGISTRY


def test_the_content_is_the_same_on_every_machine(digits: Digits) -> None:
    assert content_digest(REGISTRY["basic"], generate_basic(digits)) == RECIPES["basic"].sha256


def test_all_60_genuine_rows_match_bit_for_bit(
    digits: Digits, genuine: Callable[[str], Any]
) -> None:
    made = generate_basic(digits)
    rows = genuine("basic")
    pixels = np.concatenate([made.pixels, made.test_pixels])[rows.places]
    np.testing.assert_array_equal(pixels / 256, rows.greys)
    labels = np.concatenate([made.labels, made.test_labels])[rows.places]
    np.testing.assert_array_equal(labels, rows.labels)


def test_it_is_mnist_in_its_order() -> None:
    numbers = np.arange(70_000) % 251
    images = np.broadcast_to(numbers.astype(np.uint8)[:, None], (70_000, 784))
    stand_in = Digits(images, (numbers % 10).astype(np.uint8))
    made = generate_basic(stand_in)
    np.testing.assert_array_equal(made.pixels, stand_in.images[:12_000])
    np.testing.assert_array_equal(made.test_pixels, stand_in.images[12_000:62_000])
    np.testing.assert_array_equal(made.test_labels, stand_in.labels[12_000:62_000])


def test_it_is_the_only_recipe_that_gives_the_original() -> None:
    assert [name for name, recipe in RECIPES.items() if recipe.exact] == ["basic"]
