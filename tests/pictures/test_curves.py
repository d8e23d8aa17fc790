"""Plots: the panels, the points with their intervals, the paper's values, the same bytes."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
import PIL.Image
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from dae_cli.errors import ConfigError
from dae_cli.pictures.curves import (
    CurvePoint,
    LearningCurve,
    error_figure,
    error_vs_destruction,
    learning_curves,
    learning_figure,
)


def point(
    dataset: str,
    level: float,
    error: float,
    paper: tuple[str, float, float] | None = None,
    *,
    regenerated: bool = False,
) -> CurvePoint:
    model, paper_error, paper_half = paper or ("", None, None)
    return CurvePoint(dataset, level, error, 0.3, paper_error, paper_half, model, regenerated)


POINTS = [
    point("rect-img", 0, 24.1, ("SAA-3", 24.05, 0.37), regenerated=True),
    point("rect-img", 25, 21.9, ("SdA-3", 21.59, 0.36), regenerated=True),
    point("rect-img", 50, 22.6, regenerated=True),
    point("convex", 50, 20.1),
    point("convex", 0, 18.1, ("SAA-3", 18.41, 0.34)),
    point("convex", 10, 17.4, ("SdA-3", 19.06, 0.34)),
]


def bars(axes: Axes) -> dict[str, list[tuple[float, float, float]]]:
    """(x, y, half width) of each point drawn, by label."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for container in axes.containers:
        assert isinstance(container, ErrorbarContainer)
        line, _, (intervals,) = container.lines
        assert line is not None
        label = str(container.get_label())
        for (x, y), segment in zip(
            np.asarray(line.get_xydata()), intervals.get_segments(), strict=True
        ):
            half = float(np.ptp(np.array(segment)[:, 1])) / 2
            found.setdefault(label, []).append((float(x), float(y), half))
    return found


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_each_data_set_has_its_panel_and_regenerated_data_say_so() -> None:
    titles = [axes.get_title(loc="left") for axes in error_figure(POINTS).axes]
    assert titles == ["rect-img (regenerated data)", "convex"]


def test_our_points_stand_in_order_with_their_intervals() -> None:
    ours = bars(error_figure(POINTS).axes[1])["ours, 95 % interval"]
    assert [(x, y) for x, y, _ in ours] == [(0, 18.1), (10, 17.4), (50, 20.1)]
    assert [half for *_, half in ours] == pytest.approx([0.3] * 3)


def test_the_papers_values_stand_just_beside_their_level_and_only_where_it_has_one() -> None:
    drawn = bars(error_figure(POINTS).axes[1])
    ((x0, y0, half0),) = drawn["paper, SAA-3"]
    ((x1, y1, _),) = drawn["paper, SdA-3"]
    assert (y0, y1) == (18.41, 19.06)
    assert half0 == pytest.approx(0.34)
    assert 0 < x0 < 5 and 10 < x1 < 15


def test_models_of_the_paper_have_markers_and_colours_of_their_own() -> None:
    axes = error_figure(POINTS).axes[0]
    looks = set()
    for container in axes.containers:
        assert isinstance(container, ErrorbarContainer)
        line = container.lines[0]
        assert line is not None
        looks.add((line.get_marker(), line.get_color()))
    assert len(looks) == 3


def test_axes_name_their_units_and_the_legend_names_each_mark_once() -> None:
    figure = error_figure(POINTS)
    assert figure.axes[0].get_ylabel() == "test error (%)"
    assert figure.axes[1].get_xlabel() == "destruction ν (% of the inputs)"
    assert [text.get_text() for text in figure.axes[1].get_xticklabels()] == ["0", "10", "50"]
    assert legend_texts(figure) == ["ours, 95 % interval", "paper, SAA-3", "paper, SdA-3"]


def test_a_failed_cell_leaves_the_papers_value_standing() -> None:
    points = [point("convex", 0, float("nan"), ("SAA-3", 18.41, 0.34)), point("convex", 25, 18.0)]
    drawn = bars(error_figure(points).axes[0])
    assert [(x, y) for x, y, _ in drawn["ours, 95 % interval"]] == [(25, 18.0)]
    assert drawn["paper, SAA-3"][0][1] == 18.41


def test_no_points_or_two_at_one_place_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one point"):
        error_figure([])
    with pytest.raises(ValueError, match="convex: one point per destruction"):
        error_figure([point("convex", 0, 18.0), point("convex", 0, 18.2)])


