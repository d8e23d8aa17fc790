"""Plots of errors: test error against destruction, validation error by epoch.

Drawn with matplotlib's objects alone (``Figure`` on its Agg canvas), from its default style
(``plotting.py``): no global state, no user's settings, so the same points give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from math import isfinite
from typing import TYPE_CHECKING

from dae_cli.files import write_whole
from dae_cli.pictures.plotting import plain_style
from dae_cli.pictures.saving import check_suffix

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers too; their yellow is too pale here.
_BLUE, _VERMILION, _GREEN, _PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
_COLOURS = (_BLUE, _VERMILION, _GREEN, _PURPLE, "#56B4E9", "#E69F00", "#000000")
_LINES = ("-", "--", ":", "-.")
_PAPER_MARKERS = ("D", "s", "^", "v", "P", "X")
_PAPER_COLOURS = (_VERMILION, _GREEN, _PURPLE, "#000000", "#E69F00", "#56B4E9")
_OUR_COLOURS = (_BLUE, "#000000", "#56B4E9", "#E69F00")
_INK, _SOFT = "#222222", "#666666"

_EDGE, _LEGEND_LINE = 0.2, 0.21
"""Inches: what stays free beside a legend, and the height of one of its lines."""

_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.5,
    "axes.titlesize": 11.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelcolor": _INK,
    "axes.edgecolor": "#999999",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "figure.dpi": 110,
    "savefig.dpi": "figure",
    "svg.hashsalt": "dae",  # else the ids in an SVG are drawn at random
}
# What matplotlib would write of itself and of the time, by ending; None leaves it out.
_NO_TRACES: dict[str, dict[str, str | None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@dataclass(frozen=True)
class CurvePoint:
    """The error of one cell of a study, and the paper's for the same cell.

    Attributes:
        destruction_percent: ν in percent of the inputs.
        error_percent: test error; the mean where there are several seeds; NaN for a cell without
            a result, of which the paper's value is drawn all the same.
        half_width_95: half the width of the 95 % interval, in points of percent.
        over_seeds: whether it covers the spread over several seeds as well.
        series: the model, where a line is to join its points alone; empty where all are of one.
        paper_error_percent: None where the paper has no number.
        paper_model: the paper's name of the model, such as ``SAA-3`` or ``SdA-3``.
        data_mark: what is to be said of data that are not known to be the originals; else empty.
    """

    dataset: str
    destruction_percent: float
    error_percent: float
    half_width_95: float
    paper_error_percent: float | None
    paper_half_width_95: float | None
    paper_model: str
    data_mark: str
    over_seeds: bool = False
    series: str = ""


@dataclass(frozen=True)
class LearningCurve:
    """Validation error after each epoch of fine-tuning; both sequences of the same length.

    Attributes:
        dataset: the panel it is drawn in.
        label: what its colour stands for; several seeds have the same one.
        kept: the epoch whose network was kept, and its error; None where that is not known.
    """

    dataset: str
    label: str
    epochs: Sequence[int]
    valid_error_percent: Sequence[float]
    kept: tuple[int, float] | None = None


def error_vs_destruction(points: Sequence[CurvePoint], path: Path) -> None:
    """Plot test error against destruction, one panel per data set, beside the paper's values.

    The ending of ``path`` chooses the format: ``.png``, ``.svg`` or ``.pdf``. The file appears
    whole or not at all.

    Raises:
        ConfigError: another ending.
        ValueError: no points, or two of one data set and series at the same destruction.
    """
    check_suffix(path, tuple(_NO_TRACES))
    _save(error_figure(points), path)


def learning_curves(series: Sequence[LearningCurve], path: Path) -> None:
    """Plot validation error by epoch of fine-tuning, a dot at the one that was kept; else as above.

    One panel per data set, one colour per label.
    """
    check_suffix(path, tuple(_NO_TRACES))
    _save(learning_figure(series), path)


def error_figure(points: Sequence[CurvePoint]) -> Figure:
    """The figure that ``error_vs_destruction`` saves; data sets in the order of their points."""
    by_dataset: dict[str, list[CurvePoint]] = {}
    for point in points:
        by_dataset.setdefault(point.dataset, []).append(point)
    if not by_dataset:
        raise ValueError("a plot of errors needs at least one point")
    for dataset, own in by_dataset.items():
        if len({(point.series, point.destruction_percent) for point in own}) < len(own):
            raise ValueError(f"{dataset}: one point per model and destruction, over its seeds")
    models = list(dict.fromkeys(p.paper_model for p in points if p.paper_error_percent is not None))

    bars = "95 % over test rows"
    if any(point.over_seeds for point in points):
        bars += " and seeds"
    ours = {name: f"ours, {name}, {bars}".replace(", , ", ", ") for name in _series(points)}

    with plain_style(_STYLE):
        titles = [_told_origin(name, own, len(by_dataset)) for name, own in by_dataset.items()]
        figure = _panels(titles, "destruction ν (% of the inputs)", "test error (%)")
        for axes, own in zip(figure.axes, by_dataset.values(), strict=True):
            for number, (series, label) in enumerate(ours.items()):
                _our_line(axes, [p for p in own if p.series == series], number, label)
            _error_panel(axes, own, models)
        _common_legend(figure)
    return figure


def learning_figure(series: Sequence[LearningCurve]) -> Figure:
    """The figure that ``learning_curves`` saves; data sets in the order of their curves."""
    if not series:
        raise ValueError("a plot of learning needs at least one curve")
    datasets = list(dict.fromkeys(curve.dataset for curve in series))
    labels = list(dict.fromkeys(curve.label for curve in series))
    with plain_style(_STYLE):
        figure = _panels(datasets, "epoch of fine-tuning", "validation error (%)")
        panels = dict(zip(datasets, figure.axes, strict=True))
        for curve in series:
            _learning_line(panels[curve.dataset], curve, labels.index(curve.label))
        from matplotlib.ticker import MaxNLocator

        for axes in figure.axes:
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        _common_legend(figure, title="dot: what a run has kept")
    return figure


def _learning_line(axes: Axes, curve: LearningCurve, style: int) -> None:
    """One run: its line, and a dot at the epoch that was kept."""
    colour = _COLOURS[style % len(_COLOURS)]
    line = _LINES[style // len(_COLOURS) % len(_LINES)]
    axes.plot(
        curve.epochs,
        curve.valid_error_percent,
        line,
        color=colour,
        linewidth=1.1,
        label=curve.label,
    )
    if curve.kept is not None:
        axes.plot(*curve.kept, "o", color=colour, markersize=5.5)


def _told_origin(dataset: str, points: Sequence[CurvePoint], panels: int) -> str:
    """The title of a panel of errors."""
    if not (marks := [point.data_mark for point in points if point.data_mark]):
        return dataset
    # Three columns have no room for it beside a long name.
    gap = "\n" if _columns(panels) == 3 else " "
    return f"{dataset}{gap}({marks[0]})"


def _series(points: Sequence[CurvePoint]) -> list[str]:
    """The models that have lines of their own."""
    return list(dict.fromkeys(p.series for p in points if isfinite(p.error_percent)))


def _our_line(axes: Axes, points: Sequence[CurvePoint], number: int, label: str) -> None:
    """Our errors of one model, joined by a line, with intervals."""
    ours = sorted(
        (point for point in points if isfinite(point.error_percent)),
        key=lambda point: point.destruction_percent,
    )
    if ours:
        axes.errorbar(
            [point.destruction_percent for point in ours],
            [point.error_percent for point in ours],
            yerr=[point.half_width_95 for point in ours],
            fmt="o" + _LINES[number % len(_LINES)],
            color=_OUR_COLOURS[number % len(_OUR_COLOURS)],
            markersize=6,
            linewidth=1.8,
            elinewidth=1.6,
            capsize=4,
            capthick=1.6,
            label=label,
        )


def _error_panel(axes: Axes, points: Sequence[CurvePoint], models: Sequence[str]) -> None:
    """One data set: the levels of destruction, the paper's values a little to the right of ours."""
    points = sorted(points, key=lambda point: point.destruction_percent)
    levels = list(dict.fromkeys(point.destruction_percent for point in points))
    span = max(levels[-1] - levels[0], 10.0)
    for point in points:
        if point.paper_error_percent is None:
            continue
        style = models.index(point.paper_model)
        axes.errorbar(
            # Beside our own value, since the intervals of a good replication overlap.
            [point.destruction_percent + 0.045 * span],
            [point.paper_error_percent],
            yerr=[point.paper_half_width_95 or 0.0],
            fmt=_PAPER_MARKERS[style % len(_PAPER_MARKERS)],
            color=_PAPER_COLOURS[style % len(_PAPER_COLOURS)],
            markerfacecolor="white",
            markeredgewidth=1.7,
            markersize=7,
            elinewidth=1.6,
            capsize=4,
            capthick=1.6,
            label=f"paper, {point.paper_model}" if point.paper_model else "paper",
        )
    axes.set_xticks(levels, [f"{level:g}" for level in levels])
    axes.set_xlim(levels[0] - 0.08 * span, levels[-1] + 0.12 * span)
    axes.margins(y=0.12)
    axes.grid(visible=False, axis="x")


