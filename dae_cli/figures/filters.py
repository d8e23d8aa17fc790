"""Filters as sheets: each row of W is a tile (ICML 2008, Fig. 3; slides 5 to 7 of the lecture)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict, Unpack

import numpy as np

from dae_cli.errors import ConfigError
from dae_cli.figures.greys import (
    Greys,
    ImageShape,
    Scale,
    Weights,
    common_limit,
    finite,
    greys,
)
from dae_cli.figures.sheets import Panel, Sheet, lay_out

_ZOOM_PIXELS, _ZOOM_SPACING = 224, 14


@dataclass(frozen=True, eq=False)
class Filters:
    """The units of one layer.

    Attributes:
        weights: (units, inputs), a row for each unit.
        image: height and width of the image whose pixels are the inputs.
        title: what stands over its tiles, such as ``25 % destroyed``.
        order: which units are shown, in this order, each with its number under it; from 0 on
            unless given.
    """

    weights: Weights
    image: ImageShape
    title: str = ""
    order: Sequence[int] | None = None

    def units(self, most: int) -> list[int]:
        """The first ``most`` units that are shown.

        Raises:
            ConfigError: the order names a unit that is not there.
        """
        count = len(self.weights)
        order = range(count) if self.order is None else self.order
        for unit in order:
            if not 0 <= unit < count:
                of = f" of {self.title!r}" if self.title else ""
                raise ConfigError(f"unit {unit}{of}: choose units from 0 to {count - 1}")
        return list(order[:most])


class SheetOptions(TypedDict, total=False):
    """How filters are shown.

    Attributes:
        limit: the weight that is white; ``common_limit`` of the units shown unless given.
        scale: ``shared`` or ``tile``, see ``Scale``.
        scale_ends: what stands at the ends of the grey scale where the tiles are no weights.
        magnification: pixels per weight.
    """

    limit: float | None
    scale: Scale
    scale_ends: tuple[str, str] | None
    title: str
    caption: str
    magnification: int | None


def filter_sheet(
    layers: Sequence[Filters], shape: tuple[int, int] = (10, 10), **options: Unpack[SheetOptions]
) -> Sheet:
    """Lay out the first units of each layer side by side; tile i is unit i (Fig. 3 a to c).

    Args:
        layers: of images of one size.
        shape: rows and columns of tiles.

    Raises:
        ConfigError: images of several sizes; an order names a unit that is not there.
        DaeError: a weight is NaN or infinite.
    """
    return _sheet(layers, [layer.units(shape[0] * shape[1]) for layer in layers], shape, options)


def zoom_sheet(
    layers: Sequence[Filters], units: Sequence[int], **options: Unpack[SheetOptions]
) -> Sheet:
    """Lay out a row of large tiles for each unit, a column for each layer (Fig. 3 d and e).

    Raises: as ``filter_sheet``.
    """
    chosen = [replace(layer, order=units).units(len(units)) for layer in layers]
    options = {"magnification": max(1, round(_ZOOM_PIXELS / layers[0].image[0])), **options}
    layers = [replace(layer, order=None) for layer in layers]
    names = [f"unit {unit}" for unit in units]
    return _sheet(layers, chosen, (len(units), 1), options, names, _ZOOM_SPACING)


def contact_sheet(
    panels: Sequence[Filters],
    shape: tuple[int, int],
    *,
    title: str,
    caption: str = "",
) -> Sheet:
    """Lay out images of a data set, upright; black is 0 and white is 1.

    Args:
        panels: images in place of filters: pixels in [0, 1], an image a row.
        shape: rows and columns of each panel; places beyond its last image stay blank.
    """
    most = shape[0] * shape[1]
    tiles = []
    for panel in panels:
        pixels = np.rint(255 * panel.weights[:most]).astype(np.uint8)
        tiles.append(Panel(pixels.reshape(-1, *panel.image), panel.title))
    return lay_out(tiles, shape, scale_ends=("0", "1"), title=title, caption=caption)


def _sheet(
    layers: Sequence[Filters],
    units: Sequence[list[int]],
    shape: tuple[int, int],
    options: SheetOptions,
    row_names: Sequence[str] = (),
    spacing: int | None = None,
) -> Sheet:
    if len({layer.image for layer in layers}) > 1:
        sizes = ", ".join("x".join(map(str, layer.image)) for layer in layers)
        raise ConfigError(
            f"filters of {sizes} inputs cannot stand side by side: draw one picture for each size"
        )
    weights = [finite(layer.weights[own], own) for layer, own in zip(layers, units, strict=True)]
    limit, scale = options.get("limit") or common_limit(weights), options.get("scale", "shared")
    panels = [
        Panel(
            tiles_of(own, layer.image, limit, scale),
            layer.title,
            () if layer.order is None else [str(unit) for unit in of_layer],
        )
        for layer, own, of_layer in zip(layers, weights, units, strict=True)
    ]
    return lay_out(
        panels,
        shape,
        scale_ends=options.get("scale_ends") or _ends(scale, limit),
        title=options.get("title", ""),
        caption=options.get("caption", ""),
        magnification=options.get("magnification"),
        row_names=row_names,
        spacing=spacing,
    )


def tiles_of(weights: Weights, image: ImageShape, limit: float, scale: Scale = "shared") -> Greys:
    """Return (units, height, width) greys of weights (units, inputs)."""
    return greys(weights, limit, scale).reshape(-1, *image)


def _ends(scale: Scale, limit: float) -> tuple[str, str]:
    """What stands at the ends of the grey scale of weights."""
    if scale == "tile":
        return "weight −max", "+max of each tile  (mid grey: 0)"
    return f"weight −{limit:.2g}", f"+{limit:.2g}  (mid grey: 0)"