@pytest.mark.parametrize("sets", [1, 2, 3, 4, 8])
def test_titles_stay_apart_and_inside_for_any_number_of_panels(sets: int) -> None:
    points = [
        point(f"rot-bg-img{index}", level, 50.0, ("SdA-3", 51.0, 0.4), regenerated=True)
        for index in range(sets)
        for level in (0, 10, 25, 40, 50)
    ]
    figure = error_figure(points)
    assert len(figure.axes) == sets
    figure.canvas.draw()  # places everything
    width = figure.bbox.width
    boxes = [axes._left_title.get_window_extent() for axes in figure.axes]  # type: ignore[attr-defined]
    assert all(box.x0 > 0 and box.x1 < width for box in boxes)
    for one, other in pairwise(boxes):
        assert not one.overlaps(other)
    legend = figure.legends[0].get_window_extent()
    assert not any(legend.overlaps(box) for box in boxes)


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_same_points_give_the_same_bytes(tmp_path: Path, ending: str) -> None:
    first, second = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    error_vs_destruction(POINTS, first)
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "figure.dpi": 33}):
        error_vs_destruction(POINTS, second)  # a user's own style changes nothing
    assert first.read_bytes() == second.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {first.name, second.name}


def test_the_picture_fits_a_page_and_names_no_software(tmp_path: Path) -> None:
    error_vs_destruction(POINTS, tmp_path / "errors.png")
    with PIL.Image.open(tmp_path / "errors.png") as image:
        assert 850 <= image.width <= 950 and 350 <= image.height <= 450
        assert "Software" not in image.info


def test_an_unknown_ending_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"errors\.gif: .*\.png or \.svg or \.pdf"):
        error_vs_destruction(POINTS, tmp_path / "errors.gif")
    with pytest.raises(ConfigError):
        learning_curves([LearningCurve("convex", "a", [1], [1.0])], tmp_path / "learning")
    assert list(tmp_path.iterdir()) == []


def test_learning_curves_mark_the_epoch_that_was_kept(tmp_path: Path) -> None:
    curves = [
        LearningCurve("convex", "0 %", [1, 2, 3, 4], [30.0, 20.0, 19.0, 19.5], kept=(4, 19.5)),
        LearningCurve("convex", "25 %", [1, 2], [float("nan"), 25.0], kept=(2, 25.0)),
    ]
    figure = learning_figure(curves)
    axes = figure.axes[0]
    first, first_best, second, second_best = axes.lines
    assert list(first.get_ydata()) == [30.0, 20.0, 19.0, 19.5]  # type: ignore[arg-type]
    assert first_best.get_xydata().tolist() == [[4, 19.5]]  # type: ignore[union-attr]
    assert second_best.get_xydata().tolist() == [[2, 25.0]]  # type: ignore[union-attr]
    assert first.get_color() == first_best.get_color() != second.get_color()
    assert legend_texts(figure) == ["0 %", "25 %"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        "epoch of fine-tuning",
        "validation error (%)",
    )
    for name in ("a.png", "b.png"):
        learning_curves(curves, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_learning_curves_beyond_the_colours_differ_by_their_line() -> None:
    curves = [LearningCurve("rect", f"cell {index}", [1, 2], [2.0, 1.0]) for index in range(10)]
    lines = learning_figure(curves).axes[0].lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 10
    with pytest.raises(ValueError, match="at least one curve"):
        learning_figure([])


def test_learning_curves_have_a_panel_per_data_set_and_a_colour_per_label() -> None:
    curves = [
        LearningCurve(dataset, label, [1, 2], [2.0, 1.0])
        for dataset in ("basic", "rot", "convex")
        for label in ("SdA-3", "NNet-1", "SdA-3")  # two seeds
        if (dataset, label) != ("rot", "NNet-1")
    ]
    figure = learning_figure(curves)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["basic", "rot", "convex"]
    assert legend_texts(figure) == ["SdA-3", "NNet-1"]
    colours = [[line.get_color() for line in axes.lines] for axes in figure.axes]
    (sda, nnet, _), *_ = colours
    assert colours == [[sda, nnet, sda], [sda, sda], [sda, nnet, sda]]


def test_importing_the_module_loads_no_plotting_library() -> None:
    code = (
        "import sys, dae_cli.pictures.curves; "
        "print({'matplotlib', 'PIL', 'numpy'} & {*sys.modules})"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"
    code = (
        "import sys; from dae_cli.pictures.curves import *; "
        "error_figure([CurvePoint('convex', 0, 1, 1, None, None, '', False)]); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
