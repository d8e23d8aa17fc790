"""Sheets: panels of tiles side by side, with numbers, titles and a grey scale.

Each weight (or pixel of a tile) is a block of equal pixels in the PNG, of equal size unless the
tiles fill a given width; all texts are outside the tiles. Positions are in pixels of the PNG from
the top left corner. Pillow writes PNG files, which keep the tiles' exact pixels and do not require
matplotlib; matplotlib writes SVG and PDF files with the same font and layout.
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

_TILE_PIXELS = 56  # approximate height of a tile without a magnification
_PER_INCH = 96  # pixels; a browser then shows SVG and PNG in the same size
_SHARP = 8  # pixels per weight in SVG and PDF: keeps edges in viewers that smooth
_SMALLEST = 8  # pixels: smallest font size
_PAD = 16  # pixels: margin
_NEARLY = 0.9
_NARROWEST = 420  # pixels: a sheet of a few tiles has room for its title and caption


@dataclass(frozen=True)
class Palette:
    """Greys of titles (ink), numbers and captions (soft), the scale's frame, and the background."""

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
    """A group of tiles.

    Attributes:
        tiles: greys (tiles, height, width[, 3]), 0 black to 255 white.
        title: heading above the tiles.
        names: label under each tile; without names, rows and columns are numbered.
    """

    tiles: Greys
    title: str = ""
    names: Sequence[str] = ()

    @property
    def image(self) -> ImageShape:
        """(height, width[, 3]) of a tile."""
        return self.tiles.shape[1:]


