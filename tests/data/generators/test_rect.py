from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dae_cli.data.content import Content, content_digest
from dae_cli.data.generators.recipes import RECIPES
from dae_cli.data.generators.rect import allowed_sides, draw_outlines, generate_rect
from dae_cli.data.generators.words import Words
from dae_cli.data.registry import REGISTRY


@pytest.fixture(scope="module")
def made() -> Content:
    return generate_rect()


def _corners_and_sides(pixels: NDArray[Any]) -> NDArray[np.int64]:
    """Top, left, height and width of the white part of each image, (n, 4)."""
    white = pixels.reshape(-1, 28, 28) > 0
    rows, columns = np.asarray(white.any(axis=2)), np.asarray(white.any(axis=1))
    top, left = rows.argmax(axis=1), columns.argmax(axis=1)
    bottom, right = 27 - rows[:, ::-1].argmax(axis=1), 27 - columns[:, ::-1].argmax(axis=1)
    return np.stack([top, left, bottom - top + 1, right - left + 1], axis=1)


def _obeys_the_recipe(pixels: NDArray[Any], labels: NDArray[Any]) -> None:
    for image, label, (top, left, height, width) in zip(
        pixels.reshape(-1, 28, 28), labels, _corners_and_sides(pixels), strict=True
    ):
        outline = np.zeros((28, 28))
        outline[top : top + height, left : left + width] = 1
        outline[top + 1 : top + height - 1, left + 1 : left + width - 1] = 0
        np.testing.assert_array_equal(image, outline)
        assert min(height, width) >= 4
        assert abs(height - width) >= 3
        assert label == (height > width)


def test_the_content_is_the_same_on_every_machine(made: Content) -> None:
    assert content_digest(REGISTRY["rect"], made) == RECIPES["rect"].sha256


def test_it_has_the_sizes_of_the_original_and_balanced_labels(made: Content) -> None:
    assert made.pixels.shape == (1200, 784)
    assert made.test_pixels.shape == (50_000, 784)
    assert made.labels.mean() == pytest.approx(0.5, abs=0.05)
    assert made.test_labels.mean() == pytest.approx(0.5, abs=0.01)


def test_every_image_is_an_outline_that_obeys_the_recipe(made: Content) -> None:
    _obeys_the_recipe(made.pixels, made.labels)


def test_so_is_every_genuine_row(genuine: Callable[[str], Any]) -> None:
    rows = genuine("rect")
    _obeys_the_recipe(rows.greys, rows.labels)


def test_all_506_pairs_of_sides_are_equally_likely(made: Content) -> None:
    _, _, height, width = _corners_and_sides(made.test_pixels).T
    pairs, counts = np.unique(height * 100 + width, return_counts=True)
    allowed = allowed_sides()
    assert len(allowed) == 506
    np.testing.assert_array_equal(pairs, np.sort(allowed[:, 0] * 100 + allowed[:, 1]))
    expected = 50_000 / 506
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert 380 < chi_square < 640  # 505 degrees of freedom: 505 ± 4 · 32


def test_all_places_are_equally_likely() -> None:
    pixels, _ = draw_outlines(Words(3), 40_000)
    top, left, height, width = _corners_and_sides(pixels).T
    for first, room in ((top, 28 - height), (left, 28 - width)):
        for free in (1, 2, 3):
            chosen = first[room == free]
            share = np.bincount(chosen, minlength=free + 1) / len(chosen)
            np.testing.assert_allclose(share, 1 / (free + 1), atol=0.05)
            assert len(share) == free + 1
