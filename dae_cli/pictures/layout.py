"""Where everything on a sheet of filters goes; drawing it is left to ``tiles`` and ``vector``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from dae_cli.pictures.text import Run, drawable, line_height, text_width, wrap

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are one past the last pixel."""

_SOFT = 95  # grey of numbers and captions, so that the tiles speak first
_SMALLEST = 8  # pixels: the smallest letters that are drawn


@dataclass(frozen=True)
class Grid:
    """One panel's tiles: ``tiles`` = (rows, columns), each ``tile`` pixels wide and high.

    Attributes:
        under: pixels below each tile that are kept for its name.
    """

    left: int
    top: int
    tile: int
    gap: int
    tiles: tuple[int, int]
    under: int = 0

    @property
    def pitch(self) -> int:
        """Pixels from one column to the next."""
        return self.tile + self.gap

    @property
    def row_pitch(self) -> int:
        """Pixels from one row to the next."""
        return self.tile + self.under + self.gap

    @property
    def whole(self) -> Box:
        """The pixels from the first tile to the last, blank ones as well."""
        _, _, right, bottom = self.box(self.tiles[0] * self.tiles[1] - 1)
        return self.left, self.top, right, bottom

    def box(self, index: int) -> Box:
        """The pixels of tile ``index``, counted row by row from 0."""
        row, column = divmod(index, self.tiles[1])
        left, top = self.left + column * self.pitch, self.top + row * self.row_pitch
        return left, top, left + self.tile, top + self.tile


@dataclass(frozen=True)
class Layout:
    """A whole sheet: its size (width, height), one grid per panel, the texts, the grey scale."""

    size: tuple[int, int]
    grids: tuple[Grid, ...]
    runs: tuple[Run, ...]
    scale_bar: Box


@dataclass(frozen=True)
class Sheet:
    """What a sheet shows, as far as its layout is concerned.

    Attributes:
        panels: the title over each panel; empty for none.
        units: how many units each panel has.
        side: width and height of a tile in weights.
        magnification: pixels per weight.
        tiles: (rows, columns) of each panel.
        scale_ends: what stands at the black and at the white end of the grey scale.
        tile_names: for each panel what stands under each of its tiles; or
        row_names: what stands left of each row. Without either rows and columns are numbered.
        spacing: pixels between tiles and between panels alike; else tiles of one panel are
            parted by thin lines, and panels by more.
    """

    panels: tuple[str, ...]
    units: tuple[int, ...]
    side: int
    magnification: int
    tiles: tuple[int, int]
    title: str
    caption: str
    scale_ends: tuple[str, str]
    tile_names: tuple[tuple[str, ...], ...] = ()
    row_names: tuple[str, ...] = ()
    spacing: int | None = None


@dataclass(frozen=True)
class _Sizes:
    """Lettering and distances in pixels, grown with the sheet so that a wide one stays legible
    when a page shrinks it to its column."""

    title: int
    panel: int
    caption: int
    label: int
    pad: int
    near: int

    @classmethod
    def for_width(cls, width: int) -> _Sizes:
        factor = min(max(width / 720, 1.0), 2.4)
        title, panel, caption, label, pad, near = (
            round(factor * base) for base in (22, 18, 15, 13, 18, 6)
        )
        return cls(title, panel, caption, label, pad, near)


def lay_out(sheet: Sheet) -> Layout:
    """Place tiles, names, titles, the grey scale and the caption; nothing overlaps.

    Raises:
        ValueError: a tile's name is wider than the tile.
    """
    rows, columns = sheet.tiles
    tile = sheet.side * sheet.magnification
    gap = sheet.spacing or (1 if tile < 40 else 2)
    grid_width = columns * (tile + gap) - gap
    sizes = _Sizes.for_width(len(sheet.panels) * grid_width)
    between = sheet.spacing or round(1.5 * sizes.pad)

    row_names = _row_names(sheet)
    widest = max((text_width(name, sizes.label) for name in row_names), default=0)
    margin = sizes.pad + (widest + sizes.near if row_names else 0)
    lefts = [margin + panel * (grid_width + between) for panel in range(len(sheet.panels))]
    # A sheet of a few tiles is still wide enough to read its title and caption.
    text_right = max(lefts[-1] + grid_width, 420)

    runs: list[Run] = []
    y = _paragraph(runs, sheet.title, (margin, sizes.pad), text_right - margin, sizes.title, 20)
    y += sizes.near if runs else 0
    # The last panel may use the blank to its right, if the sheet is wider than its tiles.
    rooms = [*[grid_width] * (len(lefts) - 1), text_right - lefts[-1]]
    y = max(
        _paragraph(runs, name, (left, y), room, sizes.panel, 40)
        for name, left, room in zip(sheet.panels, lefts, rooms, strict=True)
    )
    numbered = not (sheet.tile_names or sheet.row_names)
    y += (line_height(sizes.label) if numbered else 0) + sizes.near
    name_size = _name_size(sheet, tile, sizes)
    under = line_height(name_size) if sheet.tile_names else 0
    grids = tuple(Grid(left, y, tile, gap, sheet.tiles, under) for left in lefts)
    if numbered:
        for grid, units in zip(grids, sheet.units, strict=True):
            runs.extend(_column_numbers(grid, min(units, columns), sizes))
    runs.extend(_beside_rows(grids[0], row_names, sizes))
    if sheet.tile_names:
        for grid, names in zip(grids, sheet.tile_names, strict=True):
            runs.extend(_under_tiles(grid, names, name_size))

    y += rows * grids[0].row_pitch - gap + sizes.pad
    bar, bottom = _grey_scale(runs, sheet.scale_ends, (margin, y), sizes)
    bottom += sizes.near
    end = _paragraph(
        runs, sheet.caption, (margin, bottom), text_right - margin, sizes.caption, _SOFT
    )
    width = max(text_right, *(run.box()[2] for run in runs)) + sizes.pad
    return Layout((width, end + sizes.pad), grids, tuple(runs), bar)


