"""Sheets of filters: the right unit in the right tile, in the right grey, with its number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL.Image import Image

from dae_cli.errors import ConfigError, DaeError
from dae_cli.pictures.filters import (
    BACKGROUND,
    MID_GREY,
    Panel,
    Scale,
    common_limit,
    filter_sheet,
    lay_out_sheet,
    side_by_side,
    upright,
)
from dae_cli.pictures.greys import greys, weights_of

Floats = NDArray[np.float32]
Greys = NDArray[np.uint8]


def pixels(image: Image) -> Greys:
    return np.asarray(image)


def tile_of(panels: list[Panel], panel: int, index: int, **settings: Any) -> Greys:
    """Tile ``index`` of a panel, back at one pixel per weight, checked to be crisp."""
    grid = lay_out_sheet(panels, **settings).layout.grids[panel]
    left, top, right, bottom = grid.box(index)
    block = pixels(side_by_side(panels, **settings))[top:bottom, left:right]
    side = int(np.sqrt(panels[panel].weights.shape[1]))
    magnification = grid.tile // side
    small = block[::magnification, ::magnification]
    assert small.shape == (side, side)
    assert (block == np.kron(small, np.ones((magnification, magnification), np.uint8))).all()
    return small


def random_weights(units: int, inputs: int = 784, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(0, 0.5, (units, inputs)).astype(np.float32)


def expected_greys(row: Floats, limit: float) -> Greys:
    side = int(np.sqrt(row.size))
    share = np.clip(row.astype(np.float64) / limit, -1, 1).reshape(side, side)
    return np.floor(128 + 127.5 * share).astype(np.uint8)


@pytest.mark.parametrize("magnification", [1, 2, 3])
def test_tile_i_shows_row_i_of_the_weights_unturned(magnification: int) -> None:
    weights = random_weights(15)
    for unit in range(12):
        tile = tile_of(
            [Panel(weights, "")], 0, unit, limit=1.0, tiles=(3, 4), magnification=magnification
        )
        assert (tile == expected_greys(weights[unit], 1.0)).all()


def test_tiles_run_along_the_rows() -> None:
    grid = lay_out_sheet([Panel(random_weights(6), "")], limit=1.0, tiles=(2, 3)).layout.grids[0]
    (left, top, right, bottom), *_ = boxes = [grid.box(index) for index in range(6)]
    assert [box[1] for box in boxes[:3]] == [top] * 3
    assert boxes[1][0] > right and boxes[3][0] == left and boxes[3][1] > bottom


def test_zero_is_mid_grey_and_the_limits_are_black_and_white_and_what_is_beyond_is_clipped() -> (
    None
):
    weights = np.array([[0.0, -0.5, 0.5, 0.0], [-9.0, 9.0, 0.25, -0.25]], np.float32)
    settings: dict[str, Any] = {"limit": 0.5, "tiles": (1, 2)}
    assert tile_of([Panel(weights, "")], 0, 0, **settings).tolist() == [[128, 0], [255, 128]]
    assert tile_of([Panel(weights, "")], 0, 1, **settings).tolist() == [[0, 255], [191, 64]]
    assert MID_GREY == 128


def test_the_shared_scale_keeps_strengths_apart_and_the_tile_scale_levels_them() -> None:
    weights = np.array([[1.0, 0, 0, -1.0], [0.1, 0, 0, -0.1], [0, 0, 0, 0]], np.float32)

    def extremes(index: int, scale: Scale) -> tuple[int, int]:
        tile = tile_of([Panel(weights, "")], 0, index, limit=1.0, tiles=(1, 3), scale=scale)
        return int(tile.min()), int(tile.max())

    assert extremes(0, "shared") == (0, 255)
    assert extremes(1, "shared") == (115, 140)
    assert extremes(0, "tile") == extremes(1, "tile") == (0, 255)
    assert extremes(2, "tile") == (MID_GREY, MID_GREY)


def test_the_picture_says_which_grey_scale_it_has() -> None:
    def texts(scale: Scale) -> str:
        layout = lay_out_sheet([Panel(random_weights(4), "")], limit=0.84, scale=scale).layout
        return " | ".join(run.text for run in layout.runs)

    assert "-0.84" in texts("shared") and "+0.84" in texts("shared")
    assert "max of each tile" in texts("tile") and "0.84" not in texts("tile")


def test_one_limit_is_the_quantile_over_all_sheets_together() -> None:
    small, large = random_weights(50), 3 * random_weights(50, seed=1)
    together = np.abs(np.concatenate([small, large]))
    assert common_limit([small, large], 0.9) == pytest.approx(np.quantile(together, 0.9))
    assert common_limit([small, large]) == pytest.approx(np.quantile(together, 0.995))
    assert common_limit([small, large], 1.0) == pytest.approx(together.max())
    assert common_limit([small], 0.9) < common_limit([small, large], 0.9)


def test_the_limit_stays_above_zero_for_sparse_and_for_empty_weights() -> None:
    sparse = np.zeros((10, 784), np.float32)
    assert common_limit([sparse]) == 1.0
    sparse[3, 5] = -0.25
    assert common_limit([sparse]) == 0.25


def test_an_impossible_quantile_or_no_weights_is_refused() -> None:
    for quantile in (0.0, 1.5):
        with pytest.raises(ValueError, match="quantile"):
            common_limit([random_weights(2)], quantile)
    with pytest.raises(ValueError, match="there must be weights"):
        common_limit([])


def test_tiles_are_parted_by_thin_lines_of_the_background() -> None:
    weights = np.zeros((4, 784), np.float32)
    layout = lay_out_sheet([Panel(weights, "")], limit=1.0, tiles=(2, 2)).layout
    left, top, right, bottom = layout.grids[0].box(0)
    next_left = layout.grids[0].box(1)[0]
    next_top = layout.grids[0].box(2)[1]
    assert 1 <= next_left - right <= 2 and 1 <= next_top - bottom <= 2
    image = pixels(filter_sheet(weights, limit=1.0, tiles=(2, 2)))
    assert (image[top:bottom, right:next_left] == BACKGROUND).all()
    assert (image[bottom:next_top, left:right] == BACKGROUND).all()
    assert (image[top:bottom, left:right] == MID_GREY).all()


def test_tiles_beyond_the_last_unit_stay_blank_and_their_rows_unnumbered() -> None:
    weights = np.zeros((5, 784), np.float32)
    layout = lay_out_sheet([Panel(weights, "")], limit=1.0, tiles=(4, 4)).layout
    image = pixels(filter_sheet(weights, limit=1.0, tiles=(4, 4)))
    for index in range(16):
        left, top, right, bottom = layout.grids[0].box(index)
        expected = MID_GREY if index < 5 else BACKGROUND
        assert (image[top:bottom, left:right] == expected).all()
    numbers = [run.text for run in layout.runs if run.anchor == "rm"]
    assert numbers == ["0", "4"]


def test_the_unit_of_every_tile_is_its_rows_number_plus_its_columns() -> None:
    layout = lay_out_sheet([Panel(random_weights(100), "")], limit=1.0, tiles=(10, 10)).layout
    grid = layout.grids[0]
    rows = {run.at[1]: int(run.text) for run in layout.runs if run.anchor == "rm"}
    columns = {run.at[0]: int(run.text) for run in layout.runs if run.anchor == "ms"}
    for unit in range(100):
        left, top, right, bottom = grid.box(unit)
        assert rows[(top + bottom) // 2] + columns[(left + right) // 2] == unit


def test_side_by_side_puts_the_same_unit_in_the_same_tile_of_every_panel() -> None:
    panels = [Panel(random_weights(9, seed=level), f"{level} %") for level in (0, 25, 50)]
    settings: dict[str, Any] = {"limit": 1.0, "tiles": (2, 3), "title": "t", "caption": "c"}
    first, *others = lay_out_sheet(panels, **settings).layout.grids
    for place, grid in enumerate(others, start=1):
        assert grid.top == first.top and grid.tiles == first.tiles
        assert grid.left > lay_out_sheet(panels, **settings).layout.grids[place - 1].box(2)[2]
    for place, panel in enumerate(panels):
        for unit in range(6):
            tile = tile_of(panels, place, unit, **settings)
            assert (tile == expected_greys(panel.weights[unit], 1.0)).all()


def test_an_order_puts_its_units_into_the_tiles_and_their_numbers_under_them() -> None:
    weights = random_weights(20)
    order = [17, 3, 3, 0, 9]
    panels = [Panel(weights, "", order=order), Panel(-weights, "", order=order)]
    settings: dict[str, Any] = {"limit": 1.0, "tiles": (2, 2)}
    layout = lay_out_sheet(panels, **settings).layout
    for place, grid in enumerate(layout.grids):
        for index, unit in enumerate(order[:4]):
            row = panels[place].weights[unit]
            assert (tile_of(panels, place, index, **settings) == expected_greys(row, 1.0)).all()
            left, _, right, bottom = grid.box(index)
            under = [
                run.text
                for run in layout.runs
                if run.at[0] == (left + right) // 2 and bottom < run.at[1] < bottom + grid.under
            ]
            assert under == [str(unit)]
    texts = {run.text for run in layout.runs}
    assert "+0" not in texts, "a row's number plus a column's would be a wrong unit"


def test_labels_stand_under_the_tiles_in_place_of_the_numbers() -> None:
    panel = Panel(random_weights(9), "", order=[8, 1], labels=["8 · .93", "1 · .52"])
    layout = lay_out_sheet([panel], limit=1.0, tiles=(1, 2)).layout
    assert {"8 · .93", "1 · .52"} <= {run.text for run in layout.runs}
    with pytest.raises(ValueError, match="1 labels for 2 units"):
        lay_out_sheet([Panel(random_weights(9), "", order=[8, 1], labels=["8"])], limit=1.0)
    wide = Panel(random_weights(9), "", order=[8], labels=["explained variance .93"])
    with pytest.raises(ValueError, match=r"wider than a tile of 28 pixels: .* magnification"):
        lay_out_sheet([wide], limit=1.0, magnification=1)


@pytest.mark.parametrize("unit", [-1, 9])
def test_an_order_of_units_that_are_not_there_is_refused(unit: int) -> None:
    panel = Panel(random_weights(9), "25 %", order=[0, unit])
    with pytest.raises(ConfigError, match=f"unit {unit} of '25 %': choose units from 0 to 8"):
        lay_out_sheet([panel], limit=1.0)


def test_weights_that_are_not_finite_are_told_with_their_unit_in_any_order() -> None:
    weights = random_weights(6)
    weights[2, 7] = np.inf
    with pytest.raises(DaeError, match="unit 2 "):
        lay_out_sheet([Panel(weights, "", order=[5, 4, 2])], limit=1.0)


def test_a_panel_gives_the_weights_that_it_shows() -> None:
    weights = random_weights(6)
    assert (Panel(weights, "").shown(4) == weights[:4]).all()
    assert (Panel(weights, "", order=(5, 2, 4)).shown(2) == weights[[5, 2]]).all()


def test_the_ends_of_the_grey_scale_can_be_named_for_what_are_no_weights() -> None:
    patches = Panel(random_weights(8, 144), "12 x 12 patches")
    layout = lay_out_sheet(
        [patches], limit=1.0, scale="tile", scale_ends=("patch -max", "+max")
    ).layout
    texts = {run.text for run in layout.runs}
    assert {"patch -max", "+max"} <= texts
    assert not any("weight" in text for text in texts)


def test_a_tile_is_as_wide_for_12_by_12_patches_as_for_digits_unless_told() -> None:
    digits = lay_out_sheet([Panel(random_weights(4, 784), "")], limit=1.0).layout.grids[0].tile
    patches = lay_out_sheet([Panel(random_weights(4, 144), "")], limit=1.0).layout.grids[0].tile
    assert (digits, patches) == (56, 60)


def test_a_sheet_of_100_digits_is_as_wide_as_a_page() -> None:
    image = filter_sheet(random_weights(100), limit=1.0, title="title", caption="caption")
    assert image.mode == "L"
    assert 600 <= image.width <= 900
    assert pixels(image)[0, 0] == BACKGROUND


def test_transposed_sets_are_shown_upright() -> None:
    weights = np.arange(8, dtype=np.float32).reshape(2, 4)
    assert upright(weights).tolist() == [[0, 2, 1, 3], [4, 6, 5, 7]]
    assert (upright(upright(random_weights(3))) == random_weights(3)).all()


@pytest.mark.parametrize("inputs", [1000, 783, 2])
def test_inputs_that_form_no_square_are_refused_with_their_number(inputs: int) -> None:
    weights = np.zeros((3, inputs), np.float32)
    with pytest.raises(ConfigError, match=f"{inputs} inputs .* not a square number; choose"):
        filter_sheet(weights, limit=1.0)


@pytest.mark.parametrize("shape", [(784,), (0, 784), (3, 0), (2, 28, 28)])
def test_what_is_no_matrix_of_filters_is_refused_with_its_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"\(units, inputs\).*shape"):
        filter_sheet(np.zeros(shape, np.float32), limit=1.0)


def test_weights_that_are_not_finite_are_refused_with_their_unit() -> None:
    weights = random_weights(4)
    weights[2, 7] = np.nan
    with pytest.raises(DaeError, match=r"unit 2 .*diverged"):
        filter_sheet(weights, limit=1.0)
    with pytest.raises(DaeError, match="unit 2"):
        common_limit([weights])


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_must_be_a_number_above_zero(limit: float) -> None:
    with pytest.raises(ValueError, match="limit"):
        filter_sheet(random_weights(1), limit=limit)


def test_other_impossible_sheets_are_refused() -> None:
    weights = random_weights(1)
    with pytest.raises(ConfigError, match="0x10"):
        filter_sheet(weights, limit=1.0, tiles=(0, 10))
    with pytest.raises(ValueError, match="magnification"):
        filter_sheet(weights, limit=1.0, magnification=0)
    with pytest.raises(ValueError, match="at least one panel"):
        side_by_side([], limit=1.0)
    with pytest.raises(ConfigError, match="784, 144 inputs"):
        side_by_side([Panel(weights, ""), Panel(random_weights(1, 144), "")], limit=1.0)


@pytest.mark.parametrize("limit", [0.01, 0.9932, 30.0])
def test_weights_that_are_read_from_greys_have_those_greys(limit: float) -> None:
    every = np.arange(256, dtype=np.uint8).reshape(1, 256)
    weights = weights_of(every, limit)
    assert np.array_equal(greys(weights, limit), every)
    assert np.abs(weights).max() <= np.float32(limit)
