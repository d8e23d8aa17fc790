from __future__ import annotations

import numpy as np
import pytest

from dae_cli.data.content import Content, content_digest
from dae_cli.data.generators.photographs import small_photographs
from dae_cli.data.generators.recipes import RECIPES
from dae_cli.data.generators.rect_img import allowed_sides, draw_insides, generate_rect_img
from dae_cli.data.generators.words import Words
from dae_cli.data.registry import REGISTRY


@pytest.fixture(scope="module")
def made() -> Content:
    return generate_rect_img()


def test_the_content_is_the_same_on_every_machine(made: Content) -> None:
    assert content_digest(REGISTRY["rect-img"], made) == RECIPES["rect-img"].sha256


def test_it_has_the_sizes_of_the_original_and_balanced_labels(made: Content) -> None:
    assert made.pixels.shape == (12_000, 784)
    assert made.test_pixels.shape == (50_000, 784)
    assert made.labels.mean() == pytest.approx(0.5, abs=0.02)
    assert made.test_labels.mean() == pytest.approx(0.5, abs=0.01)


def test_the_test_rows_are_not_the_training_rows(made: Content) -> None:
    seen = {row.tobytes() for row in made.pixels}
    assert len(seen) == 12_000
    assert not any(row.tobytes() in seen for row in made.test_pixels)


def test_rectangles_obey_the_recipe() -> None:
    mask, labels = draw_insides(Words(8), 20_000)
    images = mask.reshape(-1, 28, 28)
    height = images.any(axis=2).sum(axis=1)
    width = images.any(axis=1).sum(axis=1)
    area = images.sum(axis=(1, 2))
    np.testing.assert_array_equal(area, height * width)  # a full rectangle
    assert area.min() >= 0.25 * 784
    assert area.max() <= 0.75 * 784
    assert min(height.min(), width.min()) >= 10
    assert np.abs(height - width).min() >= 5
    np.testing.assert_array_equal(labels, height > width)


def test_every_allowed_pair_of_sides_and_every_corner_occurs() -> None:
    mask, _ = draw_insides(Words(9), 20_000)
    images = mask.reshape(-1, 28, 28)
    sides = {
        *zip(
            images.any(axis=2).sum(axis=1).tolist(),
            images.any(axis=1).sum(axis=1).tolist(),
            strict=True,
        )
    }
    assert sides == {(int(h), int(w)) for h, w in allowed_sides()}
    assert images[:, 0].any()
    assert images[:, 27].any()
    assert images[:, :, 0].any()
    assert images[:, :, 27].any()


def test_the_top_left_pixels_come_from_a_shrunk_photograph(made: Content) -> None:
    row = made.pixels[0].reshape(28, 28)
    found = 0
    for grey in small_photographs():
        windows = np.lib.stride_tricks.sliding_window_view(grey, (28, 28))
        top = np.argwhere((windows[:, :, 0, :8] == row[0, :8]).all(axis=2))
        found += len(top)
    assert found >= 1
