"""The photographs that a study learned from, small and named: their picture, and how it is read.

Like a sheet of filters, the picture is all there is of them after a clone.
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
"""Pixels of the square in which a photograph is shown whole, mid grey around it."""
_NAMES, _UNDER = "Photographs", "Under"
"""What the picture says of itself: names, a line each, and the pixels of each under its tile."""


@dataclass(frozen=True, eq=False)
class Photographs:
    """What the picture of them has."""

    caption: str
    names: Sequence[str]
    small: Sequence[bytes]
    """A PNG of each."""


def save_photographs(scenes: Scenes, path: Path, title: str) -> None:
    """Save the picture of the first photographs, by their names."""
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
    """Return what a picture of photographs has; None where there is none that dae drew."""
    with suppress(OSError, SyntaxError, KeyError, ValueError, Image.DecompressionBombError):
        _, sheet = read_sheet(path)
        names = png_text(path, _NAMES).split("\n")
        grid = replace(sheet.grid, under=int(png_text(path, _UNDER)))
        tiles = grid.tiles_of(sheet.picture, len(names), (SIDE, SIDE))
        small = [png_bytes(Image.fromarray(tile)) for tile in tiles]
        return Photographs(png_text(path, "Description"), names, small)
    return None
