"""Sheets: grey tiles in rows, panel beside panel, with numbers, titles and a grey scale.

A weight, or a pixel, is a block of equal pixels in the PNG; whatever is said stands outside the
tiles. All places are in pixels of the PNG, from the top left corner. matplotlib draws; the figure
has 64 dots an inch, since halves of halves are exact in floating-point numbers: a tile then begins
on a pixel and not a billionth beside it.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dae_cli.figures import style
from dae_cli.figures.greys import Greys, ImageShape
from dae_cli.figures.saving import SUFFIXES, check_suffix, figure_bytes, save_png
from dae_cli.figures.style import INK, SOFT, drawable, text_width
from dae_cli.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

_BACKGROUND = 255
_TILE_PIXELS = 56  # height of a tile, about, unless a magnification is given
_DOTS_PER_INCH = 64
_SHARP = 8  # pixels of a weight in SVG and PDF: a viewer that smooths keeps the edges
_SMALLEST = 8  # pixels: the smallest letters
_NARROWEST = 420  # a sheet of a few tiles is still wide enough to read its title and caption


@dataclass(frozen=True, eq=False)
class Panel:
    """Tiles that stand together.

    Attributes:
        tiles: (tiles, height, width) greys, 0 black to 255 white.
        title: what stands over them.
        names: what stands under each tile; else rows and columns are numbered.
    """

    tiles: Greys
    title: str = ""
    names: Sequence[str] = ()

    @property
    def image(self) -> ImageShape:
        """Height and width of a tile in weights."""
        return self.tiles.shape[1], self.tiles.shape[2]


@dataclass(frozen=True)
class Grid:
    """Where the tiles of a panel are.

    Attributes:
        left, top: of the first tile.
        tile: height and width of a tile.
        gap: between tiles.
        shape: rows and columns.
        under: what is kept below each tile for its name.
    """

    left: int
    top: int
    tile: tuple[int, int]
    gap: int
    shape: tuple[int, int]
    under: int = 0

    @property
    def pitch(self) -> tuple[int, int]:
        """From one row to the next, and from one column to the next."""
        return self.tile[0] + self.under + self.gap, self.tile[1] + self.gap

    @property
    def size(self) -> tuple[int, int]:
        """Height and width from the first tile to the last, blank ones as well."""
        down, across = ((n - 1) * p for n, p in zip(self.shape, self.pitch, strict=True))
        return down + self.tile[0], across + self.tile[1]

    def corner(self, index: int) -> tuple[int, int]:
        """Top and left of a tile, counted row by row from 0."""
        row, column = divmod(index, self.shape[1])
        return self.top + row * self.pitch[0], self.left + column * self.pitch[1]

    def painted(self, tiles: Greys, times: int = 1) -> Greys:
        """The pixels from the first tile to the last, ``times`` as many each way."""
        pixels = np.full(self.size, _BACKGROUND, dtype=np.uint8)
        block = np.ones((1, self.tile[0] // tiles.shape[1], self.tile[1] // tiles.shape[2]))
        for index, tile in enumerate(np.kron(tiles, block.astype(np.uint8))):
            top, left = self.corner(index)
            top, left = top - self.top, left - self.left
            pixels[top : top + self.tile[0], left : left + self.tile[1]] = tile
        return np.kron(pixels, np.ones((times, times), dtype=np.uint8)) if times > 1 else pixels

    def tiles_of(self, picture: Greys, count: int, image: ImageShape) -> Greys:
        """The first tiles of a picture as (tiles, height, width) weights: what was painted."""
        (height, width), (down, across) = self.tile, image
        corners = [self.corner(index) for index in range(count)]
        cut = [picture[y : y + height, x : x + width] for y, x in corners]
        return np.array([tile[:: height // down, :: width // across] for tile in cut])


@dataclass(frozen=True, eq=False)
class Sheet:
    """Panels in their places, as a figure."""

    figure: Figure
    panels: Sequence[Panel]
    grids: Sequence[Grid]

    def image(self) -> Image:
        """The sheet as a grey image (mode ``L``)."""
        from PIL import Image

        with style.style():
            self.figure.canvas.draw()
        pixels = np.asarray(self.figure.canvas.buffer_rgba())  # type: ignore[attr-defined]
        return Image.fromarray(np.ascontiguousarray(pixels[..., 0]))

    def save(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Write the sheet as the name's ending says: ``.png``, ``.svg`` or ``.pdf``.

        The same sheet and metadata give the same bytes, whole or not at all. SVG and PDF keep
        ``Title`` as their title, and all else as lines ``key: value``: the description of an SVG,
        the subject of a PDF.

        Raises:
            ConfigError: another ending.
            OutputError: it cannot be written.
        """
        check_suffix(path, SUFFIXES)
        ending = path.suffix.lower()
        if ending == ".png":
            save_png(self.image(), path, metadata)
            return
        for shown, panel, grid in zip(
            self.figure.axes[0].images, self.panels, self.grids, strict=False
        ):
            times = math.ceil(_SHARP * panel.image[1] / grid.tile[1])
            shown.set_data(_colours(grid.painted(panel.tiles, times)))
        about = {key: drawable(text) for key, text in metadata.items()}
        title = {"Title": about.pop("Title")} if "Title" in about else {}
        lines = "\n".join(f"{key}: {text}" for key, text in about.items())
        place = "Description" if ending == ".svg" else "Subject"
        write_whole(path, figure_bytes(self.figure, ending, title | {place: lines}))


