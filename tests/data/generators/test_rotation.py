from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dae_cli.data.digits import Digits
from dae_cli.data.generators.rot import as_printed
from dae_cli.data.generators.rotation import OUTER, exponential, rotated
from dae_cli.data.generators.words import Words


def _strokes(n: int) -> NDArray[np.uint8]:
    """Images of a bright cross of uneven arms, (n, 784)."""
    images = np.zeros((n, 28, 28), dtype=np.uint8)
    images[:, 5:20, 12:15] = 250
    images[:, 8:10, 6:24] = 130
    return images.reshape(n, 784)


def _by_definition(image: NDArray[np.uint8], angle: float) -> NDArray[np.float64]:
    """The rule as it is stated: the weighted mean over all 784 pixels of the digit."""
    y, x = np.mgrid[0:28, 0:28].reshape(2, -1) - 13.5
    row = np.cos(angle) * y - np.sin(angle) * x + 13.5
    column = np.sin(angle) * y + np.cos(angle) * x + 13.5
    y, x = np.mgrid[0:28, 0:28].reshape(2, -1)
    square = (row[:, None] - y) ** 2 + (column[:, None] - x) ** 2
    square -= square.min(axis=1, keepdims=True)
    weights = np.exp(-square / (2 * 0.3**2))
    mean: NDArray[np.float64] = weights @ image / weights.sum(axis=1)
    return mean


def test_the_numbers_are_the_same_on_every_machine() -> None:
    across, down = Words(7).directions(300)
    turned = rotated(_strokes(300), across, down)
    digest = hashlib.sha256(turned.astype("<f8").tobytes()).hexdigest()
    assert digest[:16] == "480157ceb147807b"


@pytest.mark.parametrize("angle", [0.3, 2.2, 3.5, 5.9])
def test_four_by_four_pixels_are_as_good_as_all(angle: float) -> None:
    (turned,) = rotated(_strokes(1), np.array([np.cos(angle)]), np.array([np.sin(angle)]))
    np.testing.assert_allclose(turned, _by_definition(_strokes(1)[0], angle), atol=1e-6)


def test_ink_at_the_edge_is_weighted_as_all_other_ink() -> None:
    image = np.full((1, 784), 200, dtype=np.uint8)
    image[0, ::3] = 10
    angle = 0.8
    (turned,) = rotated(image, np.array([np.cos(angle)]), np.array([np.sin(angle)]))
    np.testing.assert_allclose(turned, _by_definition(image[0], angle), atol=1e-6)


def test_quarter_turns_move_the_pixels() -> None:
    image = _strokes(1)
    square = image.reshape(28, 28)
    for across, down, expected in (
        (1, 0, square),
        (0, 5, np.rot90(square, -1)),
        (-3, 0, np.rot90(square, 2)),
        (0, -1, np.rot90(square, 1)),
    ):
        (turned,) = rotated(image, np.array([across]), np.array([down]))
        # A whole pixel beside weighs exp(-1 / .18), .4 % of the pixel itself.
        assert np.abs(turned.reshape(28, 28) - expected).max() < 255 * 0.008


def test_the_exponential_is_exact_to_the_last_digits() -> None:
    x = np.linspace(-95, 95, 20_001)
    np.testing.assert_allclose(exponential(x), np.exp(x), rtol=1e-15)
    assert np.exp(-1 / 0.09) == pytest.approx(OUTER, rel=1e-15)


def test_the_60_genuine_rows_of_rot_come_out_in_their_six_decimals(
    digits: Digits, genuine: Callable[[str], Any], identified: dict[str, NDArray[np.float64]]
) -> None:
    numbers, angles = identified["rot"].T
    rows, chosen = genuine("rot"), numbers.astype(int)
    turned = as_printed(rotated(digits.images[chosen], np.cos(angles), np.sin(angles)) / 256)
    np.testing.assert_array_equal(digits.labels[chosen], rows.labels)
    assert np.abs(turned - rows.upright).max() < 1.1e-6
    assert (turned == rows.upright).mean() > 0.997


def test_the_60_genuine_rows_of_rot_bg_img_come_out_to_the_eighth_digit(
    digits: Digits, genuine: Callable[[str], Any], identified: dict[str, NDArray[np.float64]]
) -> None:
    numbers, angles = identified["rot-bg-img"].T
    rows, chosen = genuine("rot-bg-img"), numbers.astype(int)
    turned = rotated(digits.images[chosen], np.cos(angles), np.sin(angles)) / 255
    np.testing.assert_array_equal(digits.labels[chosen], rows.labels)
    steps = rows.upright * 255
    patch = (np.abs(steps - np.rint(steps)) < 2e-5) & (turned < rows.upright + 1e-6)
    assert np.abs(turned - rows.upright)[~patch].max() < 2e-8
    assert patch.mean() == pytest.approx(0.863, abs=0.001)
