"""The picture of a study's training photographs, small and with names: writing and reading it.

As with sheets of filters, this picture is all that a clone has of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from dae_cli.data.photographs import Scenes
from dae_cli.figures.greys import Greys
from dae_cli.figures.saving import png_bytes, png_text
from dae_cli.figures.sheets import Panel, lay_out
from dae_cli.figures.style import drawable
from dae_cli.study.report.saved_runs import read_sheet, write_sheet

COLUMNS, MOST = 5, 40
SIDE = 120
"""Side in pixels of the square that shows a whole photograph, padded with mid grey."""
_NAMES, _UNDER = "Photographs", "Under"
"""Metadata keys of the picture: names (one per line), and height in pixels below each tile."""


@dataclass(frozen=True, eq=False)
class Photographs:
    """Content of the picture."""

    caption: str
    names: Sequence[str]
    small: Sequence[bytes]
    """A PNG per photograph."""


def save_photographs(scenes: Scenes, path: Path, title: str) -> None:
    """Save the picture of the first photographs with their names."""
    chosen = {drawable(name).replace("\n", "?"): grey for name, grey in [*scenes.items()][:MOST]}
    tiles = np.array([_small(grey) for grey in chosen.values()])
    caption = "Learned from these photographs, in grey"
    if len(scenes) > len(chosen):
        caption = f"Learned from {len(scenes)} photographs, in grey, of which these are the first"
    shape = (-(-len(tiles) // COLUMNS), COLUMNS)
    ends = ("black 0", "white 255")
    panel = Panel(tiles, names=list(chosen))
    sheet = lay_out([panel], shape, scale_ends=ends, title=caption, magnification=1)
    about = {"Title": title, "Description": caption, "Runs": "", _NAMES: "\n".join(chosen)}
    about[_UNDER] = str(sheet.grids[0].under)
    write_sheet(sheet, path, 1.0, about)


def _small(grey: Greys) -> Greys:
    height, width = grey.shape
    share = SIDE / max(height, width)
    size = max(1, round(share * width)), max(1, round(share * height))
    small = Image.fromarray(grey).resize(size, Image.Resampling.LANCZOS)
    return np.asarray(ImageOps.pad(small, (SIDE, SIDE), color=128))


def read_photographs(path: Path) -> Photographs | None:
    """Return the content of a picture of photographs; None if it is missing or not drawn by dae."""
    with suppress(OSError, SyntaxError, KeyError, ValueError, Image.DecompressionBombError):
        _, sheet = read_sheet(path)
        names = png_text(path, _NAMES).split("\n")
        grid = replace(sheet.grid, under=int(png_text(path, _UNDER)))
        tiles = grid.tiles_of(sheet.picture, len(names), (SIDE, SIDE))
        small = [png_bytes(Image.fromarray(tile)) for tile in tiles]
        return Photographs(png_text(path, "Description"), names, small)
    return None
