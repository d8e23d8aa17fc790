"""A laid-out sheet as SVG or PDF, for print; drawn by matplotlib, one pixel being 1/96 inch.

Tiles are images: a rectangle for each weight would be a file many times as large, with hairlines
between neighbours wherever a viewer smooths their edges. SVG and PDF tell a viewer not to smooth
images, but some do; there a weight's own 8 pixels or more keep its edge sharp to an eighth of it.

The letters are Pillow's font, which the layout was measured with: in PDF it is embedded, and the
text can be searched; in SVG, whose viewers may ignore an embedded font, letters are outlines.
"""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from math import isqrt
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import numpy as np

from dae_cli.pictures.layout import Box
from dae_cli.pictures.plotting import plain_style
from dae_cli.pictures.text import font
from dae_cli.pictures.tiles import FRAME, Drawing, panel_pixels, scale_ramp

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_PER_INCH = 96  # CSS: a browser shows an SVG as large as the PNG
_POINTS = 72 / _PER_INCH
_PIXELS_PER_WEIGHT = 8
_STYLE = {"svg.fonttype": "path", "svg.hashsalt": "dae", "pdf.fonttype": 42}


def svg_bytes(drawing: Drawing, metadata: Mapping[str, str]) -> bytes:
    """Return the sheet as an SVG; the same bytes each time.

    Args:
        metadata: ``Title`` becomes the title, all else lines ``key: value`` of the description.
    """
    about = _title_and_lines(metadata, "Description")
    return _saved(drawing, "svg", {**about, "Date": None, "Creator": None})


def pdf_bytes(drawing: Drawing, metadata: Mapping[str, str]) -> bytes:
    """Return the sheet as a PDF of one page, else as ``svg_bytes``; the lines are its subject."""
    about = _title_and_lines(metadata, "Subject")
    return _saved(
        drawing, "pdf", {**about, "CreationDate": None, "Creator": None, "Producer": None}
    )


def _title_and_lines(metadata: Mapping[str, str], place: str) -> dict[str, str]:
    """The title, and all else in ``place``, with ``?`` for what XML and PDF cannot hold."""
    clean = {
        key: "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)
        for key, text in metadata.items()
    }
    about = {"Title": clean.pop("Title")} if "Title" in clean else {}
    if clean:
        about[place] = "\n".join(f"{key}: {text}" for key, text in clean.items())
    return about


def _saved(drawing: Drawing, ending: str, about: Mapping[str, str | None]) -> bytes:
    buffer = BytesIO()
    with plain_style(_STYLE):
        _figure(drawing).savefig(buffer, format=ending, metadata=dict(about))
    return buffer.getvalue()


def _figure(drawing: Drawing) -> Figure:
    from matplotlib.figure import Figure

    layout = drawing.layout
    width, height = layout.size
    figure = Figure(figsize=(width / _PER_INCH, height / _PER_INCH), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for greys, grid in zip(drawing.panels, layout.grids, strict=True):
        magnification = grid.tile // isqrt(greys.shape[1])
        times = -(-_PIXELS_PER_WEIGHT // magnification)
        _image(axes, panel_pixels(greys, grid, times), grid.whole)
    _image(axes, scale_ramp(layout.scale_bar)[None, :], layout.scale_bar)
    _frame(axes, layout.scale_bar)
    _letter(axes, drawing)
    axes.set(xlim=(0, width), ylim=(height, 0))
    return figure


def _image(axes: Axes, pixels: NDArray[np.uint8], box: Box) -> None:
    left, top, right, bottom = box
    axes.imshow(
        # Colours are taken as they are; a map from greys to colours is off by one in places.
        np.repeat(pixels[..., None], 3, axis=2),
        extent=(left, right, bottom, top),
        interpolation="none",
        aspect="auto",
        clip_on=False,
    )


def _frame(axes: Axes, box: Box) -> None:
    from matplotlib.patches import Rectangle

    left, top, right, bottom = box
    axes.add_patch(
        Rectangle(
            (left, top), right - left, bottom - top, fill=False, edgecolor=str(FRAME / 255), lw=0.5
        )
    )


def _letter(axes: Axes, drawing: Drawing) -> None:
    from matplotlib.font_manager import FontProperties

    for run in drawing.layout.runs:
        x, y = run.baseline()
        axes.text(
            x,
            y,
            run.text,
            color=str(run.grey / 255),
            fontproperties=FontProperties(fname=_font_file(), size=run.size * _POINTS),
            va="baseline",
            parse_math=False,
        )


@cache
def _font_file() -> Path:
    """Pillow's font as a file, which matplotlib asks for; it goes when this process ends."""
    folder = mkdtemp(prefix="dae-font-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "font.ttf"
    path.write_bytes(font(16).font_bytes)
    return path