def _row_names(sheet: Sheet) -> list[str]:
    if sheet.row_names or sheet.tile_names:
        return [drawable(name) for name in sheet.row_names]
    rows, columns = sheet.tiles
    shown = min(rows, -(-max(sheet.units) // columns))
    return [str(row * columns) for row in range(shown)]


def _name_size(sheet: Sheet, tile: int, sizes: _Sizes) -> int:
    """Size of the tiles' names: small beside the tiles, and none wider than its tile."""
    names = [drawable(name) for own in sheet.tile_names for name in own]
    size = min(sizes.label, max(_SMALLEST, round(tile / 3.5)))
    while size > _SMALLEST and any(text_width(name, size) > tile for name in names):
        size -= 1
    wide = next((name for name in names if text_width(name, size) > tile), None)
    if wide is not None:
        raise ValueError(
            f"{wide!r} is wider than a tile of {tile} pixels: give a larger magnification"
        )
    return size


def _paragraph(
    runs: list[Run], text: str, at: tuple[int, int], width: int, size: int, grey: int
) -> int:
    """Add ``text``, wrapped; return the y below its last line (``at``'s own y for no text)."""
    x, y = at
    for line in wrap(text, size, width):
        runs.append(Run(line, (x, y + size), size, "ls", grey))
        y += line_height(size)
    return y


def _column_numbers(grid: Grid, columns: int, sizes: _Sizes) -> Iterator[Run]:
    names = [f"+{column}" for column in range(columns)]
    room = text_width(names[-1], sizes.label) + sizes.near
    for column in _every(columns, grid.pitch, room):
        x = grid.left + column * grid.pitch + grid.tile // 2
        yield Run(names[column], (x, grid.top - sizes.near), sizes.label, "ms", _SOFT)


def _beside_rows(grid: Grid, names: Sequence[str], sizes: _Sizes) -> Iterator[Run]:
    for row in _every(len(names), grid.row_pitch, line_height(sizes.label)):
        y = grid.top + row * grid.row_pitch + grid.tile // 2
        yield Run(names[row], (grid.left - sizes.near, y), sizes.label, "rm", _SOFT)


def _under_tiles(grid: Grid, names: Sequence[str], size: int) -> Iterator[Run]:
    for index, name in enumerate(names):
        left, _, right, bottom = grid.box(index)
        yield Run(drawable(name), ((left + right) // 2, bottom + size), size, "ms", _SOFT)


def _every(total: int, pitch: int, room: int) -> Iterable[int]:
    """The rows or columns to number: all, or every 2nd, 5th, 10th … where tiles are small."""
    step = next(
        factor * 10**power
        for power in count()
        for factor in (1, 2, 5)
        if factor * 10**power * pitch >= room
    )
    return range(0, total, step)


def _grey_scale(
    runs: list[Run], ends: tuple[str, str], at: tuple[int, int], sizes: _Sizes
) -> tuple[Box, int]:
    """The bar from black to white between its two ends; returns it and the y below the line."""
    x, y = at
    low, high = (drawable(end) for end in ends)
    bar_left = x + (text_width(low, sizes.label) + sizes.near if low else 0)
    bar = (bar_left, y, bar_left + 10 * sizes.label, y + sizes.label)
    middle = y + sizes.label // 2
    if low:
        runs.append(Run(low, (x, middle), sizes.label, "lm", _SOFT))
    runs.append(Run(high, (bar[2] + sizes.near, middle), sizes.label, "lm", _SOFT))
    return bar, y + line_height(sizes.label)
