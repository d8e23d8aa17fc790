"""Chosen units, large, across levels: ICML 2008, Fig. 3 (d) and (e)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict, Unpack

from PIL import Image

from dae_cli.pictures.filters import Panel, common_side, magnification_of, scale_ends_of
from dae_cli.pictures.greys import Scale, finite, greys
from dae_cli.pictures.layout import Sheet, lay_out
from dae_cli.pictures.tiles import Drawing, paint

_TILE_PIXELS = 224  # 28 × 28 weights at 8 pixels each
_SPACING = 14


class ZoomOptions(TypedDict, total=False):
    """As in ``filters.SheetOptions``; a tile is about 224 pixels wide unless told."""

    title: str
    caption: str
    magnification: int | None
    scale: Scale
    scale_ends: tuple[str, str] | None


def zoom(
    panels: Sequence[Panel], units: Sequence[int], *, limit: float, **options: Unpack[ZoomOptions]
) -> Image.Image:
    """Draw what ``lay_out_zoom`` lays out, as a grey image (mode ``L``) on white."""
    return paint(lay_out_zoom(panels, units, limit=limit, **options))


def lay_out_zoom(
    panels: Sequence[Panel],
    units: Sequence[int],
    *,
    limit: float,
    title: str = "",
    caption: str = "",
    magnification: int | None = None,
    scale: Scale = "shared",
    scale_ends: tuple[str, str] | None = None,
) -> Drawing:
    """Lay out a row of large tiles for each unit, a column for each panel, its title above.

    Args:
        panels: the levels; their own orders are not looked at.
        units: which units, from the top row down; the number stands left of the row.
        limit and all others: as for ``filters.lay_out_sheet``.

    Raises:
        ConfigError: a unit that a panel does not have; inputs that are not a square number or
            differ between panels.
        DaeError: a weight is NaN or infinite.
        ValueError: no panel or no unit; limit or magnification is not above 0.
    """
    side = common_side(panels, limit)
    if not units:
        raise ValueError("a zoom needs at least one unit")
    shown = [replace(panel, order=units, labels=None).shown(len(units)) for panel in panels]
    sheet = Sheet(
        panels=tuple(panel.title for panel in panels),
        units=(len(units),) * len(panels),
        side=side,
        magnification=magnification_of(side, magnification, _TILE_PIXELS),
        tiles=(len(units), 1),
        title=title,
        caption=caption,
        scale_ends=scale_ends or scale_ends_of(scale, limit),
        row_names=tuple(f"unit {unit}" for unit in units),
        spacing=_SPACING,
    )
    return Drawing(
        lay_out(sheet),
        tuple(greys(finite(weights, units), limit, scale) for weights in shown),
    )
