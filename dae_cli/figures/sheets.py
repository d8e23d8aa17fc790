"""Sheets: tiles in rows, panel beside panel, with numbers, titles and a grey scale.

A weight, or a pixel, is a block of equal pixels in the PNG; whatever is said stands outside the
tiles. All places are in pixels of the PNG, from the top left corner. The PNG is Pillow's, in which
tiles are pixel for pixel what they are here, and for which no run has to load matplotlib; SVG and
PDF are matplotlib's, with the same font in the same places.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image, ImageDraw

from dae_cli.errors import ConfigError
from dae_cli.figures import style
from dae_cli.figures.greys import Greys, ImageShape
from dae_cli.figures.saving import SUFFIXES, check_suffix, figure_bytes, save_png
from dae_cli.figures.style import drawable, text_width
from dae_cli.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Theme = Literal["light", "dark"]

_TILE_PIXELS = 56  # height of a tile, about, unless a magnification is given
_PER_INCH = 96  # pixels; a browser shows an SVG as large as the PNG
_SHARP = 8  # pixels of a weight in SVG and PDF: a viewer that smooths keeps the edges
_SMALLEST = 8  # pixels: the smallest letters
_NARROWEST = 420  # a sheet of a few tiles is still wide enough to read its title and caption


@dataclass(frozen=True)
class Palette:
    """Greys of titles, of numbers and captions, around the grey scale, and of all else."""

    ink: int
    soft: int
    frame: int
    background: int


PALETTES: Mapping[Theme, Palette] = {
    "light": Palette(34, 102, 160, 255),
    "dark": Palette(232, 172, 110, 24),
}


@dataclass(frozen=True, eq=False)
class Panel:
    """Tiles that stand together.

    Attributes:
        tiles: (tiles, height, width) greys, 0 black to 255 white; of colours with 3 at the end.
        title: what stands over them.
        names: what stands under each tile; else rows and columns are numbered.
    """

    tiles: Greys
    title: str = ""
    names: Sequence[str] = ()

    @property
    def image(self) -> ImageShape:
        """Height and width of a tile in pixels, and 3 of colours."""
        return self.tiles.shape[1:]


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

    def painted(self, tiles: Greys, background: int, times: int = 1) -> Greys:
        """The pixels from the first tile to the last, ``times`` as many each way."""
        pixels = np.full((*self.size, *tiles.shape[3:]), background, dtype=np.uint8)
        down, across = self.tile[0] // tiles.shape[1], self.tile[1] // tiles.shape[2]
        for index, tile in enumerate(tiles.repeat(down, axis=1).repeat(across, axis=2)):
            top, left = self.corner(index)
            top, left = top - self.top, left - self.left
            pixels[top : top + self.tile[0], left : left + self.tile[1]] = tile
        return pixels.repeat(times, axis=0).repeat(times, axis=1) if times > 1 else pixels

    def tiles_of(self, picture: Greys, count: int, image: ImageShape) -> Greys:
        """The first tiles of a picture as (tiles, height, width) greys, and 3: what was painted."""
        (height, width), (down, across) = self.tile, image[:2]
        corners = [self.corner(index) for index in range(count)]
        cut = [picture[y : y + height, x : x + width] for y, x in corners]
        return np.array([tile[:: height // down, :: width // across] for tile in cut])


@dataclass(frozen=True)
class Text:
    """One line of text whose baseline is at ``y``.

    Attributes:
        x: of its left end, its middle or its right end, as ``align`` says: ``l``, ``m``, ``r``.
        size: in pixels.
        grey: 0 black to 255 white.
    """

    text: str
    x: float
    y: float
    size: int
    grey: int
    align: str = "l"


@dataclass(frozen=True, eq=False)
class Sheet:
    """Panels, texts and a grey scale in their places.

    Attributes:
        size: height and width.
        scale: top, left, height and width of the grey scale.
        palette: of all but the tiles, whose greys are values.
    """

    size: tuple[int, int]
    panels: Sequence[Panel]
    grids: Sequence[Grid]
    texts: Sequence[Text]
    scale: tuple[int, int, int, int]
    palette: Palette

    def centred(self, width: int) -> Sheet:
        """The sheet in the middle of a wider one."""
        aside = (width - self.size[1]) // 2
        top, left, *size = self.scale
        return replace(
            self,
            size=(self.size[0], width),
            grids=[replace(grid, left=grid.left + aside) for grid in self.grids],
            texts=[replace(text, x=text.x + aside) for text in self.texts],
            scale=(top, left + aside, size[0], size[1]),
        )

    def image(self) -> Image.Image:
        """The sheet as an image: grey (mode ``L``), or of colours (``RGB``)."""
        colours = self.panels[0].image[2:]
        background = self.palette.background
        pixels = np.full((*self.size, *colours), background, dtype=np.uint8)
        for grid, panel in zip(self.grids, self.panels, strict=True):
            bottom, right = grid.top + grid.size[0], grid.left + grid.size[1]
            pixels[grid.top : bottom, grid.left : right] = grid.painted(panel.tiles, background)
        top, left, height, width = self.scale
        pixels[top - 1 : top + height + 1, left - 1 : left + width + 1] = self.palette.frame
        pixels[top : top + height, left : left + width] = _ramp(width).reshape(
            -1, *(1 for _ in colours)
        )
        image = Image.fromarray(pixels)
        draw = ImageDraw.Draw(image)
        for text in self.texts:
            place, anchor = (round(text.x), round(text.y)), f"{text.align}s"
            ink = (text.grey,) * 3 if colours else text.grey
            draw.text(place, text.text, ink, style.font(text.size), anchor)
        return image

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
        about = {key: drawable(text) for key, text in metadata.items()}
        title = {"Title": about.pop("Title")} if "Title" in about else {}
        lines = "\n".join(f"{key}: {text}" for key, text in about.items())
        place = "Description" if ending == ".svg" else "Subject"
        with style.style():
            content = figure_bytes(self._figure(), ending, title | {place: lines})
        write_whole(path, content)

    def _figure(self) -> Figure:
        """The sheet as a figure of matplotlib, for SVG and PDF."""
        from matplotlib.patches import Rectangle

        height, width = self.size
        background = self.palette.background
        figure = style.new_figure((width / _PER_INCH, height / _PER_INCH))
        figure.set_facecolor(str(background / 255))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()

        def show(pixels: Greys, top: int, left: int, size: tuple[int, int]) -> None:
            axes.imshow(
                # As colours, which are shown as they are; a colour map is off by one at times.
                pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2),
                extent=(left, left + size[1], top + size[0], top),
                interpolation="none",
                aspect="auto",
            )

        for grid, panel in zip(self.grids, self.panels, strict=True):
            times = math.ceil(_SHARP * panel.image[1] / grid.tile[1])
            show(grid.painted(panel.tiles, background, times), grid.top, grid.left, grid.size)
        top, left, tall, wide = self.scale
        show(_ramp(wide)[None], top, left, (tall, wide))
        edge = str(self.palette.frame / 255)
        frame = Rectangle((left, top), wide, tall, fill=False, edgecolor=edge)
        axes.add_patch(frame).set_linewidth(0.5)
        for text in self.texts:
            ends = {"l": "left", "m": "center", "r": "right"}
            options: dict[str, Any] = {"ha": ends[text.align], "va": "baseline"}
            options |= {"size": text.size * 72 / _PER_INCH, "color": str(text.grey / 255)}
            axes.text(text.x, text.y, text.text, **options)
        axes.set(xlim=(0, width), ylim=(height, 0))
        return figure


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
    width: int | None = None,
    theme: Theme = "light",
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
        width: of the sheet in pixels; its tiles are then as large as fit, whatever `magnification`.

    Raises:
        ConfigError: it is too wide for the width even with a pixel a weight.
    """

    def place(times: int) -> Sheet:
        return _placed(panels, shape, times, scale_ends, title, caption, row_names, spacing, theme)

    image = panels[0].image
    if width is None:
        return place(magnification or max(1, round(_TILE_PIXELS / image[0])))
    # Letters grow with the tiles, so how wide a sheet is shows when it is laid out.
    for times in range(max(1, width // (len(panels) * shape[1] * image[1])), 0, -1):
        sheet = place(times)
        if sheet.size[1] <= width:
            return sheet.centred(width)
    raise ConfigError(
        f"{len(panels)} x {shape[1]} tiles side by side are at least {sheet.size[1]} pixels wide: "
        "choose a larger width or fewer tiles"
    )


def _placed(
    panels: Sequence[Panel],
    shape: tuple[int, int],
    times: int,
    scale_ends: tuple[str, str],
    title: str,
    caption: str,
    row_names: Sequence[str],
    spacing: int | None,
    theme: Theme,
) -> Sheet:
    """Lay out a sheet with ``times`` pixels per weight."""
    image, palette = panels[0].image, PALETTES[theme]
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
    left = pad + max((text_width(name, label) + near for name in row_names), default=0)
    lefts = [left + k * (wide + (spacing or round(1.5 * pad))) for k in range(len(panels))]
    right = max(lefts[-1] + wide, _NARROWEST)

    texts = _Texts(palette.soft)
    y = texts.paragraph(title, left, pad, heading, right, palette.ink)
    top, titles_top = 0, y + (near if title else 0)
    for panel, start in zip(panels, lefts, strict=True):
        # The last title may use the blank to its right, if the sheet is wider than its tiles.
        room = right if start == lefts[-1] else start + wide
        top = max(
            top, texts.paragraph(panel.title, start, titles_top, subheading, room, palette.ink)
        )
    top += near + (_line(label) + near // 2 if numbered else 0)
    name_size = min(label, max(_SMALLEST, round(tile[1] / 3.5)))
    under = _line(name_size) if named else 0
    grids = [Grid(start, top, tile, gap, shape, under) for start in lefts]
    for grid, panel in zip(grids, panels, strict=True):
        texts.names(grid, panel.names, name_size)
        if numbered:
            texts.column_numbers(grid, min(len(panel.tiles), shape[1]), label, near)
    for row in _every(len(row_names), grids[0].pitch[0], _line(label)):
        middle = grids[0].corner(row * shape[1])[0] + tile[0] / 2
        texts.add(row_names[row], left - near, middle + 0.36 * label, label, align="r")
    y = top + grids[0].size[0] + under + pad
    low, high = scale_ends
    bar = y, left + text_width(low, label) + near, label, 10 * label
    texts.add(low, left, y + 0.87 * label, label)
    texts.add(high, bar[1] + bar[3] + near, y + 0.87 * label, label)
    end = bar[1] + bar[3] + near + text_width(high, label)
    y = texts.paragraph(caption, left, y + _line(label) + near, small, right, palette.soft)
    size = y + round(0.7 * pad), max(right, end) + pad
    return Sheet(size, panels, grids, texts.found, bar, palette)


class _Texts:
    """The texts of a sheet."""

    def __init__(self, grey: int) -> None:
        self.found: list[Text] = []
        self._grey = grey

    def add(
        self,
        text: str,
        x: float,
        y: float,
        size: int,
        grey: int | None = None,
        align: str = "l",
    ) -> None:
        """Add one line whose baseline is at ``y``."""
        self.found.append(Text(text, x, y, size, self._grey if grey is None else grey, align))

    def paragraph(self, text: str, x: int, y: int, size: int, right: int, grey: int) -> int:
        """Add text in lines that end before ``right``, and return the y below them."""
        for line in _lines(text, size, right - x):
            self.add(line, x, y + size, size, grey)
            y += _line(size)
        return y

    def column_numbers(self, grid: Grid, columns: int, size: int, near: int) -> None:
        """Add ``+0``, ``+1``, … over the columns."""
        room = text_width(f"+{columns - 1}", size) + near
        for column in _every(columns, grid.pitch[1], room):
            middle = grid.corner(column)[1] + grid.tile[1] / 2
            self.add(f"+{column}", middle, grid.top - near, size, align="m")

    def names(self, grid: Grid, names: Sequence[str], size: int) -> None:
        """Add a name under each tile, in letters so small that it is no wider."""
        while size > 1 and any(text_width(name, size) > grid.tile[1] for name in names):
            size -= 1
        for index, name in enumerate(names):
            top, left = grid.corner(index)
            self.add(name, left + grid.tile[1] / 2, top + grid.tile[0] + size, size, align="m")


def _ramp(width: int) -> Greys:
    """The greys of the scale from left to right."""
    return np.linspace(0, 255, width).round().astype(np.uint8)


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
