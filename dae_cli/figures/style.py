"""How every figure looks: one font, and matplotlib as it is shipped with one style over it.

Figures are built with matplotlib's objects alone (``Figure`` on an Agg canvas, never pyplot): no
global state and no user's settings, so the same values give the same picture.
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
"""Of titles; and of numbers and captions, which are to be seen after the data."""
LINES = ("-", "--", ":", "-.")

# Okabe and Ito's colours, told apart by colour-blind readers too; their yellow is too pale here.
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
    "svg.hashsalt": "dae",  # else the ids in an SVG are drawn at random
    "pdf.fonttype": 42,  # fonts are embedded whole, so that text can be searched
}


@cache
def load_matplotlib() -> None:
    """Import matplotlib, whatever surrounds the command; early, so that no run is lost by it.

    While it is imported, it reads the variables MPLBACKEND, MATPLOTLIBRC and MPLCONFIGDIR, a file
    ``matplotlibrc`` of the current folder, and the user's own. What they say may be unknown here or
    unreadable: a notebook, for one, sets a backend of its own for every command that it starts.
    """
    shipped = _shipped()
    # It warns of its users' settings and folders, which are of no concern here.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with (
        _environment(MPLBACKEND="agg", MATPLOTLIBRC=str(shipped)),
        chdir(shipped) if shipped.is_dir() else nullcontext(),
    ):
        try:
            _import()
        except Exception:  # its folder for settings and fonts is of no use: give it one
            folder = mkdtemp(prefix="dae-matplotlib-")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            with _environment(MPLCONFIGDIR=folder):
                _import()


@contextmanager
def style() -> Iterator[None]:
    """The defaults of matplotlib with our settings over them, put back afterwards."""
    load_matplotlib()
    # Not its module `style`, which reads the user's own styles when it is imported.
    from matplotlib import rc_context, rcParamsDefault

    values: Any = {name: value for name, value in rcParamsDefault.items() if name != "backend"}
    with rc_context(values | _STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # an SVG's viewer may have it
        yield


def new_figure(inches: tuple[float, float], **options: Any) -> Figure:
    """Return an empty white figure; call it and all that draws on it within ``style``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, facecolor="white", **options)
    FigureCanvasAgg(figure)
    return figure


@lru_cache(maxsize=64)
def font(size: int) -> FreeTypeFont:
    """DejaVu Sans, which matplotlib ships, for what Pillow draws; ``size`` in pixels."""
    from PIL import ImageFont

    return ImageFont.truetype(_shipped() / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def text_width(text: str, size: int) -> int:
    """Width of one line in pixels, rounded up."""
    return math.ceil(font(size).getlength(text))


def drawable(text: str) -> str:
    """Return text with ``?`` for what is no character of a text."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def _shipped() -> Path:
    """The folder of what matplotlib ships beside its code."""
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
