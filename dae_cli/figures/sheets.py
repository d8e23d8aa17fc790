"""Sheets: grey tiles in rows, panel beside panel, with numbers, titles and a grey scale.

A weight, or a pixel, is a block of equal pixels in the PNG; whatever is said stands outside the
tiles. All places are in pixels of the PNG, from the top left corner. matplotlib draws; the figure
has 64 dots an inch, since halves of halves are exact in its floating-point numbers: a tile then
begins on a pixel and not a billionth beside it.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dae_cli.figures import style
from dae_cli.figures.greys import Greys, ImageShape
from dae_cli.figures.saving import save_png
from dae_cli.figures.style import INK, SOFT, drawable, text_width
from dae_cli.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

BACKGROUND = 255
TILE_PIXELS = 56
"""Height of a tile, about, unless a magnification is given."""
_DOTS_PER_INCH = 64
_SHARP = 8  # pixels of a weight in SVG and PDF: a viewer that smooths keeps the edges
_SMALLEST = 8  # pixels: the smallest letters that are drawn
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
        pixels = np.full(self.size, BACKGROUND, dtype=np.uint8)
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


@dataclass(frozen=True)
class Text:
    """One line of text; ``x`` and ``y`` are its end on the baseline that ``align`` names."""

    text: str
    x: float
    y: float
    size: float
    align: str = "left"
    colour: str = SOFT


@dataclass(frozen=True, eq=False)
class Sheet:
    """Panels, texts and a grey scale in their places.

    Attributes:
        size: height and width.
        scale_bar: top, left, height, width of the grey scale.
    """

    size: tuple[int, int]
    grids: tuple[Grid, ...]
    panels: tuple[Panel, ...]
    texts: tuple[Text, ...]
    scale_bar: tuple[int, int, int, int]

    def image(self) -> Image:
        """The sheet as a grey image (mode ``L``)."""
        from PIL import Image

        with style.style():
            canvas = self._figure().canvas
            canvas.draw()
            pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[attr-defined]
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
        style.check_suffix(path, style.SUFFIXES)
        ending = path.suffix.lower()
        if ending == ".png":
            save_png(self.image(), path, metadata)
            return
        about = {key: drawable(text) for key, text in metadata.items()}
        title = {"Title": about.pop("Title")} if "Title" in about else {}
        lines = "\n".join(f"{key}: {text}" for key, text in about.items())
        place = "Description" if ending == ".svg" else "Subject"
        with style.style():
            figure = self._figure(sharp=_SHARP)
        write_whole(path, style.figure_bytes(figure, ending, title | {place: lines}))

    def _figure(self, sharp: int = 1) -> Figure:
        """Draw the sheet, a weight at least ``sharp`` pixels wide."""
        from matplotlib.patches import Rectangle

        height, width = (pixels / _DOTS_PER_INCH for pixels in self.size)
        figure = style.new_figure((width, height), dpi=_DOTS_PER_INCH)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        inches = figure.dpi_scale_trans

        def show(pixels: Greys, top: int, left: int, size: tuple[int, int]) -> None:
            bottom, right = top + size[0], left + size[1]
            axes.imshow(
                # Colours are taken as they are; a map from greys to colours is off by one at times.
                np.repeat(pixels[..., None], 3, axis=2),
                extent=(
                    left / _DOTS_PER_INCH,
                    right / _DOTS_PER_INCH,
                    (self.size[0] - bottom) / _DOTS_PER_INCH,
                    (self.size[0] - top) / _DOTS_PER_INCH,
                ),
                interpolation="none",
                transform=inches,
                clip_on=False,
            )

        for grid, panel in zip(self.grids, self.panels, strict=True):
            times = math.ceil(sharp * panel.image[1] / grid.tile[1])
            show(grid.painted(panel.tiles, times), grid.top, grid.left, grid.size)
        top, left, tall, wide = self.scale_bar
        ramp = np.linspace(0, 255, wide).round().astype(np.uint8)
        show(ramp[None, :], top, left, (tall, wide))
        corner = (left / _DOTS_PER_INCH, (self.size[0] - top - tall) / _DOTS_PER_INCH)
        figure.add_artist(
            Rectangle(  # the white end of the scale ends somewhere
                corner, wide / _DOTS_PER_INCH, tall / _DOTS_PER_INCH, transform=inches,
                fill=False, edgecolor="#a0a0a0", linewidth=0.8,
            )
        )  # fmt: skip
        for text in self.texts:
            figure.text(
                text.x / _DOTS_PER_INCH,
                (self.size[0] - text.y) / _DOTS_PER_INCH,
                text.text,
                size=text.size * 72 / _DOTS_PER_INCH,
                color=text.colour,
                ha=text.align,
                va="baseline",
                transform=inches,
            )
        return figure


@dataclass(frozen=True)
class _Sizes:
    """Letters and distances, larger on a wide sheet, which a page shrinks to its column."""

    title: int
    panel: int
    caption: int
    label: int
    pad: int
    near: int

    @classmethod
    def for_width(cls, width: int) -> _Sizes:
        factor = min(max(width / 720, 1.0), 2.4)
        return cls(*(round(factor * size) for size in (19, 16, 13, 12, 16, 6)))


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

    Raises:
        ValueError: a tile's name is wider than the tile.
    """
    image = panels[0].image
    times = magnification or max(1, round(TILE_PIXELS / image[0]))
    tile = image[0] * times, image[1] * times
    gap = spacing or (1 if max(tile) < 40 else 2)
    bare = Grid(0, 0, tile, gap, shape)
    sizes = _Sizes.for_width(len(panels) * bare.size[1])
    named = any(panel.names for panel in panels)
    numbered = not (named or row_names)
    if numbered:
        shown = math.ceil(max(len(panel.tiles) for panel in panels) / shape[1])
        row_names = [str(row * shape[1]) for row in range(min(shape[0], shown))]

    widest = max((text_width(name, sizes.label) for name in row_names), default=0.0)
    left = sizes.pad + (math.ceil(widest) + sizes.near if row_names else 0)
    step = bare.size[1] + (spacing or round(1.5 * sizes.pad))
    lefts = [left + number * step for number in range(len(panels))]
    right = max(lefts[-1] + bare.size[1], _NARROWEST)

    page = _Page(right)
    page.y = sizes.pad
    page.paragraph(title, left, sizes.title, INK)
    y = page.y + (sizes.near if title else 0)
    for panel, start in zip(panels, lefts, strict=True):
        # The last panel may use the blank to its right, if the sheet is wider than its tiles.
        page.y, page.right = y, right if start == lefts[-1] else start + bare.size[1]
        page.paragraph(panel.title, start, sizes.panel, INK)
    page.right = right
    page.y = page.lowest + (_line(sizes.label) + sizes.near // 2 if numbered else 0) + sizes.near

    name_size = _name_size(panels, tile[1], sizes)
    under = _line(name_size) if named else 0
    grids = tuple(Grid(start, page.y, tile, gap, shape, under) for start in lefts)
    for grid, panel in zip(grids, panels, strict=True):
        if numbered:
            page.texts += _column_numbers(grid, min(len(panel.tiles), shape[1]), sizes)
        page.texts += _under_tiles(grid, panel.names, name_size)
    page.texts += _beside_rows(grids[0], row_names, sizes)

    page.y += grids[0].size[0] + under + sizes.pad
    bar = page.scale(scale_ends, left, sizes)
    page.paragraph(caption, left, sizes.caption, SOFT)
    wide = max(right, *(math.ceil(text.x) for text in page.texts), page.widest)
    size = page.lowest + round(0.7 * sizes.pad), wide + sizes.pad
    return Sheet(size, grids, tuple(panels), tuple(page.texts), bar)


class _Page:
    """Texts from the top down; ``y`` is where the next one begins."""

    def __init__(self, right: int) -> None:
        self.texts: list[Text] = []
        self.y = self.lowest = self.widest = 0
        self.right = right

    def paragraph(self, text: str, x: int, size: int, colour: str) -> None:
        """Add text in lines that end before ``right``; a line that breaks in it is kept."""
        for line in _wrapped(drawable(text), size, self.right - x):
            self.texts.append(Text(line, x, self.y + size, size, colour=colour))
            self.y += _line(size)
        self.lowest = max(self.lowest, self.y)

    def scale(self, ends: tuple[str, str], x: int, sizes: _Sizes) -> tuple[int, int, int, int]:
        """Add the ends of the grey scale, and return top, left, height and width of its bar."""
        size, baseline = sizes.label, self.y + round(0.87 * sizes.label)
        self.texts.append(Text(ends[0], x, baseline, size))
        left = x + math.ceil(text_width(ends[0], size)) + sizes.near if ends[0] else x
        self.texts.append(Text(ends[1], left + 10 * size + sizes.near, baseline, size))
        self.widest = left + 10 * size + sizes.near + math.ceil(text_width(ends[1], size))
        bar = self.y, left, size, 10 * size
        self.y += _line(size) + sizes.near
        self.lowest = self.y
        return bar


def _line(size: int) -> int:
    """From one line of letters to the next."""
    return round(1.35 * size)


def _wrapped(text: str, size: int, room: int) -> Iterator[str]:
    """Lines of at most ``room`` pixels; a word that is wider is broken."""
    for paragraph in text.strip().splitlines():
        letters = len(paragraph)
        while True:
            lines = textwrap.wrap(paragraph, max(letters, 1))
            if letters <= 1 or all(text_width(line, size) <= room for line in lines):
                break
            letters -= 1 + letters // 50
        yield from lines


def _name_size(panels: Sequence[Panel], tile: int, sizes: _Sizes) -> int:
    """Size of the tiles' names: small beside the tiles, and none wider than its tile."""
    names = [name for panel in panels for name in panel.names]
    size = min(sizes.label, max(_SMALLEST, round(tile / 3.5)))
    while any(text_width(name, size) > tile for name in names):
        if size == _SMALLEST:
            raise ValueError(f"a name under a tile of {tile} pixels is wider than it: {names}")
        size -= 1
    return size


def _column_numbers(grid: Grid, columns: int, sizes: _Sizes) -> Iterator[Text]:
    room = text_width(f"+{columns - 1}", sizes.label) + sizes.near
    for column in _every(columns, grid.pitch[1], room):
        x = grid.left + column * grid.pitch[1] + grid.tile[1] / 2
        yield Text(f"+{column}", x, grid.top - sizes.near, sizes.label, "center")


def _beside_rows(grid: Grid, names: Sequence[str], sizes: _Sizes) -> Iterator[Text]:
    for row in _every(len(names), grid.pitch[0], _line(sizes.label)):
        y = grid.top + row * grid.pitch[0] + grid.tile[0] / 2 + 0.36 * sizes.label
        yield Text(names[row], grid.left - sizes.near, y, sizes.label, "right")


def _under_tiles(grid: Grid, names: Sequence[str], size: int) -> Iterator[Text]:
    for index, name in enumerate(names):
        top, left = grid.corner(index)
        yield Text(name, left + grid.tile[1] / 2, top + grid.tile[0] + size, size, "center")


def _every(total: int, pitch: int, room: float) -> Iterable[int]:
    """The rows or columns to number: all, or every 2nd, 5th, 10th … where tiles are small."""
    steps = (factor * 10**power for power in range(9) for factor in (1, 2, 5))
    return range(0, total, next(step for step in steps if step * pitch >= room))
