"""Sheets of filters: each row of W is a tile (ICML 2008, Fig. 3; lecture, slides 5 to 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
from dae_cli.figures.sheets import Panel, Sheet, Theme, lay_out

_ZOOM_PIXELS, _ZOOM_SPACING = 224, 14


@dataclass(frozen=True, eq=False)
class Filters:
    """The filters of one layer.

    Attributes:
        weights: (units, inputs), one row per unit.
        image: (height, width) of the input image, or (height, width, 3) for colours.
        title: heading above the tiles, such as ``25 % destroyed``.
        order: units to show, in this order and with their numbers; by default all from 0, without
            numbers under the tiles.
    """

    weights: Weights
    image: ImageShape
    title: str = ""
    order: Sequence[int] | None = None

    def units(self, most: int) -> list[int]:
        """Return the first ``most`` units to show.

        Raises:
            ConfigError: ``order`` contains a unit that does not exist.
        """
        count = len(self.weights)
        order = range(count) if self.order is None else self.order
        for unit in order:
            if not 0 <= unit < count:
                of = f" of {self.title!r}" if self.title else ""
                raise ConfigError(f"unit {unit}{of} does not exist; units are 0 to {count - 1}")
        return list(order[:most])


def filter_sheet(
    layers: Sequence[Filters],
    shape: tuple[int, int] = (10, 10),
    *,
    limit: float | None = None,
    scale: Scale = "shared",
    scale_ends: tuple[str, str] | None = None,
    title: str = "",
    caption: str = "",
    magnification: int | None = None,
    width: int | None = None,
    theme: Theme = "light",
) -> Sheet:
    """Lay out the first units of each layer side by side (Fig. 3 a to c).

    Args:
        layers: layers whose input images have the same size.
        shape: rows and columns of tiles for each layer.
        limit: weight shown as white; by default ``common_limit`` of the units shown.
        scale_ends: labels of the ends of the grey scale if the tiles are not weights.
        magnification: pixels per weight.
        width: width of the sheet in pixels; the tiles are then as large as possible.

    Raises:
        ConfigError: the images differ in size, an order contains a unit that does not exist, or
            the tiles do not fit the width.
        DaeError: a weight is NaN or infinite.
    """
    units = [layer.units(shape[0] * shape[1]) for layer in layers]
    panels, ends = _panels(layers, units, limit, scale)
    return lay_out(
        panels,
        shape,
        scale_ends=scale_ends or ends,
        title=title,
        caption=caption,
        magnification=magnification,
        width=width,
        theme=theme,
    )


def zoom_sheet(
    layers: Sequence[Filters],
    units: Sequence[int],
    *,
    scale: Scale = "shared",
    title: str = "",
    caption: str = "",
    width: int | None = None,
    theme: Theme = "light",
) -> Sheet:
    """Lay out large tiles with a row for each unit and a column for each layer (Fig. 3 d and e).

    Raises: see ``filter_sheet``.
    """
    chosen = [replace(layer, order=units).units(len(units)) for layer in layers]
    panels, ends = _panels(layers, chosen, None, scale)
    return lay_out(
        panels,
        (len(units), 1),
        scale_ends=ends,
        title=title,
        caption=caption,
        magnification=max(1, round(_ZOOM_PIXELS / layers[0].image[0])),
        row_names=[f"unit {unit}" for unit in units],
        spacing=_ZOOM_SPACING,
        width=width,
        theme=theme,
    )


def tiles_of(weights: Weights, image: ImageShape, limit: float, scale: Scale = "shared") -> Greys:
    """Convert weights (units, inputs) to grey tiles (units, height, width[, 3])."""
    return greys(weights, limit, scale).reshape(-1, *image)


def _panels(
    layers: Sequence[Filters], units: Sequence[list[int]], limit: float | None, scale: Scale
) -> tuple[list[Panel], tuple[str, str]]:
    """Return a panel for each layer and the labels of the ends of the grey scale."""
    if len({layer.image for layer in layers}) > 1:
        sizes = ", ".join("x".join(map(str, layer.image)) for layer in layers)
        raise ConfigError(f"filters of {sizes} inputs differ in size; draw a picture for each size")
    weights = [finite(layer.weights[own], own) for layer, own in zip(layers, units, strict=True)]
    limit = limit or common_limit(weights)
    panels = [
        Panel(
            tiles_of(own, layer.image, limit, scale),
            layer.title,
            () if layer.order is None else list(map(str, of_layer)),
        )
        for own, layer, of_layer in zip(weights, layers, units, strict=True)
    ]
    zero = "mid grey: 0; red, green and blue alike" if len(layers[0].image) > 2 else "mid grey: 0"
    if scale == "tile":
        return panels, ("weight −max", f"+max of each tile  ({zero})")
    return panels, (f"weight −{limit:.2g}", f"+{limit:.2g}  ({zero})")
