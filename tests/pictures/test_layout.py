"""The layout of a sheet: nothing overlaps, nothing is cut, whatever its size."""

from __future__ import annotations

from itertools import combinations

import pytest

from dae_cli.pictures.layout import Box, Layout, Sheet, lay_out

LONG = "Tile i is the same unit in each picture, trained from the same initial weights. " * 2


def sheet_of(
    tiles: tuple[int, int], panels: int, units: int, side: int, magnification: int
) -> Layout:
    return lay_out(
        Sheet(
            panels=tuple(f"{25 * panel} % destroyed" for panel in range(panels)),
            units=(units,) * panels,
            side=side,
            magnification=magnification,
            tiles=tiles,
            title=LONG,
            caption=LONG,
            scale_ends=("weight -0.84", "+0.84"),
        )
    )


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.mark.parametrize(
    ("tiles", "panels", "units", "side", "magnification"),
    [
        ((10, 10), 1, 1000, 28, 2),
        ((10, 10), 1, 1000, 28, 3),
        ((10, 10), 3, 1000, 28, 2),
        ((10, 10), 3, 1000, 28, 1),
        ((10, 20), 1, 200, 12, 5),
        ((10, 20), 1, 200, 12, 1),
        ((50, 40), 1, 2000, 4, 1),
        ((1, 1), 1, 1, 28, 2),
        ((2, 1), 4, 2, 28, 2),
        ((3, 5), 2, 7, 28, 8),
    ],
)
def test_texts_and_tiles_lie_inside_the_picture_and_apart(
    tiles: tuple[int, int], panels: int, units: int, side: int, magnification: int
) -> None:
    layout = sheet_of(tiles, panels, units, side, magnification)
    last = tiles[0] * tiles[1] - 1
    boxes = {f"grid {n}": g.box(0)[:2] + g.box(last)[2:] for n, g in enumerate(layout.grids)}
    boxes["scale"] = layout.scale_bar
    boxes |= {f"{n}: {run.text}": run.box() for n, run in enumerate(layout.runs)}
    for name, (left, top, right, bottom) in boxes.items():
        assert 0 < left < right < layout.size[0], name
        assert 0 < top < bottom < layout.size[1], name
    for (name, box), (other_name, other) in combinations(boxes.items(), 2):
        assert not overlap(box, other), f"{name} on {other_name}"


@pytest.mark.parametrize("panels", [1, 3])
@pytest.mark.parametrize(
    ("tiles", "names", "row_names", "spacing"),
    [
        ((3, 10), [str(1990 + unit) for unit in range(30)], (), None),
        ((3, 10), [f"{unit} · .93" for unit in range(25)], (), None),
        ((2, 1), [], ("unit 12", "unit 4711"), 14),
    ],
)
def test_names_of_tiles_and_rows_overlap_nothing(
    panels: int,
    tiles: tuple[int, int],
    names: list[str],
    row_names: tuple[str, ...],
    spacing: int | None,
) -> None:
    layout = lay_out(
        Sheet(
            panels=("25 % destroyed",) * panels,
            units=(len(names) or len(row_names),) * panels,
            side=28,
            magnification=2 if names else 8,
            tiles=tiles,
            title=LONG,
            caption=LONG,
            scale_ends=("weight -0.84", "+0.84"),
            tile_names=(tuple(names),) * panels if names else (),
            row_names=row_names,
            spacing=spacing,
        )
    )
    boxes = [grid.box(index) for grid in layout.grids for index in range(tiles[0] * tiles[1])]
    boxes += [layout.scale_bar, *(run.box() for run in layout.runs)]
    for left, top, right, bottom in boxes:
        assert 0 < left < right < layout.size[0] and 0 < top < bottom < layout.size[1]
    for box, other in combinations(boxes, 2):
        assert not overlap(box, other), (box, other)
    shown = [run.text for run in layout.runs]
    for name in [*names, *row_names]:
        assert shown.count(name) == (panels if names else 1)


def test_small_tiles_are_numbered_at_round_steps() -> None:
    layout = sheet_of((10, 20), 1, 200, 4, 2)
    columns = [run.text for run in layout.runs if run.anchor == "ms"]
    rows = [run.text for run in layout.runs if run.anchor == "rm"]
    assert columns == ["+0", "+5", "+10", "+15"]
    assert rows == ["0", "40", "80", "120", "160"]


def test_letters_grow_with_the_sheet() -> None:
    one, three = (sheet_of((10, 10), panels, 100, 28, 2).runs[0].size for panels in (1, 3))
    assert three > 2 * one