def _columns(panels: int) -> int:
    return {1: 1, 2: 2, 4: 2}.get(panels, 3)


def _panels(titles: Sequence[str], x: str, y: str) -> Figure:
    """A figure with a panel per title, the axes named where they are at its edge."""
    columns = _columns(len(titles))
    rows = -(-len(titles) // columns)
    figure = _blank((8.2 if columns > 1 else 5.6, 0.5 + 3.15 * rows))
    for place, title in enumerate(titles):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.set_title(title, color=_INK)
        if place % columns == 0:
            axes.set_ylabel(y)
        if place >= len(titles) - columns:
            axes.set_xlabel(x)
    return figure


def _common_legend(figure: Figure, title: str = "") -> None:
    """One legend for all panels, each label once, the paper's at the end."""
    handles = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    order = sorted(handles, key=lambda label: label.startswith("paper"))
    for columns in (4, 3, 2, 1):
        legend = figure.legend(
            [handles[label] for label in order],
            order,
            loc="outside upper left",
            title=title,
            alignment="left",
            ncols=columns,
            handletextpad=0.4,
            columnspacing=1.8,
        )
        wide = legend.get_window_extent().width / figure.dpi
        if wide <= figure.get_figwidth() - _EDGE:
            break
        if columns > 1:
            legend.remove()
        else:
            figure.set_figwidth(wide + _EDGE)
    further = -(-len(order) // columns) - 1
    # Each further line of the legend would take its height from the panels.
    figure.set_figheight(figure.get_figheight() + further * _LEGEND_LINE)


def _blank(inches: tuple[float, float]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    room = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08)  # inches around each panel
    figure = Figure(figsize=inches, layout=room, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    ending = path.suffix.lower()
    buffer = BytesIO()
    with plain_style(_STYLE):
        figure.savefig(buffer, format=ending[1:], metadata=_NO_TRACES[ending])
    write_whole(path, buffer.getvalue())
