"""Plots for print and slides: test error against destruction, validation error by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dae_cli.figures.saving import figure_bytes, png_bytes
from dae_cli.figures.series import ErrorPoint, ErrorSeries, LearningSeries
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
"""Inches: what stays free beside a legend, and the height of one of its lines."""


def plot_errors(series: Sequence[ErrorSeries], path: Path) -> None:
    """Plot test error against destruction, one panel per data set, beside the paper's values.

    Written whole or not at all, as the name's ending says: ``.png``, ``.svg`` or ``.pdf``.

    Raises:
        OutputError: it cannot be written.
    """
    ours = list(dict.fromkeys(model for own in series for model in own.lines))
    papers = list(dict.fromkeys(point.model for own in series for point in own.paper))
    rows = "95 % over test rows" + (" and seeds" if any(own.over_seeds for own in series) else "")
    with style():
        figure, panels = _panels(
            [_title(own, len(series)) for own in series],
            "destruction ν (% of the inputs)",
            "test error (%)",
        )
        for axes, own in zip(panels, series, strict=True):
            for model, points in own.lines.items():
                place = ours.index(model)
                _bars(
                    axes,
                    points,
                    fmt="o" + LINES[place % len(LINES)],
                    color=OUR_COLOURS[place % len(OUR_COLOURS)],
                    markersize=6,
                    linewidth=1.8,
                    label=", ".join(filter(None, ("ours", model, rows))),
                )
            levels = own.levels
            span = max(levels[-1] - levels[0], 10.0)
            for point in own.paper:
                place = papers.index(point.model)
                _bars(
                    axes,
                    [point],
                    # Beside our own, since the intervals of a good replication overlap.
                    aside=0.045 * span,
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
            axes.grid(visible=False, axis="x")
        _add_legend(figure)
        content = _content(figure, path)
    write_whole(path, content)


def plot_learning(series: Sequence[LearningSeries], path: Path) -> None:
    """Plot validation error by epoch of fine-tuning, a dot at the network kept; else as above.

    One panel per data set. A colour stands for a model where that distinguishes the cells of each
    data set, else for a cell.
    """
    shown = [(own, {run.series for run in own.runs}) for own in series]
    by_model = all(len({own.models[k] for k in places}) == len(places) for own, places in shown)
    names = {own.dataset: own.models if by_model else own.labels for own in series}
    every = [names[own.dataset][run.series] for own in series for run in own.runs]
    labels = list(dict.fromkeys(every))
    with style():
        figure, panels = _panels(
            [own.dataset for own in series], "epoch of fine-tuning", "validation error (%)"
        )
        for axes, own in zip(panels, series, strict=True):
            for run in own.runs:
                if not run.curves.valid:
                    continue
                label = names[own.dataset][run.series]
                place = labels.index(label)
                colour = COLOURS[place % len(COLOURS)]
                line = LINES[place // len(COLOURS) % len(LINES)]
                epochs, errors = zip(*run.curves.valid, strict=True)
                axes.plot(epochs, errors, line, color=colour, linewidth=1.1, label=drawable(label))
                if run.best is not None:
                    axes.plot(*run.best, "o", color=colour, markersize=5.5)
            axes.locator_params(axis="x", nbins=5, integer=True)
        _add_legend(figure, title="dot: epoch whose network was kept")
        content = _content(figure, path)
    write_whole(path, content)


def _title(series: ErrorSeries, panels: int) -> str:
    if not series.data_mark:
        return series.dataset
    # Three columns have no room for it beside a long name.
    gap = "\n" if _columns(panels) == 3 else " "
    return f"{series.dataset}{gap}({series.data_mark})"


def _bars(axes: Axes, points: Sequence[ErrorPoint], aside: float = 0.0, **options: Any) -> None:
    """Errors with their intervals."""
    axes.errorbar(
        [point.destruction_percent + aside for point in points],
        [point.interval.error_percent for point in points],
        yerr=[point.interval.half_width for point in points],
        elinewidth=1.6,
        capsize=4,
        capthick=1.6,
        **options,
    )


def _columns(panels: int) -> int:
    return {1: 1, 2: 2, 4: 2}.get(panels, 3)


def _panels(titles: Sequence[str], x: str, y: str) -> tuple[Figure, list[Axes]]:
    """A figure with a panel per title, the axes named where they are at its edge."""
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


def _content(figure: Figure, path: Path) -> bytes:
    """The bytes of a file; a PNG has 256 colours, a third of the bytes of matplotlib's own."""
    if path.suffix != ".png":
        return figure_bytes(figure, path.suffix, {"Title": path.stem.replace("_", " ")})

    from PIL import Image

    canvas: Any = figure.canvas
    canvas.draw()  # once; savefig draws twice, for the layout and for the file
    size = canvas.get_width_height()
    image = Image.frombytes("RGBA", size, bytes(canvas.buffer_rgba())).convert("RGB")
    few = image.quantize(256, dither=Image.Dither.NONE)
    return png_bytes(few, dpi=(figure.dpi, figure.dpi))
