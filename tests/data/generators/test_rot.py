"""The whole set takes some seconds to make; what it is made of is tested in test_rotation.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dae_cli.data.content import Content, content_digest
from dae_cli.data.digits import Digits
from dae_cli.data.generators.digit_order import draw_digits, transposed
from dae_cli.data.generators.recipes import RECIPES
from dae_cli.data.generators.rot import SEED, as_printed, generate_rot
from dae_cli.data.generators.rotation import rotated
from dae_cli.data.generators.words import Words
from dae_cli.data.registry import REGISTRY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(digits: Digits) -> Content:
    return generate_rot(digits)


def test_the_content_is_the_same_on_every_machine(made: Content) -> None:
    assert content_digest(REGISTRY["rot"], made) == RECIPES["rot"].sha256


def test_rows_are_turned_digits_of_six_decimals_stored_transposed(
    made: Content, digits: Digits
) -> None:
    words = Words(SEED)
    chosen = draw_digits(words, digits, REGISTRY["rot"])
    across, down = words.directions(62_000)
    upright = transposed(made.test_pixels[-50:])
    turned = as_printed(rotated(chosen.images[-50:], across[-50:], down[-50:]) / 256)
    np.testing.assert_array_equal(upright, turned.astype(np.float32))
    np.testing.assert_array_equal(made.test_labels, chosen.labels[12_000:])
    np.testing.assert_array_equal(made.labels, chosen.labels[:12_000])


def test_the_nonzero_share_and_the_histogram_are_those_of_the_genuine_rows(
    made: Content, genuine: Callable[[str], Any]
) -> None:
    theirs = genuine("rot").greys
    assert (made.test_pixels > 0).mean() == pytest.approx((theirs > 0).mean(), abs=0.005)
    bins = np.array([1e-6, 0.1, 0.3, 0.5, 0.7, 0.9, 1])
    ours_share = np.histogram(made.test_pixels, bins)[0] / made.test_pixels.size
    np.testing.assert_allclose(ours_share, np.histogram(theirs, bins)[0] / theirs.size, atol=0.01)
    assert made.test_pixels.max() < 1
