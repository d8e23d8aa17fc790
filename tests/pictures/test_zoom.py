"""The zoom on chosen units: each in its row, each level in its column, in the sheets' greys."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dae_cli.errors import ConfigError
from dae_cli.pictures.filters import Panel, greys
from dae_cli.pictures.zoom import lay_out_zoom, zoom

LEVELS = (0, 10, 25, 50)


def panels(units: int = 60) -> list[Panel]:
    random = np.random.default_rng(0)
    return [
        Panel(random.normal(0, 0.5, (units, 784)).astype(np.float32), f"{level} % destroyed")
        for level in LEVELS
    ]


def block(image: NDArray[np.uint8], box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    left, top, right, bottom = box
    return image[top:bottom, left:right]


def test_a_row_is_a_unit_and_a_column_a_level_in_large_crisp_tiles() -> None:
    levels = panels()
    drawing = lay_out_zoom(levels, [47, 12], limit=1.0)
    image = np.asarray(zoom(levels, [47, 12], limit=1.0))
    for panel, grid in zip(levels, drawing.layout.grids, strict=True):
        assert grid.tile == 224
        for row, unit in enumerate((47, 12)):
            small = greys(panel.weights[[unit]], 1.0).reshape(28, 28)
            expected = np.kron(small, np.ones((8, 8), np.uint8))
            assert (block(image, grid.box(row)) == expected).all()


def test_units_stand_left_of_their_rows_and_levels_over_their_columns() -> None:
    layout = lay_out_zoom(panels(), [47, 12], limit=1.0).layout
    first = layout.grids[0]
    for row, unit in enumerate((47, 12)):
        (name,) = (run for run in layout.runs if run.text == f"unit {unit}")
        left, top, _, bottom = first.box(row)
        assert name.box()[2] < left and top < name.at[1] < bottom
    for level, grid in zip(LEVELS, layout.grids, strict=True):
        (title,) = (run for run in layout.runs if run.text == f"{level} % destroyed")
        assert title.at[0] == grid.left and title.box()[3] < grid.top


def test_tiles_are_as_far_from_each_other_in_both_directions() -> None:
    one, two, *_ = lay_out_zoom(panels(), [1, 2], limit=1.0).layout.grids
    assert one.box(1)[1] - one.box(0)[3] == two.box(0)[0] - one.box(0)[2] > 2


def test_the_same_limit_gives_the_same_grey_scale_as_a_sheet() -> None:
    texts = [run.text for run in lay_out_zoom(panels(), [1], limit=0.84).layout.runs]
    assert "weight -0.84" in texts and "+0.84  (mid grey: 0)" in texts


def test_a_unit_that_some_level_does_not_have_is_refused_with_the_level() -> None:
    levels = [*panels(), Panel(np.ones((5, 784), np.float32), "small")]
    with pytest.raises(ConfigError, match="unit 12 of 'small': choose units from 0 to 4"):
        zoom(levels, [0, 12], limit=1.0)


def test_what_cannot_be_zoomed_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one unit"):
        zoom(panels(), [], limit=1.0)
    with pytest.raises(ValueError, match="at least one panel"):
        zoom([], [1], limit=1.0)
    with pytest.raises(ValueError, match="limit"):
        zoom(panels(), [1], limit=0.0)
