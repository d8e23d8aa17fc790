from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from dae_cli.data.content import Content, content_digest
from dae_cli.data.generators.convex import (
    draw_convex,
    draw_non_convex,
    generate_convex,
    is_convex,
)
from dae_cli.data.generators.recipes import RECIPES
from dae_cli.data.generators.words import Words
from dae_cli.data.registry import REGISTRY


@pytest.fixture(scope="module")
def made() -> Content:
    return generate_convex()


def _region(rows: str) -> np.ndarray:
    """An image from rows of # and ., in the top left corner."""
    image = np.zeros((1, 28, 28), dtype=np.bool_)
    for y, row in enumerate(rows.split()):
        image[0, y, : len(row)] = [mark == "#" for mark in row]
    return image


@pytest.mark.slow
def test_the_content_is_the_same_on_every_machine(made: Content) -> None:
    assert content_digest(REGISTRY["convex"], made) == RECIPES["convex"].sha256


@pytest.mark.slow
def test_the_test_rows_are_sorted_by_class_as_in_the_original(made: Content) -> None:
    assert made.test_labels[:25_000].all()
    assert not made.test_labels[25_000:].any()


@pytest.mark.slow
def test_training_and_validation_rows_are_mixed(made: Content) -> None:
    for labels in (made.labels[:6000], made.labels[6000:]):
        assert labels.mean() == pytest.approx(0.5, abs=0.04)
        assert labels[:100].mean() == pytest.approx(0.5, abs=0.2)


@pytest.mark.slow
def test_labels_tell_convex_regions_from_others(made: Content) -> None:
    regions = made.pixels.reshape(-1, 28, 28).astype(np.bool_)
    np.testing.assert_array_equal(is_convex(regions), made.labels == 1)


@pytest.mark.slow
def test_pixels_are_0_or_1_and_regions_have_the_least_area(made: Content) -> None:
    assert set(np.unique(made.test_pixels)) == {0, 1}
    area = made.test_pixels.sum(axis=1, dtype=int)
    assert area[:25_000].min() == 19
    assert area[25_000:].min() > 10
    assert area[:25_000].max() == 784


@pytest.mark.parametrize(
    "rows", ["#", "####", "# #", "### ### ###", "#... .#.. ..#.", "..#. .### ..#."]
)
def test_convex_regions_are_seen_as_convex(rows: str) -> None:
    assert is_convex(_region(rows)).all()


@pytest.mark.parametrize(
    "rows",
    ["#.#", "# . #", "### #.# ###", "### #.. #..", "#.... ..... ..... ....#", "##.. ..## ####"],
)
def test_other_regions_are_seen_as_not_convex(rows: str) -> None:
    assert is_convex(_region(rows)).tolist() == [rows == "#.... ..... ..... ....#"]


def test_the_genuine_labels_obey_the_same_definition(test_data: Path) -> None:
    with np.load(test_data / "convex" / "convex.npz") as genuine:
        rows = genuine["Xtest"][::10]
        labels = genuine["Ytest"][::10]
    regions = rows.reshape(-1, 28, 28).astype(np.bool_)
    np.testing.assert_array_equal(is_convex(regions), labels == 1)


def test_drawing_gives_the_class_and_the_least_area_that_were_asked_for() -> None:
    words = Words(11)
    convex, other = draw_convex(words, 2000), draw_non_convex(words, 2000)
    assert is_convex(convex).all()
    assert not is_convex(other).any()
    assert convex.sum(axis=(1, 2)).min() == 19
    assert other.sum(axis=(1, 2)).min() > 10


def test_a_small_draw_is_the_same_on_every_machine() -> None:
    words = Words(12)
    images = np.concatenate([draw_convex(words, 200), draw_non_convex(words, 200)])
    assert hashlib.sha256(np.packbits(images).tobytes()).hexdigest()[:16] == "560dcc59dce1da56"
