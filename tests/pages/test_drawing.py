"""Sheets of greys, and the drawing of what corruption is."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dae_cli.pages.drawing import destroyed_drawing, sheet_greys, sheet_png


def _pixels(png: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(BytesIO(png)) as image:
        return np.asarray(image.convert("L"))


def test_unit_k_is_tile_k_and_its_greys_are_kept_to_a_step() -> None:
    greys = np.random.default_rng(0).integers(0, 256, (23, 784)).astype(np.uint8)
    png, size = sheet_png(greys)
    assert size == (280, 84)
    tiles = _pixels(png).reshape(3, 28, 10, 28).transpose(0, 2, 1, 3).reshape(30, 784)
    assert np.abs(tiles[:23].astype(int) - greys).max() <= 16
    assert len(np.unique(tiles[23:])) == 1


@pytest.mark.parametrize("units", [1, 10, 37])
def test_a_sheet_tells_the_greys_it_was_drawn_from(units: int) -> None:
    greys = np.random.default_rng(0).integers(0, 256, (units, 784), dtype=np.uint8)
    read = sheet_greys(sheet_png(greys)[0])
    assert read.shape == greys.shape
    assert np.abs(read.astype(int) - greys).max() <= 16


def test_a_picture_that_is_no_sheet_has_no_tiles() -> None:
    for size in ((27, 28), (28, 30), (1, 1)):
        buffer = BytesIO()
        Image.new("L", size, 7).save(buffer, format="PNG")
        assert sheet_greys(buffer.getvalue()).shape == (0, 784)


def test_equal_greys_stay_equal_and_black_and_white_are_ends() -> None:
    greys = np.repeat(np.array([[0], [255]], dtype=np.uint8), 784, axis=1)
    assert set(np.unique(_pixels(sheet_png(greys)[0])[:, :56])) == {0, 255}


def test_a_sheet_of_noise_is_small() -> None:
    weights = np.random.default_rng(0).normal(128, 40, (100, 784)).clip(0, 255).astype(np.uint8)
    assert len(sheet_png(weights)[0]) < 55_000


@pytest.mark.parametrize("percent", [0, 10, 25, 50, 100])
def test_the_share_that_is_named_is_destroyed(percent: int) -> None:
    clean, destroyed = _pixels(destroyed_drawing(0)), _pixels(destroyed_drawing(percent))
    lit = clean > 0
    assert not (destroyed[~lit] > 0).any()
    share = 1 - (destroyed[lit] > 0).sum() / lit.sum()
    assert share == pytest.approx(percent / 100, abs=0.06)