@dataclass(frozen=True)
class Grid:
    """Positions of a panel's tiles.

    Attributes:
        left, top: position of the first tile.
        tile: height and width of a tile.
        gap: space between tiles.
        shape: numbers of rows and columns.
        under: space below each tile for its name.
    """

    left: int
    top: int
    tile: tuple[int, int]
    gap: int
    shape: tuple[int, int]
    under: int = 0

    @property
    def pitch(self) -> tuple[int, int]:
        """Distance from one row to the next and from one column to the next."""
        return self.tile[0] + self.under + self.gap, self.tile[1] + self.gap

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the panel, including blank positions."""
        down, across = ((n - 1) * p for n, p in zip(self.shape, self.pitch, strict=True))
        return down + self.tile[0], across + self.tile[1]

    def corner(self, index: int) -> tuple[int, int]:
        """Return top and left of a tile, counted row by row from 0."""
        row, column = divmod(index, self.shape[1])
        return self.top + row * self.pitch[0], self.left + column * self.pitch[1]

    def painted(self, tiles: Greys, background: int, times: int = 1) -> Greys:
        """Return the panel's pixels, enlarged by ``times`` in each direction."""
        height, width = (times * side for side in self.size)
        pixels = np.full((height, width, *tiles.shape[3:]), background, dtype=np.uint8)
        tall, wide = (times * side for side in self.tile)
        # The nearest weight of each pixel, so that every grey is that of a weight.
        rows, columns = (
            np.arange(side) * weights // side
            for side, weights in zip((tall, wide), tiles.shape[1:3], strict=True)
        )
        for index, tile in enumerate(tiles[:, rows][:, :, columns]):
            top, left = self.corner(index)
            top, left = times * (top - self.top), times * (left - self.left)
            pixels[top : top + tall, left : left + wide] = tile
        return pixels

    def tiles_of(self, picture: Greys, count: int, image: ImageShape) -> Greys:
        """Return the first ``count`` tiles of a picture as (count, height, width[, 3]) greys."""
        (height, width), (down, across) = self.tile, image[:2]
        corners = [self.corner(index) for index in range(count)]
        cut = [picture[y : y + height, x : x + width] for y, x in corners]
        return np.array([tile[:: height // down, :: width // across] for tile in cut])


@dataclass(frozen=True)
class Text:
    """One line of text whose baseline is at ``y``.

    Attributes:
        x: position of the left end, middle or right end, if ``align`` is ``l``, ``m`` or ``r``.
        size: font size in pixels.
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
    """Panels, texts and a grey scale with their positions.

    Attributes:
        size: height and width.
        scale: top, left, height and width of the grey scale.
        palette: greys of everything except the tiles, whose greys are values.
    """

    size: tuple[int, int]
    panels: Sequence[Panel]
    grids: Sequence[Grid]
    texts: Sequence[Text]
    scale: tuple[int, int, int, int]
    palette: Palette

    def centred(self, width: int) -> Sheet:
        """Return the sheet centred in a wider one."""
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
        """Return the sheet as a grey (mode ``L``) or colour (``RGB``) image."""
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
        """Write the sheet atomically, as PNG, SVG or PDF according to the suffix.

        The same sheet and metadata give the same bytes. SVG and PDF store ``Title`` as their title
        and the other items as lines ``key: value`` in the description (SVG) or subject (PDF).

        Raises:
            ConfigError: the suffix is not ``.png``, ``.svg`` or ``.pdf``.
            OutputError: the file cannot be written.
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
        """Return the sheet as a matplotlib figure, for SVG and PDF."""
        from matplotlib.patches import Rectangle

        height, width = self.size
        background = self.palette.background
        figure = style.new_figure((width / _PER_INCH, height / _PER_INCH))
        figure.set_facecolor(str(background / 255))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()

        def show(pixels: Greys, top: int, left: int, size: tuple[int, int]) -> None:
            axes.imshow(
                # RGB values are exact; a colour map is sometimes off by one.
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
    """Lay out panels side by side with their titles and numbers.

    Tiles are placed row by row. The number left of a row plus the number above a column is the
    tile's number, unless the tiles or rows have names. Positions after the last tile are blank.

    Args:
        panels: panels with tiles of equal size.
        shape: rows and columns of each panel.
        scale_ends: labels of the black and the white end of the grey scale.
        magnification: pixels per weight; by default a tile is about 56 pixels high.
        row_names: label left of each row.
        spacing: space between tiles and between panels; by default, thin lines separate tiles and
            wider gaps separate panels.
        width: width of the sheet in pixels; the tiles then fill it, if necessary with pixels of
            unequal size, and ``magnification`` is ignored.

    Raises:
        ConfigError: the sheet exceeds the width even with one pixel per weight.
    """

    def place(times: float, pad: int | None = None) -> Sheet:
        look = scale_ends, title, caption, row_names, spacing, theme
        return _placed(panels, shape, times, *look, pad)

    image = panels[0].image
    if width is None:
        return place(magnification or max(1, round(_TILE_PIXELS / image[0])))
    # The font size depends on the tiles, so the width is only known after the layout.
    for side in range(max(image[1], width // (len(panels) * shape[1])), image[1] - 1, -1):
        sheet = place(side / image[1], _PAD)
        if sheet.size[1] <= width:
            times = side // image[1]  # equal pixels, if tiles are nearly as large with them
            if times * image[1] >= _NEARLY * side:
                sheet = place(times, _PAD)
            return sheet.centred(width)
    raise ConfigError(
        f"{len(panels)} x {shape[1]} tiles side by side need at least {sheet.size[1]} pixels; "
        "choose a larger width or fewer tiles"
    )


def _placed(
    panels: Sequence[Panel],
    shape: tuple[int, int],
    times: float,
    scale_ends: tuple[str, str],
    title: str,
    caption: str,
    row_names: Sequence[str],
    spacing: int | None,
    theme: Theme,
    pad: int | None,
) -> Sheet:
    """Lay out a sheet with ``times`` pixels per weight; without ``pad``, margins grow with it."""
    image, palette = panels[0].image, PALETTES[theme]
    tile = round(image[0] * times), round(image[1] * times)
    gap = spacing or (1 if max(tile) < 40 else 2)
    wide = Grid(0, 0, tile, gap, shape).size[1]
    # Wide sheets have larger letters, because pages shrink them to the width of a column.
    factor = min(max(len(panels) * wide / 720, 1.0), 2.4)
    heading, subheading, small, label, near = (round(factor * n) for n in (19, 16, 13, 12, 6))
    pad = round(factor * _PAD) if pad is None else pad
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
        # The last title may extend into blank space to its right.
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
    """Collects the texts of a sheet."""

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
        """Add text, wrapped at ``right``, and return the y below it."""
        for line in _lines(text, size, right - x):
            self.add(line, x, y + size, size, grey)
            y += _line(size)
        return y

    def column_numbers(self, grid: Grid, columns: int, size: int, near: int) -> None:
        """Add ``+0``, ``+1``, … above the columns."""
        room = text_width(f"+{columns - 1}", size) + near
        for column in _every(columns, grid.pitch[1], room):
            middle = grid.corner(column)[1] + grid.tile[1] / 2
            self.add(f"+{column}", middle, grid.top - near, size, align="m")

    def names(self, grid: Grid, names: Sequence[str], size: int) -> None:
        """Add a name under each tile in letters small enough to fit the tile's width."""
        while size > 1 and any(text_width(name, size) > grid.tile[1] for name in names):
            size -= 1
        for index, name in enumerate(names):
            top, left = grid.corner(index)
            self.add(name, left + grid.tile[1] / 2, top + grid.tile[0] + size, size, align="m")


def _ramp(width: int) -> Greys:
    """Return the greys of the scale from left to right."""
    return np.linspace(0, 255, width).round().astype(np.uint8)


def _line(size: int) -> int:
    """Return the line height for a font size."""
    return round(1.35 * size)


def _lines(text: str, size: int, room: int) -> list[str]:
    """Wrap text to lines of at most ``room`` pixels; keeps its line breaks."""
    found: list[str] = []
    for paragraph in drawable(text).splitlines():
        letters, lines = len(paragraph), [paragraph]
        while letters > 1 and any(text_width(line, size) > room for line in lines):
            letters -= 1 + letters // 50
            lines = textwrap.wrap(paragraph, letters)
        found += lines
    return found


def _every(total: int, pitch: int, room: float) -> Iterable[int]:
    """Return the rows or columns to number: all, or every 2nd, 5th, 10th … if tiles are small."""
    steps = (factor * 10**power for power in range(9) for factor in (1, 2, 5))
    return range(0, total, next(step for step in steps if step * pitch >= room))
