"""The pictures of docs/performance.md, drawn without global state: same figures, same bytes."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Picture

from benchmarks import parts
from benchmarks.bars import epoch_operations, finetuning_operations, limit, plan_of, widths
from benchmarks.figures import Table
from benchmarks.growth import DEPTH, EPOCHS, ROWS, UNITS
from benchmarks.plan import PROFILE, WORKERS, ours
from dae_cli.files import write_whole

# Okabe and Ito's colours, told apart by colour-blind readers too.
OURS, OTHERS, LIMIT, GUIDE = "#0072B2", "#BBBBBB", "#D55E00", "#999999"
COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#E69F00", "#CC79A7", "#D55E00", "#F0E442", "#000000")
STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "figure.dpi": 90,
    "savefig.dpi": "figure",
}


def draw(table: Table, folder: Path) -> None:
    """Write compared.png, profile.png and growth.png, each whole or not at all."""
    pictures: dict[str, Callable[[Table], Picture]] = {
        "compared.png": compared,
        "profile.png": profile,
        "growth.png": growth,
    }
    for name, make in pictures.items():
        with style.context(["default", STYLE]):
            buffer = BytesIO()
            make(table).savefig(buffer, format="png", metadata={"Software": None})
        write_whole(folder / name, buffer.getvalue())


def compared(table: Table) -> Picture:
    """Seconds an epoch of every contender, and what the products alone need at sgemm's rate."""
    plan, picture = plan_of(table), _blank((8.2, 5.4))
    panels = [
        *((plan.pretraining(units, 20), epoch_operations(plan, units)) for units in widths(plan)),
        (plan.finetuning(20), finetuning_operations(plan)),
    ]
    for place, (measure, operations) in enumerate(panels, start=1):
        axes = picture.add_subplot(3, 1, place)
        figures = [figure for figure in table.of(measure) if figure.unit == "s" and figure.values]
        own = ours(table.about.engine)
        axes.barh(
            [figure.contender for figure in figures],
            [figure.median for figure in figures],
            color=[OURS if figure.contender == own else OTHERS for figure in figures],
            height=0.7,
        )
        if lowest := limit(table, measure, operations):
            axes.axvline(lowest.median, color=LIMIT, linestyle="--", linewidth=1.4)
            axes.annotate(
                " products alone, at sgemm's rate",
                (lowest.median, 1.0),
                xycoords=("data", "axes fraction"),
                color=LIMIT,
                fontsize=8.5,
            )
        axes.invert_yaxis()
        axes.set_title(measure, pad=14)
        axes.grid(axis="x")
    picture.axes[-1].set_xlabel("seconds an epoch")
    return picture


def profile(table: Table) -> Picture:
    """The parts of a pretraining step as one bar."""
    picture = _blank((8.2, 2.2))
    axes = picture.add_subplot()
    step, start = table.get(PROFILE, parts.STEP), 0.0
    for part, colour in zip(parts.PARTS, (*COLOURS, "#dddddd"), strict=True):
        figure = table.get(PROFILE, part)
        if figure is None or step is None:
            continue
        share = 100 * figure.median / step.median
        axes.barh([0], [share], left=start, color=colour, label=f"{part}, {share:.0f} %")
        start += share
    axes.set_yticks([])
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of a pretraining step")
    axes.spines["left"].set_visible(False)
    if step is not None:
        picture.legend(loc="outside upper center", ncols=3, fontsize=8.5)
    return picture


def growth(table: Table) -> Picture:
    """Seconds against each size, with the line along which both grow alike."""
    picture = _blank((8.2, 5.2))
    panels = ((ROWS, "rows"), (UNITS, "hidden units"), (DEPTH, "layers"), (EPOCHS, "epochs"))
    for place, (measure, label) in enumerate(panels, start=1):
        axes = picture.add_subplot(2, 3, place)
        points = [(float(f.contender), f.median) for f in table.of(measure)]
        _curve(axes, points, measure, label, "seconds")
    points = [(float(f.contender), f.median) for f in table.of(WORKERS)]
    axes = picture.add_subplot(2, 3, 5)
    _curve(axes, points, "speed with workers", "workers", "steps a second")
    axes = picture.add_subplot(2, 3, 6)
    axes.axis("off")
    axes.plot([], [], "o-", color=OURS, label="measured")
    axes.plot([], [], "--", color=GUIDE, label="in proportion")
    axes.legend(loc="center left")
    return picture


def _curve(
    axes: Axes, points: list[tuple[float, float]], title: str, across: str, along: str
) -> None:
    axes.set_title(title)
    axes.set_xlabel(across)
    axes.set_ylabel(along)
    axes.grid()
    if not points:
        return
    xs, ys = zip(*points, strict=True)
    axes.plot(xs, [ys[0] * x / xs[0] for x in xs], "--", color=GUIDE, linewidth=1.2)
    axes.plot(xs, ys, "o-", color=OURS, markersize=4.5)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xticks(xs, [f"{x:g}" for x in xs])
    axes.set_yticks(ys, [f"{y:.0f}" if y >= 100 else f"{y:.2g}" for y in ys])
    axes.minorticks_off()


def _blank(inches: tuple[float, float]) -> Picture:
    picture = Picture(figsize=inches, layout="constrained", facecolor="white")
    FigureCanvasAgg(picture)
    return picture
