"""First-layer filters as sheets of grey tiles.

ICML 2008, Fig. 3 (slides 5 to 7 of the lecture): each row of W, 28 × 28 weights, is one tile.

The grey scale of every sheet: a weight of 0 is mid grey (128), ``-limit`` and below black (0),
``+limit`` and above white (255), linear between. One limit, ``common_limit``, serves all sheets
that are compared, so that equal greys mean equal weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dae_cli.errors import ConfigError, DaeError
from dae_cli.pictures.layout import Layout, Sheet, lay_out
from dae_cli.pictures.saving import save_png
from dae_cli.pictures.tiles import BACKGROUND, paint

__all__ = [
    "BACKGROUND",
    "MID_GREY",
    "Panel",
    "Scale",
    "common_limit",
    "filter_sheet",
    "greys",
    "plan_sheet",
    "save_png",
    "side_by_side",
    "upright",
]

Weights = NDArray[np.floating[Any]]
Scale = Literal["shared", "tile"]
"""``shared``: one limit for all tiles. ``tile``: each tile by its own largest \\|w\\|, which shows
the shape of weak filters too, as many papers do, but hides how strong they are."""

MID_GREY = 128
_TILE_PIXELS = 56  # what a tile measures unless told: 28 × 28 weights at 2 pixels each


@dataclass(frozen=True)
class Panel:
    """One sheet in a row of sheets.

    Attributes:
        weights: (units, inputs), one unit a row.
        title: what stands over it, such as ``25 % destroyed``.
    """

    weights: Weights
    title: str


def common_limit(weights_list: Sequence[Weights], quantile: float = 0.995) -> float:
    """The one grey limit for all sheets that are compared: a quantile of |W| over all of them.

    A quantile and not the maximum, since a single large weight would turn all else grey; at the
    default five weights in a thousand are clipped. Give the rows that will be shown. Where the
    quantile is 0 the maximum is taken, and 1 where all weights are 0.

    Raises:
        ValueError: no weights, or a quantile outside (0, 1].
        DaeError: a weight is NaN or infinite.
    """
    if not 0 < quantile <= 1 or not any(weights.size for weights in weights_list):
        raise ValueError(f"quantile {quantile} must be in (0, 1], and there must be weights")
    sizes = np.concatenate([np.abs(_finite(weights)).ravel() for weights in weights_list])
    return float(np.quantile(sizes, quantile)) or float(sizes.max()) or 1.0


def upright(weights: Weights) -> Weights:
    """Transpose each square tile.

    The benchmark stores rot, bg-rand, bg-img and rot-bg-img transposed; filters learned from
    them show digits upright only after this.
    """
    side = _side(weights)
    turned = weights.reshape(-1, side, side).transpose(0, 2, 1)
    return np.ascontiguousarray(turned).reshape(weights.shape)


def filter_sheet(
    weights: Weights,
    *,
    limit: float,
    tiles: tuple[int, int] = (10, 10),
    title: str = "",
    caption: str = "",
    magnification: int | None = None,
    scale: Scale = "shared",
) -> Image.Image:
    """Draw the first rows of a weight matrix as tiles; see ``side_by_side`` for the details.

    Args:
        weights: (units, inputs); inputs a square number, 784 for 28 × 28.
    """
    return side_by_side(
        [Panel(weights, "")],
        limit=limit,
        tiles=tiles,
        title=title,
        caption=caption,
        magnification=magnification,
        scale=scale,
    )


def side_by_side(
    panels: Sequence[Panel],
    *,
    limit: float,
    tiles: tuple[int, int] = (10, 10),
    title: str = "",
    caption: str = "",
    magnification: int | None = None,
    scale: Scale = "shared",
) -> Image.Image:
    """Draw a row of sheets; tile i is unit i in each of them (ICML 2008, Fig. 3 a to c).

    Units come row by row; the number left of a row plus the number over a column is the unit.
    Tiles beyond the last unit stay blank. Titles, numbers, the grey scale and the caption lie
    outside the tiles.

    Args:
        limit: the weight that is drawn white; ``common_limit`` gives it. Unused by scale
            ``tile``.
        tiles: (rows, columns) of each panel.
        magnification: pixels per weight; unless given, a tile is about 56 pixels wide.

    Returns:
        A grey image (mode ``L``) on white.

    Raises:
        ConfigError: the inputs are not a square number or differ between panels; no unit; rows or
            columns below 1.
        DaeError: a weight is NaN or infinite.
        ValueError: no panel; limit or magnification is not above 0.
    """
    layout = plan_sheet(
        panels,
        limit=limit,
        tiles=tiles,
        title=title,
        caption=caption,
        magnification=magnification,
        scale=scale,
    )
    painted = [
        greys(_finite(panel.weights[: tiles[0] * tiles[1]]), limit, scale) for panel in panels
    ]
    return paint(layout, painted)


def plan_sheet(
    panels: Sequence[Panel],
    *,
    limit: float,
    tiles: tuple[int, int] = (10, 10),
    title: str = "",
    caption: str = "",
    magnification: int | None = None,
    scale: Scale = "shared",
) -> Layout:
    """Where ``side_by_side`` with the same arguments puts each tile and text, in pixels."""
    if not panels:
        raise ValueError("a row of sheets needs at least one panel")
    if not (np.isfinite(limit) and limit > 0):
        raise ValueError(f"limit is {limit}; it must be above 0, as common_limit gives it")
    if min(tiles) < 1:
        raise ConfigError(f"tiles {tiles[0]}x{tiles[1]}: rows and columns must be 1 or more")
    sides = [_side(panel.weights) for panel in panels]
    if len(set(sides)) > 1:
        counts = ", ".join(str(side * side) for side in sides)
        raise ConfigError(
            f"sheets of {counts} inputs cannot stand side by side: draw one picture for each size"
        )
    if magnification is None:
        magnification = max(1, round(_TILE_PIXELS / sides[0]))
    if magnification < 1:
        raise ValueError(f"magnification is {magnification}; it must be 1 or more")
    ends = {
        "shared": (f"weight -{limit:.2g}", f"+{limit:.2g}  (mid grey: 0)"),
        "tile": ("weight -max", "+max of each tile  (mid grey: 0)"),
    }
    return lay_out(
        Sheet(
            panels=tuple(panel.title for panel in panels),
            units=tuple(len(panel.weights) for panel in panels),
            side=sides[0],
            magnification=magnification,
            tiles=tiles,
            title=title,
            caption=caption,
            scale_ends=ends[scale],
        )
    )


def greys(weights: Weights, limit: float, scale: Scale = "shared") -> NDArray[np.uint8]:
    """Return (units, inputs) greys of the documented scale, 0 black to 255 white."""
    limits: float | NDArray[np.float64] = limit
    if scale == "tile":
        largest = np.abs(weights).max(axis=1, keepdims=True).astype(np.float64)
        limits = np.where(largest > 0, largest, 1.0)
    share = np.clip(weights.astype(np.float64) / limits, -1.0, 1.0)
    return np.floor(127.5 * share + MID_GREY).astype(np.uint8)


def _side(weights: Weights) -> int:
    """Width of a tile; refuses what is not a matrix of square tiles."""
    if weights.ndim != 2 or 0 in weights.shape:
        raise ConfigError(
            f"filters need a matrix of (units, inputs), at least one of each; "
            f"got the shape {weights.shape}"
        )
    inputs = weights.shape[1]
    side = isqrt(inputs)
    if side * side != inputs:
        raise ConfigError(
            f"filters of {inputs} inputs cannot be shown as square tiles: {inputs} is not a "
            "square number; choose a layer that sees the pixels, the first"
        )
    return side


def _finite(weights: Weights) -> Weights:
    if not np.isfinite(weights).all():
        unit = int(np.argwhere(~np.isfinite(weights))[0][0])
        raise DaeError(
            f"the weights of unit {unit} hold NaN or infinity; its training diverged: "
            "train again with a lower learning rate"
        )
    return weights
