from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from dae_cli.data.content import Content, content_digest
from dae_cli.data.generators.convex import (
    draw_convex,
    draw_half_planes,
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
    assert area[:25_000].min() == 20
    assert area[25_000:].min() > 11
    assert area[:25_000].max() == 784


AREAS = {  # of the genuine test file: mean, percentiles 5/25/50/75/95
    "convex": (301.4, 23, 74, 245, 504, 733),
    "not convex": (303.4, 31, 94, 252, 487, 715),
}


def _areas(regions: np.ndarray) -> list[float]:
    area = regions.reshape(len(regions), -1).sum(axis=1, dtype=int)
    return [area.mean(), *np.percentile(area, [5, 25, 50, 75, 95])]


@pytest.mark.slow
@pytest.mark.parametrize("name", AREAS)
def test_areas_are_those_of_the_genuine_test_file(made: Content, name: str) -> None:
    ours = made.test_pixels[:25_000] if name == "convex" else made.test_pixels[25_000:]
    assert _areas(ours) == pytest.approx(AREAS[name], rel=0.05, abs=2)


@pytest.mark.slow
def test_level_and_all_white_regions_are_as_frequent_as_in_the_genuine_test_file(
    made: Content,
) -> None:
    regions = made.test_pixels[:25_000].reshape(-1, 28, 28)
    white = regions.all(axis=(1, 2))
    bands = (regions == regions[:, :, :1]).all(axis=(1, 2))
    bands |= (regions == regions[:, :1, :]).all(axis=(1, 2))
    assert (bands & ~white).mean() == pytest.approx(0.0158, abs=0.003)
    assert white.mean() == pytest.approx(0.0022, abs=0.001)


@pytest.mark.slow
def test_regions_that_are_not_convex_come_in_pieces_as_often_as_the_genuine(made: Content) -> None:
    regions = made.test_pixels[25_000::5].reshape(-1, 28, 28)
    pieces = [ndimage.label(region, structure=np.ones((3, 3)))[1] for region in regions]
    shares = np.bincount(pieces)[1:5] / len(pieces)
    np.testing.assert_allclose(shares, [0.430, 0.402, 0.142, 0.027], atol=0.02)


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
    assert convex.sum(axis=(1, 2)).min() == 20
    assert other.sum(axis=(1, 2)).min() > 11


@pytest.mark.parametrize("name", AREAS)
def test_a_small_draw_has_areas_near_the_genuine(name: str) -> None:
    regions = (draw_convex if name == "convex" else draw_non_convex)(Words(13), 4000)
    assert _areas(regions) == pytest.approx(AREAS[name], rel=0.1, abs=4)


def test_a_half_plane_is_made_of_two_white_pixels_of_its_region() -> None:
    regions = np.zeros((400, 28, 28), dtype=np.bool_)
    regions[:, 3, 5] = regions[:, 9, 27] = True
    made = draw_half_planes(Words(14), regions)
    y, x = np.mgrid[:28, :28]
    near = (y - 3) * 6 + (x - 5) * 22 >= 0
    far = (9 - y) * 6 + (27 - x) * 22 >= 0
    kinds = [(made == expected).all(axis=(1, 2)) for expected in (near, far, np.True_)]
    assert sum(kinds).all()
    assert [int(kind.sum()) for kind in kinds] == pytest.approx([100, 100, 200], abs=30)


def test_a_half_plane_never_takes_its_own_two_pixels_away() -> None:
    words = Words(15)
    regions = draw_convex(words, 1000)
    left = regions & draw_half_planes(words, regions)
    assert left.sum(axis=(1, 2)).min() >= 1
    assert (left <= regions).all()
    assert is_convex(left).all()


def test_a_small_draw_is_the_same_on_every_machine() -> None:
    words = Words(12)
    images = np.concatenate([draw_convex(words, 200), draw_non_convex(words, 200)])
    assert hashlib.sha256(np.packbits(images).tobytes()).hexdigest()[:16] == "04c70496941590af"
