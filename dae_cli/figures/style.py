"""Style of all figures: one font, and matplotlib's default settings with one style on top.

Figures use matplotlib's object interface (``Figure`` on an Agg canvas, never pyplot), without
global state or user settings, so that the same values give the same picture.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import chdir, contextmanager, nullcontext
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.ImageFont import FreeTypeFont

INK, SOFT = "#222222", "#666666"
"""Colours of titles, and of numbers and captions, which should be less prominent than the data."""
LINES = ("-", "--", ":", "-.")

# Okabe and Ito's colours, which are safe for colour-blind readers, without their pale yellow.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, ORANGE, BLACK = "#56B4E9", "#E69F00", "#000000"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE, BLACK)
OUR_COLOURS = (BLUE, BLACK, SKY, ORANGE)
PAPER_COLOURS = (VERMILION, GREEN, PURPLE, BLACK, ORANGE, SKY)

_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.5,
    "axes.titlesize": 11.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#999999",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "text.parse_math": False,
    "figure.dpi": 110,
    "savefig.dpi": "figure",
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "dae",  # otherwise the ids in an SVG are random
    "pdf.fonttype": 42,  # embeds whole fonts, so that text can be searched
}


@cache
def load_matplotlib() -> None:
    """Import matplotlib independently of the user's settings.

    On import, matplotlib reads the variables MPLBACKEND, MATPLOTLIBRC and MPLCONFIGDIR and the
    files ``matplotlibrc`` in the current folder and in the user's. They may be unreadable or name
    something that is not installed; a notebook, for example, sets its backend for every command
    that it starts. Call this early, so that a failed import does not cost a finished run.
    """
    shipped = _shipped()
    # Warnings about the user's settings and folders are irrelevant here.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with (
        _environment(MPLBACKEND="agg", MATPLOTLIBRC=str(shipped)),
        chdir(shipped) if shipped.is_dir() else nullcontext(),
    ):
        try:
            _import()
        except Exception:  # its folder for settings and fonts is unusable: use another one
            folder = mkdtemp(prefix="dae-matplotlib-")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            with _environment(MPLCONFIGDIR=folder):
                _import()


@contextmanager
def style() -> Iterator[None]:
    """Use matplotlib's defaults with our settings on top, and restore the settings afterwards."""
    load_matplotlib()
    # Not its module `style`, which reads the user's styles on import.
    from matplotlib import rc_context, rcParamsDefault

    values: Any = {name: value for name, value in rcParamsDefault.items() if name != "backend"}
    with rc_context(values | _STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the SVG viewer's fonts may have it
        yield


def new_figure(inches: tuple[float, float], **options: Any) -> Figure:
    """Return an empty white figure; create it and draw on it within ``style``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, facecolor="white", **options)
    FigureCanvasAgg(figure)
    return figure


@lru_cache(maxsize=64)
def font(size: int) -> FreeTypeFont:
    """Return matplotlib's copy of DejaVu Sans for Pillow; ``size`` is in pixels."""
    from PIL import ImageFont

    return ImageFont.truetype(_shipped() / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def text_width(text: str, size: int) -> int:
    """Return the width of one line of text in pixels, rounded up."""
    return math.ceil(font(size).getlength(text))


def drawable(text: str) -> str:
    """Replace characters that are not printable by ``?``."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def _shipped() -> Path:
    """Return the folder of matplotlib's data files."""
    found = find_spec("matplotlib")
    return (Path(found.origin).parent if found and found.origin else Path()) / "mpl-data"


def _import() -> None:
    for name in ("backends.backend_agg", "figure", "font_manager"):
        import_module(f"matplotlib.{name}")


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
