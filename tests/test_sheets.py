"""Sheets of filters of images that are not square: tiles, zoom, and reading a run's sheet."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.entry_points.figures import read_run_sheet, save_run_sheet, save_sheet, upright
from tests.entry_points.filters import DaeError
from tests.support.sheets import BACKGROUND, in_rows, limit_of, pixels, texts_of, tiles_in

Array = NDArray[Any]
TALL, WIDE = (12, 10), (10, 12)


def weights(units: int, seed: int = 0, inputs: int = 120) -> Array:
    """Random weights, different for each unit."""
    return np.random.default_rng(seed).normal(0, 0.5, (units, inputs)).astype(np.float32)


def greys(layer: Array, image: tuple[int, ...], limit: float) -> list[Array]:
    """The tiles of a layer: mid grey is 0; ±limit and beyond are white and black."""
    share = np.clip(layer.astype(np.float64) / limit, -1, 1)
    return list(np.floor(128 + 127.5 * share).astype(np.uint8).reshape(-1, *image))


@pytest.mark.parametrize("image", [TALL, WIDE])
def test_every_weight_is_a_square_of_pixels_whatever_the_images_height_and_width(
    tmp_path: Path, image: tuple[int, int]
) -> None:
    first, second = weights(7), weights(6, 1)
    times = round(56 / image[0])
    save_sheet(tmp_path / "two.png", [first, second], [image, image], (2, 4))
    picture, limit = pixels(tmp_path / "two.png"), limit_of(first, second)
    places = [tiles_in(picture, greys(own, image, limit), times) for own in (first, second)]
    assert all(in_rows(found, 4) for found in places)
    (top, left), (_, right) = places[0][6], places[0][3]
    blank = picture[top : top + times * image[0], left + times * image[1] : right]
    assert (blank == BACKGROUND).all()
    save_sheet(tmp_path / "zoom.png", [first, second], [image, image], (0, 0), units=[5, 2])
    large, chosen = round(224 / image[0]), [own[[5, 2]] for own in (first, second)]
    tiles = [greys(own, image, limit_of(*chosen)) for own in chosen]
    in_order = [tiles[panel][row] for row in (0, 1) for panel in (0, 1)]
    assert in_rows(tiles_in(pixels(tmp_path / "zoom.png"), in_order, large), 2)


def test_the_scale_goes_from_black_to_white_within_a_frame(tmp_path: Path) -> None:
    save_sheet(tmp_path / "one.png", [np.zeros((4, 120), np.float32)], [TALL], (1, 4))
    picture = pixels(tmp_path / "one.png").astype(int)
    tops, lefts = np.where(picture == 0)  # only the scale is black, because all weights are 0
    top, bottom, left = tops.min(), tops.max(), lefts.min()
    right = left + int(np.argmax(picture[top, left:] == picture[top - 1, left]))
    ramp = picture[top : bottom + 1, left:right]
    assert (np.diff(ramp, axis=1) >= 0).all() and ramp.max() == 255
    around = picture[top - 1 : bottom + 2, left - 1 : right + 1]
    for edge in (around[0], around[-1], around[:, 0], around[:, -1]):
        assert (edge == around[0, 0]).all() and 100 < edge[0] < 200
    assert (picture[top - 2, left - 2 : right + 2] == BACKGROUND).all()


@pytest.mark.parametrize("image", [TALL, WIDE, (11, 11), (5, 4, 3)])
def test_the_filters_of_a_run_are_read_from_its_sheet_as_they_were_saved(
    tmp_path: Path, image: tuple[int, ...]
) -> None:
    layer = weights(11, inputs=math.prod(image))
    save_run_sheet(tmp_path, "run", layer, image)
    found, limit = read_run_sheet(tmp_path, "run", image)
    assert limit == 1.0
    assert found is not None
    np.testing.assert_array_equal(found.reshape(-1, *image), greys(layer, image, limit))
    assert read_run_sheet(tmp_path, "run", (9, 17))[0] is None  # another image size
    *numbers, units = texts_of(tmp_path / "filters" / "run.png")["Tiles"].split()
    times = round(56 / image[0])
    size = f"{times * image[0]}x{times * image[1]}" if image[0] != image[1] else f"{times * 11}"
    assert (numbers[2], numbers[4:], units) == (size, ["3", "4"], "11")


def test_images_that_are_stored_transposed_are_turned_to_their_height_and_width() -> None:
    image = np.arange(120, dtype=np.float32).reshape(TALL)
    turned = upright(image.T.reshape(1, -1), TALL)
    np.testing.assert_array_equal(turned.reshape(TALL), image)


def test_images_of_two_sizes_do_not_stand_side_by_side(tmp_path: Path) -> None:
    with pytest.raises(DaeError, match="12x10, 10x12 inputs"):
        save_sheet(tmp_path / "two.png", [weights(2), weights(2)], [TALL, WIDE], (1, 2))
    assert not list(tmp_path.iterdir())
