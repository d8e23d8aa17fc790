"""Plots for print and slides: test error against destruction and validation error by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dae_cli.figures.saving import figure_bytes, png_bytes
from dae_cli.figures.series import (
    ErrorPoint,
    ErrorSeries,
    LearningSeries,
    Line,
    RunCurves,
    spread_of,
)
from dae_cli.figures.style import (
    COLOURS,
    INK,
    LINES,
    OUR_COLOURS,
    PAPER_COLOURS,
    drawable,
    new_figure,
    style,
)
from dae_cli.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PAPER_MARKERS = ("D", "s", "^", "v", "P", "X")
_EDGE, _LEGEND_LINE = 0.2, 0.21
"""Free space next to a legend and height of one of its lines, in inches."""


def plot_errors(series: Sequence[ErrorSeries], path: Path) -> None:
    """Plot test error against destruction with the paper's values, one panel per data set.

    The file is written atomically; its suffix selects the format: ``.png``, ``.svg`` or ``.pdf``.

    Raises:
        OutputError: the file cannot be written.
    """
    ours = list(dict.fromkeys(model for own in series for model in own.lines))
    papers = list(dict.fromkeys(point.model for own in series for point in own.paper))
    whose = "ours" if papers else ""
    seeds = " and seeds" if any(own.over_seeds for own in series) else ""
    rows = f"95 % interval over test rows{seeds}"
    with style():
        figure, panels = _panels(
            [_title(own, len(series)) for own in series],
            "destruction ν (% of inputs)",
            "test error (%)",
        )
        for axes, own in zip(panels, series, strict=True):
            levels = own.levels
            span = max(levels[-1] - levels[0], 10.0)
            aside = 0.03 * span
            for model, points in own.lines.items():
                place = ours.index(model)
                colour = OUR_COLOURS[place % len(OUR_COLOURS)]
                for point in filter(lambda one: one.seeds, points):
                    axes.plot(
                        [point.destruction_percent - aside] * len(point.seeds),
                        point.seeds,
                        "o",
                        color=colour,
                        markersize=3,
                        alpha=0.7,
                        label=", ".join(filter(None, (whose, model, "each seed"))),
                    )
                _bars(
                    axes,
                    points,
                    fmt="o" + LINES[place % len(LINES)],
                    color=colour,
                    markersize=6,
                    linewidth=1.8,
                    label=", ".join(filter(None, (whose, model, rows))),
                )
            for point in own.paper:
                place = papers.index(point.model)
                _bars(
                    axes,
                    [point],
                    # Next to ours, because the intervals of a good replication overlap.
                    aside=1.5 * aside,
                    fmt=_PAPER_MARKERS[place % len(_PAPER_MARKERS)],
                    color=PAPER_COLOURS[place % len(PAPER_COLOURS)],
                    markerfacecolor="white",
                    markeredgewidth=1.7,
                    markersize=7,
                    label=", ".join(filter(None, ("paper", point.model))),
                )
            axes.set_xticks(levels, [f"{level:g}" for level in levels])
            axes.set_xlim(levels[0] - 0.08 * span, levels[-1] + 0.12 * span)
            axes.margins(y=0.12)
            low, high = axes.get_ylim()
            if low < 0 <= min(point.interval.low for point in (*own.ours, *own.paper)):
                axes.set_ylim(-0.05 * high, high)  # no error is negative
            axes.grid(visible=False, axis="x")
        _add_legend(figure)
        content = _content(figure, path)
    write_whole(path, content)


def plot_learning(series: Sequence[LearningSeries], path: Path) -> None:
    """Plot validation error by fine-tuning epoch, one panel per data set.

    A dot marks the epoch whose weights were kept. Several seeds are drawn as their mean with a band
    from the lowest to the highest while all of them are trained, then as a thin line each. A colour
    denotes a model if that distinguishes the cells of each data set, else a cell. See `plot_errors`
    for the file.
    """
    shown = [(own, {run.series for run in own.runs}) for own in series]
    by_model = all(len({own.models[k] for k in places}) == len(places) for own, places in shown)
    names = {own.dataset: own.models if by_model else own.labels for own in series}
    every = [names[own.dataset][run.series] for own in series for run in own.runs]
    labels = list(dict.fromkeys(every))
    with style():
        figure, panels = _panels(
            [own.dataset for own in series], "fine-tuning epoch", "validation error (%)"
        )
        for axes, own in zip(panels, series, strict=True):
            for runs in own.cells:
                label = names[own.dataset][runs[0].series]
                place = labels.index(label)
                colour = COLOURS[place % len(COLOURS)]
                line = LINES[place // len(COLOURS) % len(LINES)]
                _curve(axes, runs, fmt=line, color=colour, label=drawable(label))
            axes.locator_params(axis="x", nbins=5, integer=True)
        several = any(len(runs) > 1 for own in series for runs in own.cells)
        band = "; band: range over seeds" if several else ""
        _add_legend(figure, title=f"dot: epoch whose weights were kept{band}")
        content = _content(figure, path)
    write_whole(path, content)


def _title(series: ErrorSeries, panels: int) -> str:
    if not series.data_mark:
        return series.dataset
    # Three columns have no room for it next to a long name.
    gap = "\n" if _columns(panels) == 3 else " "
    return f"{series.dataset}{gap}({series.data_mark})"


def _bars(axes: Axes, points: Sequence[ErrorPoint], aside: float = 0.0, **options: Any) -> None:
    """Draw errors with their intervals."""
    axes.errorbar(
        [point.destruction_percent + aside for point in points],
        [point.interval.error_percent for point in points],
        yerr=[point.interval.half_width for point in points],
        elinewidth=1.6,
        capsize=4,
        capthick=1.6,
        **options,
    )


def _curve(axes: Axes, runs: Sequence[RunCurves], fmt: str, color: str, label: str) -> None:
    """Draw the validation errors of a cell's runs."""
    lines = [run.curves.valid for run in runs if run.curves.valid]
    if not lines:
        return
    spread = spread_of(lines)
    if spread.low:
        axes.fill(*_xy(spread.low + spread.high[::-1]), color=color, alpha=0.2, linewidth=0)
    axes.plot(*_xy(spread.mean), fmt, color=color, linewidth=1.2, label=label)
    for tail in spread.tails:
        axes.plot(*_xy(tail), fmt, color=color, linewidth=0.6, alpha=0.7)
    for run in runs:
        if run.best is not None and run.curves.valid:
            axes.plot(*run.best, "o", color=color, markersize=5.5 if len(runs) == 1 else 4)


