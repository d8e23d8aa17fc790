"""How every figure looks: matplotlib as it is shipped, with one style for sheets and plots.

Figures are built with matplotlib's objects alone (``Figure`` on an Agg canvas, never pyplot): no
global state and no user's settings, so the same values give the same picture.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
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
    from matplotlib.ft2font import FT2Font

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
    found = find_spec("matplotlib")
    package = Path(found.origin).parent if found and found.origin else Path()
    shipped = package / "mpl-data"
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
    with rc_context(values | _STYLE):
        yield


def new_figure(inches: tuple[float, float], **options: Any) -> Figure:
    """Return an empty white figure; call it and all that draws on it within ``style``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, facecolor="white", **options)
    FigureCanvasAgg(figure)
    return figure


@lru_cache(maxsize=1024)
def text_width(text: str, size: float) -> float:
    """Width of one line in pixels.

    Args:
        size: of the letters, in pixels.
    """
    font = _font()
    font.set_size(size, 72)
    font.set_text(text)
    return float(font.get_width_height()[0]) / 64  # it counts in 26.6 fixed point


def drawable(text: str) -> str:
    """Return text with ``?`` for what the font lacks and for what is no character of a text."""
    font = _font()
    return "".join(
        letter if letter == "\n" or (letter.isprintable() and font.get_char_index(ord(letter)))
        else "?"
        for letter in text
    )  # fmt: skip


@cache
def _font() -> FT2Font:
    """DejaVu Sans, which matplotlib ships, to measure text with."""
    load_matplotlib()
    from matplotlib import get_data_path
    from matplotlib.font_manager import get_font

    return get_font(str(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")))


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