def lay_out(
    panels: Sequence[Panel],
    shape: tuple[int, int],
    *,
    scale_ends: tuple[str, str],
    title: str = "",
    caption: str = "",
    magnification: int | None = None,
    row_names: Sequence[str] = (),
    spacing: int | None = None,
) -> Sheet:
    """Place panels side by side, with their titles and numbers; nothing overlaps.

    Tiles come row by row; the number left of a row plus the number over a column is the tile's,
    unless names stand under the tiles or left of the rows. Places beyond the last tile stay blank.

    Args:
        panels: of tiles of one size.
        shape: rows and columns of each panel.
        scale_ends: what stands at the black and at the white end of the grey scale.
        magnification: pixels per weight; unless given, a tile is about 56 pixels high.
        row_names: what stands left of each row.
        spacing: between tiles and between panels alike; else tiles of one panel are parted by thin
            lines, and panels by more.
    """
    image = panels[0].image
    times = magnification or max(1, round(_TILE_PIXELS / image[0]))
    tile = image[0] * times, image[1] * times
    gap = spacing or (1 if max(tile) < 40 else 2)
    wide = Grid(0, 0, tile, gap, shape).size[1]
    # A wide sheet has larger letters, since a page shrinks it to its column.
    factor = min(max(len(panels) * wide / 720, 1.0), 2.4)
    heading, subheading, small, label, pad, near = (
        round(factor * size) for size in (19, 16, 13, 12, 16, 6)
    )
    named = any(panel.names for panel in panels)
    numbered = not (named or row_names)
    if numbered:
        shown = math.ceil(max(len(panel.tiles) for panel in panels) / shape[1])
        row_names = [str(row * shape[1]) for row in range(min(shape[0], shown))]
    left = pad + max((math.ceil(text_width(name, label)) + near for name in row_names), default=0)
    lefts = [left + k * (wide + (spacing or round(1.5 * pad))) for k in range(len(panels))]
    right = max(lefts[-1] + wide, _NARROWEST)

    with style.style():
        canvas = _Canvas()
        y = canvas.paragraph(title, left, pad, heading, right, INK)
        top, titles_top = 0, y + (near if title else 0)
        for panel, start in zip(panels, lefts, strict=True):
            # The last title may use the blank to its right, if the sheet is wider than its tiles.
            room = right if start == lefts[-1] else start + wide
            top = max(top, canvas.paragraph(panel.title, start, titles_top, subheading, room, INK))
        top += near + (_line(label) + near // 2 if numbered else 0)
        name_size = min(label, max(_SMALLEST, round(tile[1] / 3.5)))
        under = _line(name_size) if named else 0
        grids = [Grid(start, top, tile, gap, shape, under) for start in lefts]
        for grid, panel in zip(grids, panels, strict=True):
            canvas.tiles(grid.painted(panel.tiles), grid.top, grid.left, grid.size)
            canvas.names(grid, panel.names, name_size)
            if numbered:
                canvas.column_numbers(grid, min(len(panel.tiles), shape[1]), label, near)
        for row in _every(len(row_names), grids[0].pitch[0], _line(label)):
            middle = grids[0].corner(row * shape[1])[0] + tile[0] / 2
            canvas.text(row_names[row], left - near, middle + 0.36 * label, label, ha="right")
        y = top + grids[0].size[0] + under + pad
        end = canvas.scale(scale_ends, left, y, label, near)
        y = canvas.paragraph(caption, left, y + _line(label) + near, small, right, SOFT)
        canvas.trim(y + round(0.7 * pad), max(right, end) + pad)
    return Sheet(canvas.figure, panels, grids)


class _Canvas:
    """A figure in whose pixels one writes, from the top left corner down; then it is trimmed."""

    def __init__(self) -> None:
        from matplotlib.transforms import Affine2D

        self.figure = style.new_figure((1, 1), dpi=_DOTS_PER_INCH)
        self._axes = self.figure.add_axes((0, 0, 1, 1))
        self._axes.set_axis_off()
        self._top = Affine2D()
        self._inches = self._top + self.figure.dpi_scale_trans

    def trim(self, height: int, width: int) -> None:
        """Give the figure its size."""
        self._top.translate(0, height / _DOTS_PER_INCH)
        self.figure.set_size_inches(width / _DOTS_PER_INCH, height / _DOTS_PER_INCH)

    def text(
        self, text: str, x: float, y: float, size: float, colour: str = SOFT, ha: str = "left"
    ) -> None:
        """Write one line whose baseline is at ``y``."""
        place = x / _DOTS_PER_INCH, -y / _DOTS_PER_INCH
        points = size * 72 / _DOTS_PER_INCH
        options: dict[str, Any] = {"size": points, "color": colour, "ha": ha, "va": "baseline"}
        self.figure.text(*place, text, transform=self._inches, **options)

    def paragraph(self, text: str, x: int, y: int, size: int, right: int, colour: str) -> int:
        """Write text in lines that end before ``right``, and return the y below them."""
        for line in _lines(text, size, right - x):
            self.text(line, x, y + size, size, colour)
            y += _line(size)
        return y

    def tiles(self, pixels: Greys, top: int, left: int, size: tuple[int, int]) -> None:
        """Show greys in a rectangle of this height and width."""
        edges = (left, left + size[1], -top - size[0], -top)
        west, east, south, north = (edge / _DOTS_PER_INCH for edge in edges)
        self._axes.imshow(
            _colours(pixels),
            extent=(west, east, south, north),
            interpolation="none",
            transform=self._inches,
            clip_on=False,
        )

    def scale(self, ends: tuple[str, str], x: int, y: int, size: int, near: int) -> int:
        """Show the grey scale between its ends, and return the x where it ends."""
        from matplotlib.patches import Rectangle

        baseline, wide = y + 0.87 * size, 10 * size
        left = x + math.ceil(text_width(ends[0], size)) + near
        self.text(ends[0], x, baseline, size)
        self.text(ends[1], left + wide + near, baseline, size)
        self.tiles(np.linspace(0, 255, wide).round().astype(np.uint8)[None], y, left, (size, wide))
        corner = left / _DOTS_PER_INCH, (-y - size) / _DOTS_PER_INCH
        frame = Rectangle(corner, wide / _DOTS_PER_INCH, size / _DOTS_PER_INCH, fill=False)
        frame.set(edgecolor="#a0a0a0", linewidth=0.8, transform=self._inches)
        self.figure.add_artist(frame)  # its white end ends somewhere
        return left + wide + near + math.ceil(text_width(ends[1], size))

    def column_numbers(self, grid: Grid, columns: int, size: int, near: int) -> None:
        """Write ``+0``, ``+1``, … over the columns."""
        room = text_width(f"+{columns - 1}", size) + near
        for column in _every(columns, grid.pitch[1], room):
            middle = grid.corner(column)[1] + grid.tile[1] / 2
            self.text(f"+{column}", middle, grid.top - near, size, ha="center")

    def names(self, grid: Grid, names: Sequence[str], size: int) -> None:
        """Write a name under each tile, in letters so small that it is no wider."""
        widest = max((text_width(name, size) for name in names), default=0.0)
        fitting = size * min(1.0, grid.tile[1] / max(widest, 1.0))
        for index, name in enumerate(names):
            top, left = grid.corner(index)
            middle = left + grid.tile[1] / 2
            self.text(name, middle, top + grid.tile[0] + size, fitting, ha="center")


def _colours(greys: Greys) -> Greys:
    """Greys as colours, which are shown as they are; a colour map is off by one at times."""
    return np.repeat(greys[..., None], 3, axis=2)


def _line(size: int) -> int:
    """From one line of letters to the next."""
    return round(1.35 * size)


def _lines(text: str, size: int, room: int) -> list[str]:
    """Break text into lines of at most ``room`` pixels; its own line breaks are kept."""
    found: list[str] = []
    for paragraph in drawable(text).splitlines():
        letters, lines = len(paragraph), [paragraph]
        while letters > 1 and any(text_width(line, size) > room for line in lines):
            letters -= 1 + letters // 50
            lines = textwrap.wrap(paragraph, letters)
        found += lines
    return found


def _every(total: int, pitch: int, room: float) -> Iterable[int]:
    """The rows or columns to number: all, or every 2nd, 5th, 10th … where tiles are small."""
    steps = (factor * 10**power for power in range(9) for factor in (1, 2, 5))
    return range(0, total, next(step for step in steps if step * pitch >= room))