def _xy(line: Line) -> tuple[list[float], list[float]]:
    return [x for x, _ in line], [y for _, y in line]


def _columns(panels: int) -> int:
    return {1: 1, 2: 2, 4: 2}.get(panels, 3)


def _panels(titles: Sequence[str], x: str, y: str) -> tuple[Figure, list[Axes]]:
    """Return a figure with a panel per title and axis labels at its left and lower edges."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = _columns(len(titles))
    rows = -(-len(titles) // columns)
    figure = new_figure(
        (8.2 if columns > 1 else 5.6, 0.5 + 3.15 * rows),
        layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08),  # inches around each panel
    )
    for place, title in enumerate(titles):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.set_title(title, color=INK)
        if place % columns == 0:
            axes.set_ylabel(y)
        if place >= len(titles) - columns:
            axes.set_xlabel(x)
    return figure, figure.axes


def _add_legend(figure: Figure, title: str = "") -> None:
    """Add one legend for all panels; each label occurs once, the paper's come last."""
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
    # Otherwise each further line of the legend would shrink the panels.
    figure.set_figheight(figure.get_figheight() + further * _LEGEND_LINE)


def _content(figure: Figure, path: Path) -> bytes:
    """Return the file's bytes; a PNG has 256 colours and a third of the size of matplotlib's."""
    if path.suffix != ".png":
        return figure_bytes(figure, path.suffix, {"Title": path.stem.replace("_", " ")})

    from PIL import Image

    canvas: Any = figure.canvas
    canvas.draw()  # draws once; savefig draws twice, for the layout and for the file
    size = canvas.get_width_height()
    image = Image.frombytes("RGBA", size, bytes(canvas.buffer_rgba())).convert("RGB")
    few = image.quantize(256, dither=Image.Dither.NONE)
    return png_bytes(few, dpi=(figure.dpi, figure.dpi))
