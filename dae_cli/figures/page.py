"""report.html: what it shows, as plain values, and the one file that the templates make of them."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from dae_cli.figures import charts
from dae_cli.figures.series import ErrorSeries, Interval, LearningSeries

if TYPE_CHECKING:
    from jinja2 import Environment
    from PIL.Image import Image

    from dae_cli.figures.greys import Greys

SYMBOLS = {
    "better": "✓",
    "matches": "≈",
    "worse": "✗",
    "no reference": "·",
    "calibrated": "=",
    "failed": "!",
}
"""What stands before a verdict's word, so that colour is never needed to tell them apart."""
_COLUMNS = 10
_LEVELS = 16
"""Greys of a sheet: more than the eye tells apart in noise, and a third of the bytes of 256."""
_SHAPE = 21
"""Width and height in pixels of the shape that shows what corruption is."""


@dataclass(frozen=True)
class CellView:
    """One cell of the study, over its seeds.

    Attributes:
        label: model and destruction, such as `SdA-3, 25 %`.
        ours: None where no seed has a result.
        sd: standard deviation over seeds, in percent; empty for one seed.
        bold: ours is the best of its data set, or its interval overlaps the best one's.
        verdict: better, matches, worse, no reference, calibrated or failed.
        data_mark: what stands beside the verdict where the data are not known to be the authors'.
        details: (what, value) of seeds, counts, time, data and code.
        runs: places of its runs in the page's list of runs.
    """

    name: str
    label: str
    ours: Interval | None
    sd: str
    bold: bool
    paper: Interval | None
    paper_model: str
    gap: str
    verdict: str
    data_mark: str
    details: tuple[tuple[str, str], ...]
    runs: tuple[int, ...]


