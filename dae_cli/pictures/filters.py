"""First-layer filters as sheets of grey tiles.

ICML 2008, Fig. 3 (slides 5 to 7 of the lecture): each row of W, 28 × 28 weights, is one tile.
``greys`` documents the grey scale. A sheet is laid out first (``lay_out_sheet``), and then painted
(``side_by_side``) or saved for print (``saving.save_sheet``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Required, TypedDict, Unpack

import numpy as np
from PIL import Image

from dae_cli.errors import ConfigError
from dae_cli.pictures.greys import (
    MID_GREY,
    Scale,
    Weights,
    common_limit,
    finite,
    greys,
    tile_side,
    upright,
)
from dae_cli.pictures.layout import Sheet, lay_out
from dae_cli.pictures.saving import save_png
from dae_cli.pictures.tiles import BACKGROUND, Drawing, paint

__all__ = [
    "BACKGROUND",
    "MID_GREY",
    "Panel",
    "Scale",
    "SheetOptions",
    "common_limit",
    "filter_sheet",
    "greys",
    "lay_out_sheet",
    "save_png",
    "scale_ends_of",
    "side_by_side",
    "upright",
]

_TILE_PIXELS = 56  # what a tile measures unless told: 28 × 28 weights at 2 pixels each


@dataclass(frozen=True)
class Panel:
    """One sheet in a row of sheets.

    Attributes:
        weights: (units, inputs), one unit a row.
        title: what stands over it, such as ``25 % destroyed``.
        order: the units that are shown, in this order; from 0 on unless given.
        labels: what stands under the tiles, one for each of ``order``; the units' numbers unless
            given.
    """

    weights: Weights
    title: str
    order: Sequence[int] | None = None
    labels: Sequence[str] | None = None

    def units(self, most: int) -> list[int]:
        """The first ``most`` units that are shown.

        Raises:
            ConfigError: the order names a unit that is not there.
            ValueError: there is not one label for each unit of the order.
        """
        there = len(self.weights)
        order = range(there) if self.order is None else self.order
        wrong = next((unit for unit in order if not 0 <= unit < there), None)
        if wrong is not None:
            of = f" of {self.title!r}" if self.title else ""
            raise ConfigError(f"unit {wrong}{of}: choose units from 0 to {there - 1}")
        if self.labels is not None and len(self.labels) != len(order):
            raise ValueError(f"{len(self.labels)} labels for {len(order)} units: give one for each")
        return [int(unit) for unit in order[:most]]

    def shown(self, most: int) -> Weights:
        """Their weights (units, inputs): what ``common_limit`` is to be given."""
        if self.order is None:
            return self.weights[:most]
        return self.weights[self.units(most)]


class SheetOptions(TypedDict, total=False):
    """How sheets are drawn.

    Attributes:
        limit: the weight that is drawn white; ``common_limit`` gives it. Unused by scale ``tile``.
        tiles: (rows, columns) of each panel; 10 × 10 unless given.
        magnification: pixels per weight; unless given, a tile is about 56 pixels wide.
        scale: ``shared`` or ``tile``, see ``Scale``.
        scale_ends: what stands at the black and at the white end of the grey scale, where the
            tiles are no weights: ``("patch -max", "+max")``.
    """

    limit: Required[float]
    tiles: tuple[int, int]
    title: str
    caption: str
    magnification: int | None
    scale: Scale
    scale_ends: tuple[str, str] | None


def filter_sheet(weights: Weights, **options: Unpack[SheetOptions]) -> Image.Image:
    """Draw the first rows of a weight matrix as tiles; see ``lay_out_sheet`` for the details.

    Args:
        weights: (units, inputs); inputs a square number, 784 for 28 × 28.
    """
    return side_by_side([Panel(weights, "")], **options)


def side_by_side(panels: Sequence[Panel], **options: Unpack[SheetOptions]) -> Image.Image:
    """Draw what ``lay_out_sheet`` lays out, as a grey image (mode ``L``) on white."""
    return paint(lay_out_sheet(panels, **options))


def lay_out_sheet(
    panels: Sequence[Panel],
    *,
    limit: float,
    tiles: tuple[int, int] = (10, 10),
    title: str = "",
    caption: str = "",
    magnification: int | None = None,
    scale: Scale = "shared",
    scale_ends: tuple[str, str] | None = None,
) -> Drawing:
    """Lay out a row of sheets; tile i is unit i in each of them (ICML 2008, Fig. 3 a to c).

    Units come row by row; the number left of a row plus the number over a column is the unit.
    Where a panel has an order, each tile has its unit's number under it instead. Tiles beyond the
    last unit stay blank. Titles, numbers, the grey scale and the caption lie outside the tiles.

    Args:
        limit and all others: see ``SheetOptions``.

    Raises:
        ConfigError: the inputs are not a square number or differ between panels; no unit; rows or
            columns below 1; an order names a unit that is not there.
        DaeError: a weight is NaN or infinite.
        ValueError: no panel; limit or magnification is not above 0; labels that do not go with
            the order, or are wider than a tile.
    """
    side = common_side(panels, limit)
    if min(tiles) < 1:
        raise ConfigError(f"tiles {tiles[0]}x{tiles[1]}: rows and columns must be 1 or more")
    units = [panel.units(tiles[0] * tiles[1]) for panel in panels]
    ordered = any(panel.order is not None for panel in panels)
    sheet = Sheet(
        panels=tuple(panel.title for panel in panels),
        units=tuple(len(own) for own in units),
        side=side,
        magnification=magnification_of(side, magnification, _TILE_PIXELS),
        tiles=tiles,
        title=title,
        caption=caption,
        scale_ends=scale_ends or scale_ends_of(scale, limit),
        tile_names=tuple(map(_names, panels, units)) if ordered else (),
    )
    return Drawing(
        lay_out(sheet),
        tuple(
            greys(finite(panel.weights[own], own), limit, scale)
            for panel, own in zip(panels, units, strict=True)
        ),
    )


def common_side(panels: Sequence[Panel], limit: float) -> int:
    """Width in weights of all panels' tiles; refuses what cannot stand on one sheet.

    Raises:
        ConfigError: the inputs are not a square number or differ between panels; no unit.
        ValueError: no panel; a limit that is not above 0.
    """
    if not panels:
        raise ValueError("a row of sheets needs at least one panel")
    if not (np.isfinite(limit) and limit > 0):
        raise ValueError(f"limit is {limit}; it must be above 0, as common_limit gives it")
    sides = [tile_side(panel.weights) for panel in panels]
    if len(set(sides)) > 1:
        counts = ", ".join(str(side * side) for side in sides)
        raise ConfigError(
            f"sheets of {counts} inputs cannot stand side by side: draw one picture for each size"
        )
    return sides[0]


def magnification_of(side: int, asked: int | None, tile_pixels: int) -> int:
    """Pixels per weight: what is asked, else such that a tile is about ``tile_pixels`` wide.

    Raises:
        ValueError: less than 1 is asked.
    """
    if asked is None:
        return max(1, round(tile_pixels / side))
    if asked < 1:
        raise ValueError(f"magnification is {asked}; it must be 1 or more")
    return asked


def scale_ends_of(scale: Scale, limit: float) -> tuple[str, str]:
    """What stands at the ends of the grey scale of weights."""
    if scale == "tile":
        return "weight -max", "+max of each tile  (mid grey: 0)"
    return f"weight -{limit:.2g}", f"+{limit:.2g}  (mid grey: 0)"


def _names(panel: Panel, units: Sequence[int]) -> tuple[str, ...]:
    if panel.labels is None:
        return tuple(str(unit) for unit in units)
    return tuple(panel.labels[: len(units)])
