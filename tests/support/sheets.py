"""Reading pictures of sheets: the grey of each weight and the position of each tile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Greys = NDArray[np.uint8]
Place = tuple[int, int]
"""Top and left of a tile in pixels."""

MID_GREY, BACKGROUND = 128, 255


def greys_of(weights: NDArray[Any], limit: float) -> Greys:
    """Expected greys: 0 is mid grey; ±limit and beyond are white and black."""
    side = math.isqrt(weights.size)
    share = np.clip(weights.astype(np.float64) / limit, -1, 1).reshape(side, side)
    return np.floor(128 + 127.5 * share).astype(np.uint8)


def limit_of(*shown: NDArray[Any]) -> float:
    """The weight that is white: the 99.5 % quantile of the magnitudes shown."""
    return float(np.quantile(np.abs(np.concatenate(shown)), 0.995))


def pixels(path: str | Path) -> Greys:
    """Pixels of a grey picture."""
    with Image.open(path) as image:
        assert image.mode == "L"
        return np.asarray(image)


def texts_of(path: str | Path) -> dict[str, str]:
    """Metadata of a picture."""
    with Image.open(path) as image:
        return {str(key): value for key, value in image.info.items() if isinstance(value, str)}


def places(picture: Greys, tile: Greys) -> list[Place]:
    """Positions of a block of greys in a picture."""
    height, width = tile.shape
    rows, columns = (
        max(0, whole - part + 1) for whole, part in zip(picture.shape, tile.shape, strict=True)
    )
    near = np.ones((rows, columns), bool)
    for y, x in product((0, height // 2, height - 1), (0, width // 2, width - 1)):
        near &= picture[y : y + rows, x : x + columns] == tile[y, x]
    return [
        (int(y), int(x))
        for y, x in np.argwhere(near)
        if (picture[y : y + height, x : x + width] == tile).all()
    ]


def enlarged(tile: Greys, times: int) -> Greys:
    """Enlarge each weight to a square of pixels."""
    return np.kron(tile, np.ones((times, times), np.uint8))


def tiles_in(picture: Greys, tiles: Sequence[Greys], times: int = 2) -> list[Place]:
    """Position of each tile, which must occur exactly once."""
    found = [places(picture, enlarged(tile, times)) for tile in tiles]
    assert [len(one) for one in found] == [1] * len(tiles)
    return [one for (one,) in found]


def in_rows(found: Sequence[Place], columns: int) -> bool:
    """Whether positions form evenly and closely spaced rows of `columns` tiles."""
    tops = sorted({top for top, _ in found})
    lefts = sorted({left for _, left in found})
    steps = {*np.diff(tops).tolist(), *np.diff(lefts).tolist()}
    expected = [(tops[k // columns], lefts[k % columns]) for k in range(len(found))]
    return list(found) == expected and len(steps) <= 2


def first_row(picture: Greys, side: int = 28) -> list[Greys]:
    """Tiles of the first row of a sheet with one grey per weight."""
    times = round(56 / side)
    size = times * side
    for top in range(picture.shape[0] - size):
        band = picture[top : top + size]
        blank = np.flatnonzero((band == BACKGROUND).all(axis=0))
        lefts = [int(x) + 1 for x, following in pairwise(blank) if following - x == size + 1]
        tiles = [band[:, x : x + size] for x in lefts]
        small = [tile[::times, ::times] for tile in tiles]
        # Skip letters, which are not square, and everything above or below the tiles.
        if tiles and all(
            (enlarged(one, times) == tile).all() and (one[0] != BACKGROUND).any()
            for one, tile in zip(small, tiles, strict=True)
        ):
            return small
    raise AssertionError("no row of tiles")