@dataclass(frozen=True)
class PageSheet:
    """The first filters of a run: a PNG of tiles side by side, a pixel for each weight.

    Attributes:
        tiles: (units, height, width) greys; 16 of them remain.
        limit: the weight that is white; its negative is black.
    """

    run: str
    tiles: Greys
    limit: float
    columns: int = _COLUMNS

    @property
    def image(self) -> tuple[int, int]:
        """Height and width of a tile."""
        return self.tiles.shape[1], self.tiles.shape[2]

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return -(-len(self.tiles) // self.columns)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.columns * self.image[1], self.rows * self.image[0]

    @property
    def png(self) -> bytes:
        """The PNG; places without a unit are mid grey."""
        from PIL import Image

        places = np.full((self.rows * self.columns, *self.image), 128, dtype=np.uint8)
        places[: len(self.tiles)] = self.tiles
        rows = places.reshape(self.rows, self.columns, *self.image).transpose(0, 2, 1, 3)
        pixels = np.ascontiguousarray(rows) // (256 // _LEVELS)
        picture = Image.frombytes("P", self.size, pixels.tobytes())
        step = 255 / (_LEVELS - 1)
        picture.putpalette([round(step * k) for k in range(_LEVELS) for _ in "rgb"])
        return _png(picture)


@dataclass(frozen=True)
class Stop:
    """One position of the slider of filters; ``error`` is that of the run's cell, in words."""

    label: str
    error: str
    sheet: PageSheet


@dataclass(frozen=True)
class DataSetView:
    """Everything of one data set.

    Attributes:
        errors: None where two cells share a place.
        stops_by: what the slider goes through: destruction, or model.
        same_start: whether the sheets' units start from the same weights.
    """

    name: str
    origin: str
    cells: tuple[CellView, ...]
    errors: ErrorSeries | None
    learning: LearningSeries
    stops: tuple[Stop, ...]
    stops_by: str
    same_start: bool

    @property
    def has_levels(self) -> bool:
        """Whether there are errors of ours at several destructions."""
        return self.errors is not None and len(self.errors.ours) > 1

    @property
    def intervals(self) -> list[Interval | None]:
        """Every interval of its cells, which share a scale in the table."""
        return [interval for cell in self.cells for interval in (cell.ours, cell.paper)]


@dataclass(frozen=True)
class GridCell:
    """A cell of the table as the paper prints it.

    Attributes:
        verdict: empty where there is nothing to compare.
        data_mark: as of a `CellView`.
        run: place of its first run in the page's list of runs; of no meaning where nothing was run.
        note: which destruction was selected, where the model has one; the spread over seeds.
    """

    ours: str
    bold: bool
    paper: str
    paper_bold: bool
    verdict: str
    data_mark: str
    run: int
    note: str


@dataclass(frozen=True)
class Grid:
    """The table as the paper prints it: a row (data set, its cells), a column a model."""

    models: tuple[str, ...]
    rows: tuple[tuple[str, tuple[GridCell, ...]], ...]
    sources: str = ""
    """Where the paper's numbers are from."""


@dataclass(frozen=True)
class RunView:
    """A line of the list of runs; ``selected`` is the best epoch, or the SVM."""

    run: str
    test_error: str
    wrong: str
    valid_error: str
    selected: str
    minutes: str
    commit: str
    error: str


@dataclass(frozen=True)
class Page:
    """A study's page.

    Attributes:
        made_verb: what the command did to the page: all of it, or the last part.
        warning: which makes the rows are of, where they are of several.
        comparisons: of two models on a data set, which claims rest on; a line of columns first.
        levels: destructions that occur, in percent, to show what corruption is.
        selected_heading: of the column of what was selected of each run.
        data: (data set, origin, SHA-256) of each.
    """

    title: str
    paper: str
    command: str
    made_verb: str
    made: str
    warning: str
    datasets: tuple[DataSetView, ...]
    grid: Grid | None
    claims: tuple[str, ...]
    comparisons: tuple[tuple[str, ...], ...]
    levels: tuple[float, ...]
    runs: tuple[RunView, ...]
    selected_heading: str
    data: tuple[tuple[str, str, str], ...]
    provenance: tuple[tuple[str, str], ...]

    @property
    def any_regenerated(self) -> bool:
        """Whether some data set was regenerated."""
        return any(dataset.origin == "regenerated" for dataset in self.datasets)

    @property
    def any_unverified(self) -> bool:
        """Whether nothing shows of some data set that it is the authors'."""
        return any("unverified" in dataset.origin for dataset in self.datasets)

    @property
    def several_seeds(self) -> bool:
        """Whether some cell has several seeds with a result."""
        return any(cell.sd for dataset in self.datasets for cell in dataset.cells)

    @property
    def image_sizes(self) -> str:
        """Height and width of the images that filters are of, such as ``12 × 10``."""
        images = [stop.sheet.image for dataset in self.datasets for stop in dataset.stops]
        return ", ".join(dict.fromkeys(f"{height} × {width}" for height, width in images))


def render(page: Page) -> str:
    """Return the HTML. The same page gives the same text; every value in it is escaped."""
    return _environment().get_template("report.html.j2").render(page=page)


def corrupted_shape(destruction_percent: float) -> bytes:
    """Return a PNG of a convex shape, with that share of all pixels set to 0.

    What is destroyed at one level is destroyed at all higher ones.
    """
    from PIL import Image

    y, x = (np.mgrid[:_SHAPE, :_SHAPE] - (_SHAPE - 1) / 2) / _SHAPE
    inside = (x + 0.5 * y) ** 2 / 0.103 + (y - 0.3 * x) ** 2 / 0.128 < 1
    order = np.random.RandomState(0).permutation(_SHAPE * _SHAPE).reshape(_SHAPE, _SHAPE)
    left = order >= round(destruction_percent / 100 * _SHAPE * _SHAPE)
    return _png(Image.fromarray(np.where(inside & left, 255, 0).astype(np.uint8)).convert("1"))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("dae_cli.figures"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    own = files("dae_cli.figures").joinpath("templates")
    # Our own files, and the only text that is not escaped.
    environment.globals.update(
        style=Markup(own.joinpath("report.css").read_text(encoding="utf-8")),
        script=Markup(own.joinpath("report.js").read_text(encoding="utf-8")),
        symbols=SYMBOLS,
        charts=charts,
        corrupted_shape=corrupted_shape,
    )
    environment.filters["base64"] = lambda content: b64encode(content).decode("ascii")
    return environment


def _png(image: Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
