"""Contact sheets: every image at its place, upright, in true greys."""

from __future__ import annotations

import numpy as np
import pytest

from dae_cli.errors import ConfigError
from dae_cli.pictures.contact import MAGNIFICATION, Images, contact_sheet
from dae_cli.pictures.layout import Sheet, lay_out


def one_bright_pixel() -> np.ndarray:
    """A black image whose pixel in row 2, column 20 is white."""
    image = np.zeros((1, 28, 28), dtype=np.float32)
    image[0, 2, 20] = 1
    return image.reshape(1, 784)


def first_tile(panel: Images) -> np.ndarray:
    """The 28 × 28 greys of the first tile of a sheet of that panel."""
    sheet = np.asarray(contact_sheet([panel], tiles=(1, 2)))
    plan = Sheet((panel.title,), (1,), 28, MAGNIFICATION, (1, 2), "", "", ("0", "1"))
    left, top, right, bottom = lay_out(plan).grids[0].box(0)
    return sheet[top:bottom:MAGNIFICATION, left:right:MAGNIFICATION]


def test_a_tile_shows_its_image_pixel_for_pixel() -> None:
    tile = first_tile(Images(one_bright_pixel(), ""))
    assert np.argwhere(tile == 255).tolist() == [[2, 20]]
    assert np.count_nonzero(tile) == 1


def test_a_set_that_is_stored_transposed_is_shown_upright() -> None:
    tile = first_tile(Images(one_bright_pixel(), "", transposed=True))
    assert np.argwhere(tile == 255).tolist() == [[20, 2]]


def test_greys_are_those_of_the_data() -> None:
    image = np.full((1, 784), 0.5, dtype=np.float32)
    assert np.unique(first_tile(Images(image, ""))).tolist() == [128]


def test_two_panels_stand_side_by_side() -> None:
    panel = Images(one_bright_pixel(), "genuine")
    one = contact_sheet([panel], tiles=(6, 10))
    two = contact_sheet([panel, Images(one_bright_pixel(), "regenerated")], tiles=(6, 10))
    assert two.width > 1.8 * one.width


@pytest.mark.parametrize("tiles", [(0, 3), (3, 0)])
def test_an_empty_sheet_is_refused(tiles: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="at least one row, one column and one image"):
        contact_sheet([Images(one_bright_pixel(), "")], tiles=tiles)
    with pytest.raises(ConfigError, match="one image"):
        contact_sheet([Images(np.zeros((0, 784), np.float32), "")], tiles=(1, 1))
