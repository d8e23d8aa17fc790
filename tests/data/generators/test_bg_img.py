from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dae_cli.data.content import Content, canonical_pixels, content_digest
from dae_cli.data.digits import Digits
from dae_cli.data.generators.bg_img import SEED, generate_bg_img
from dae_cli.data.generators.digit_order import draw_digits, transposed
from dae_cli.data.generators.recipes import RECIPES
from dae_cli.data.generators.words import Words
from dae_cli.data.registry import REGISTRY


@pytest.fixture(scope="module")
def made(digits: Digits) -> Content:
    return generate_bg_img(digits)


@pytest.fixture(scope="module")
def chosen(digits: Digits) -> Digits:
    """The digits of the rows, upright."""
    return draw_digits(Words(SEED), digits, REGISTRY["bg-img"])


def _is_composed(upright: NDArray[Any], digit: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether each pixel is the digit's k/256, or a k/255 that is not darker."""
    steps = upright.astype(np.float64) * 255
    of_a_patch = (np.abs(steps - np.rint(steps)) < 2e-5) & (upright > digit / 256 - 1e-7)
    of_the_digit = np.abs(upright - digit / 256) < 1e-7
    return np.asarray(of_a_patch | of_the_digit)


def _free_deviations(upright: NDArray[Any], digit: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Standard deviation of each row over the pixels that the digit leaves free, of 255."""
    return np.array(
        [255 * row[ink == 0].std() for row, ink in zip(upright, digit, strict=True)], dtype=float
    )


def test_the_content_is_the_same_on_every_machine(made: Content) -> None:
    assert content_digest(REGISTRY["bg-img"], made) == RECIPES["bg-img"].sha256


def test_every_pixel_is_the_greater_of_digit_and_patch(made: Content, chosen: Digits) -> None:
    digit = chosen.images[12_000:14_000]
    assert _is_composed(transposed(made.test_pixels[:2000]), digit).all()
    np.testing.assert_array_equal(made.test_labels, chosen.labels[12_000:])


def test_so_is_every_pixel_of_the_60_genuine_rows(
    digits: Digits, genuine: Callable[[str], Any], identified: dict[str, NDArray[np.int64]]
) -> None:
    rows, numbers = genuine("bg-img"), identified["bg-img"]
    assert _is_composed(rows.upright, digits.images[numbers]).all()
    np.testing.assert_array_equal(digits.labels[numbers], rows.labels)


def test_backgrounds_vary_as_those_of_the_genuine_rows(
    made: Content,
    chosen: Digits,
    digits: Digits,
    genuine: Callable[[str], Any],
    identified: dict[str, NDArray[np.int64]],
) -> None:
    theirs = _free_deviations(genuine("bg-img").upright, digits.images[identified["bg-img"]])
    ours = _free_deviations(transposed(made.pixels[:3000]), chosen.images[:3000])
    assert theirs.min() == pytest.approx(32.9, abs=0.1)
    assert np.quantile(ours, 1 / 60) == pytest.approx(theirs.min(), abs=2)
    quartiles = [0.25, 0.5, 0.75]
    np.testing.assert_allclose(np.quantile(ours, quartiles), np.quantile(theirs, quartiles), atol=4)


def test_backgrounds_are_what_the_text_of_the_original_is_read_as(
    made: Content, genuine: Callable[[str], Any]
) -> None:
    theirs = np.unique(canonical_pixels(genuine("bg-img").greys, REGISTRY["bg-img"], "rows"))
    assert len(theirs) == 489  # of 511: 256 k/255, 256 k/256, and both have 0
    assert np.isin(theirs, np.unique(made.pixels)).all()
