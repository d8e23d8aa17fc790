from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dae_cli.data.content import Content, content_digest
from dae_cli.data.digits import Digits
from dae_cli.data.generators.bg_rand import SEED, generate_bg_rand
from dae_cli.data.generators.digit_order import draw_digits, transposed
from dae_cli.data.generators.recipes import RECIPES
from dae_cli.data.generators.words import Words
from dae_cli.data.registry import REGISTRY


@pytest.fixture(scope="module")
def made(digits: Digits) -> Content:
    return generate_bg_rand(digits)


@pytest.fixture(scope="module")
def chosen(digits: Digits) -> Digits:
    """The digits of the rows, upright."""
    return draw_digits(Words(SEED), digits, REGISTRY["bg-rand"])


def test_the_content_is_the_same_on_every_machine(made: Content) -> None:
    assert content_digest(REGISTRY["bg-rand"], made) == RECIPES["bg-rand"].sha256


def test_every_pixel_is_the_digits_or_brighter(made: Content, chosen: Digits) -> None:
    digit = transposed(chosen.images[12_000:17_000]) / 256
    pixels = made.test_pixels[:5000]
    assert (pixels >= digit).all()
    np.testing.assert_array_equal(made.test_labels[:5000], chosen.labels[12_000:17_000])
    inked = digit > 0
    # A uniform grey value stays below the digit's with the probability of the digit's value.
    assert (pixels == digit)[inked].mean() == pytest.approx(digit[inked].mean(), abs=0.003)


def test_the_background_is_uniform(made: Content, chosen: Digits) -> None:
    background = made.pixels[:5000][transposed(chosen.images[:5000]) == 0]
    counts = np.histogram(background, bins=50, range=(0, 1))[0] / len(background)
    np.testing.assert_allclose(counts, 0.02, atol=0.0004)
    assert background.max() < 1


def test_the_60_genuine_rows_are_composed_so_of_the_digits_found_in_them(
    digits: Digits, genuine: Callable[[str], Any], identified: dict[str, NDArray[np.int64]]
) -> None:
    rows, chosen = genuine("bg-rand"), identified["bg-rand"]
    digit = digits.images[chosen] / 256
    np.testing.assert_array_equal(digits.labels[chosen], rows.labels)
    assert (rows.upright >= digit).all()
    inked = digit > 0
    assert (rows.upright == digit)[inked].mean() == pytest.approx(digit[inked].mean(), abs=0.02)
    counts = np.histogram(rows.upright[~inked], bins=10, range=(0, 1))[0] / (~inked).sum()
    np.testing.assert_allclose(counts, 0.1, atol=0.006)


def test_the_histogram_of_all_pixels_is_that_of_the_genuine_rows(
    made: Content, genuine: Callable[[str], Any]
) -> None:
    ours = np.histogram(made.test_pixels[:5000], bins=10, range=(0, 1))[0] / (5000 * 784)
    theirs = np.histogram(genuine("bg-rand").greys, bins=10, range=(0, 1))[0] / (60 * 784)
    np.testing.assert_allclose(ours, theirs, atol=0.01)
