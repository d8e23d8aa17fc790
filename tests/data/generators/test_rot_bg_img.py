"""The whole set takes some seconds to make; its parts are tested beside their modules."""

from __future__ import annotations

import numpy as np
import pytest

from dae_cli.data.content import Content, content_digest
from dae_cli.data.digits import Digits
from dae_cli.data.generators.digit_order import draw_digits, transposed
from dae_cli.data.generators.recipes import RECIPES
from dae_cli.data.generators.rot_bg_img import SEED, generate_rot_bg_img
from dae_cli.data.generators.rotation import rotated
from dae_cli.data.generators.words import Words
from dae_cli.data.registry import REGISTRY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(digits: Digits) -> Content:
    return generate_rot_bg_img(digits)


def test_the_content_is_the_same_on_every_machine(made: Content) -> None:
    assert content_digest(REGISTRY["rot-bg-img"], made) == RECIPES["rot-bg-img"].sha256


def test_every_pixel_is_the_greater_of_turned_digit_and_patch(
    made: Content, digits: Digits
) -> None:
    words = Words(SEED)
    chosen = draw_digits(words, digits, REGISTRY["rot-bg-img"])
    across, down = words.directions(62_000)
    turned = rotated(chosen.images[:500], across[:500], down[:500])
    steps = transposed(made.pixels[:500]).astype(np.float64) * 255
    patch = np.abs(steps - np.rint(steps)) < 3e-5
    assert (steps >= turned - 3e-5).all()
    np.testing.assert_allclose(steps[~patch], turned[~patch], atol=3e-5)
    assert patch.mean() == pytest.approx(0.863, abs=0.02)  # of the genuine rows: .863
    np.testing.assert_array_equal(made.labels, chosen.labels[:12_000])


def test_the_least_deviation_of_a_free_background_is_that_of_the_genuine_rows(
    made: Content, digits: Digits
) -> None:
    words = Words(SEED)
    chosen = draw_digits(words, digits, REGISTRY["rot-bg-img"])
    across, down = words.directions(62_000)
    free = rotated(chosen.images[:3000], across[:3000], down[:3000]) < 1e-6
    upright = 255 * transposed(made.pixels[:3000])
    deviations = [row[dark].std() for row, dark in zip(upright, free, strict=True)]
    assert np.quantile(deviations, [0.005, 0.01]) == pytest.approx(30, abs=2)  # genuine: 30, 31
