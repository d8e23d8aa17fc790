"""Contact sheets: images of a data set as tiles, one panel or two side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dae_cli.errors import ConfigError
from dae_cli.pictures.greys import upright
from dae_cli.pictures.layout import Sheet, lay_out
from dae_cli.pictures.tiles import Drawing, paint

MAGNIFICATION = 2


@dataclass(frozen=True)
class Images:
    """One panel.

    Attributes:
        pixels: (n, 784) grey values in [0, 1], as the set stores them.
        title: what stands over them.
        transposed: whether the set stores its images transposed; they are shown upright.
    """

    pixels: NDArray[np.float32]
    title: str
    transposed: bool = False


def contact_sheet(
    panels: Sequence[Images], *, tiles: tuple[int, int], title: str = "", caption: str = ""
) -> Image.Image:
    """Draw the first images of each panel, row by row; black is 0 and white is 1.

    Args:
        tiles: (rows, columns) of each panel; tiles beyond the last image stay blank.

    Raises:
        ConfigError: rows or columns below 1, or no image.
    """
    if min(tiles) < 1 or not all(len(panel.pixels) for panel in panels):
        raise ConfigError("a contact sheet needs at least one row, one column and one image")
    shown = [_upright(panel)[: tiles[0] * tiles[1]] for panel in panels]
    layout = lay_out(
        Sheet(
            panels=tuple(panel.title for panel in panels),
            units=tuple(len(pixels) for pixels in shown),
            side=isqrt(shown[0].shape[1]),
            magnification=MAGNIFICATION,
            tiles=tiles,
            title=title,
            caption=caption,
            scale_ends=("0", "1"),
        )
    )
    greys = (np.rint(pixels * 255).astype(np.uint8) for pixels in shown)
    return paint(Drawing(layout, tuple(greys)))


def _upright(panel: Images) -> NDArray[np.float32]:
    pixels = upright(panel.pixels) if panel.transposed else panel.pixels
    return np.asarray(pixels, dtype=np.float32)
