"""The plots and filter sheets of a study show the data of its results."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from safetensors.numpy import load_file

from tests.entry_points.once import draw_each_time
from tests.support import commands
from tests.support.children import Child
from tests.support.sheets import greys_of, limit_of, pixels, texts_of, tiles_in
from tests.support.synthetic_results import SyntheticStudy, write_csv, write_saved_runs
from tests.support.tiny import destruction_cells, read_csv, write_study

Plotted = tuple[Path, Axes, Axes]
PLOTS = ("error_vs_destruction.png", "learning_curves.png")
SETTINGS = {
    "dataset": "rect",
    "model": {"hidden": [12, 8, 6]},
    "pretrain": {"learning_rate": 0.1, "epochs": 1},
    "finetune": {"learning_rate": 0.5, "max_epochs": 4, "patience": 4},
}


@pytest.fixture(scope="module", autouse=True)
def _each_plot_is_drawn() -> Iterator[None]:
    with draw_each_time():
        yield


@pytest.fixture(scope="module")
def plotted(
    tmp_path_factory: pytest.TempPathFactory, tiny_data: Path, session_cache: Path
) -> Plotted:
    """The results of a study at 0, 10 and 25 % destruction, and the axes of both plots.

    The run at 10 % failed.
    """
    folder = tmp_path_factory.mktemp("plots")
    write_study(folder, "plots", destruction_cells(0, 10, 25), shared=SETTINGS)
    figures: list[Figure] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DAE_DATA_DIR", str(tiny_data))
        patch.setenv("DAE_CACHE_DIR", str(session_cache))
        commands.dae("replicate", "plots").succeeded()
        out = folder / "results" / "plots"
        fail(out, "rect-10")
        real = Figure.draw

        def recording(figure: Figure, *words: Any, **options: Any) -> None:
            figures.append(figure)
            real(figure, *words, **options)

        patch.setattr(Figure, "draw", recording)  # records what matplotlib draws
        commands.dae("report", "plots").succeeded()
    ((errors,), (curves,)) = (figure.axes for figure in figures)
    return out, errors, curves


def fail(out: Path, cell: str) -> None:
    """Remove the folders of a cell's runs and mark their rows as failed."""
    rows = read_csv(out / "runs.csv")
    for row in rows:
        if row["cell"] == cell:
            shutil.rmtree(out / "runs" / row["run"])
            measured = ("n_test", "n_wrong", "test_error_percent", "half_width_95", "epochs")
            row |= dict.fromkeys((*measured, "valid_error_percent", "best_epoch"), "")
            row |= {"verdict": "failed", "error": "it diverged"}
    write_csv(out / "runs.csv", [list(rows[0]), *(list(row.values()) for row in rows)])


def rows_of(out: Path) -> dict[str, dict[str, str]]:
    """Rows of runs.csv by cell, without failed runs."""
    return {row["cell"]: row for row in read_csv(out / "runs.csv") if not row["error"]}


def legend_of(axes: Axes) -> list[str]:
    """The labels of the legend."""
    (legend,) = axes.figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_errors_are_drawn_with_intervals_beside_those_of_the_paper(plotted: Plotted) -> None:
    out, axes, _ = plotted
    titles = {axes.get_title(loc="left"), axes.get_title(loc="center")}
    assert any(title.startswith("rect") for title in titles)
    assert "%" in axes.get_xlabel() and "destruction" in axes.get_xlabel()
    assert "%" in axes.get_ylabel() and "test error" in axes.get_ylabel()
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "10", "25"]
    drawn: dict[str, list[tuple[float, float, float]]] = {}
    for bars in axes.containers:
        (segments,) = bars.lines[2]  # type: ignore[attr-defined]
        drawn[str(bars.get_label())] = [
            (x, (low + high) / 2, (high - low) / 2)
            for (x, low), (_, high) in segments.get_segments()
        ]
    (ours,) = [points for name, points in drawn.items() if name.startswith("ours")]
    rows = rows_of(out)
    for point, cell, place in zip(ours, ("rect-0", "rect-25"), (0, 25), strict=True):
        numbers = (float(rows[cell][name]) for name in ("test_error_percent", "half_width_95"))
        assert point == pytest.approx((place, *numbers))
    # ICML 2008, Table 1; drawn slightly to the right of ours, to avoid overlap. The paper's point
    # is also drawn if our run failed.
    for model, place, error, width in (("SAA-3", 0, 2.41, 0.13), ("SdA-3", 10, 1.99, 0.12)):
        (((x, y, half),),) = [points for name, points in drawn.items() if model in name]
        assert place < x < place + 3
        assert (y, half) == pytest.approx((error, width))
    named = legend_of(axes)
    assert [name.split(",")[0] for name in named] == ["ours", "paper", "paper"]
    assert len(set(named)) == 3


def test_learning_curves_are_those_of_metrics_csv_with_a_dot_at_what_was_saved(
    plotted: Plotted,
) -> None:
    out, _, axes = plotted
    assert "epoch" in axes.get_xlabel()
    assert "validation error" in axes.get_ylabel() and "%" in axes.get_ylabel()
    first, first_dot, second, second_dot = axes.lines
    rows = rows_of(out)
    for cell, line, dot in (("rect-0", first, first_dot), ("rect-25", second, second_dot)):
        row = rows[cell]
        errors = [
            [float(epoch["epoch"]), float(epoch["valid_error_percent"])]
            for epoch in read_csv(out / "runs" / row["run"] / "metrics.csv")
            if epoch["phase"] == "finetune"
        ]
        epochs, percents = np.transpose(errors)
        x, y = np.asarray(line.get_xydata()).T
        np.testing.assert_allclose(np.interp(epochs, x, y), percents)  # some points are omitted
        assert (x[0], x[-1]) == (epochs[0], epochs[-1])
        best = [float(row["best_epoch"]), float(row["valid_error_percent"])]
        assert np.asarray(dot.get_xydata()).tolist() == [best]
        assert line.get_color() == dot.get_color()
    assert first.get_color() != second.get_color()
    assert legend_of(axes) == ["SAA-3", "SdA-3"]


def autoencoder(percent: int, *hidden: int, **corruption: Any) -> dict[str, Any]:
    """Settings of a cell in a synthetic study."""
    settings = {"corruption": {"destruction": percent / 100, **corruption}}
    return settings | ({"model": {"hidden": list(hidden)}} if hidden else {})


def figures_of(study: SyntheticStudy) -> list[Figure]:
    """The matplotlib figures that `dae report` draws for a study."""
    study.write()
    figures = []
    with pytest.MonkeyPatch.context() as patch:
        real = Figure.draw

        def recording(figure: Figure, *words: Any, **options: Any) -> None:
            real(figure, *words, **options)
            figures.append(figure)

        patch.setattr(Figure, "draw", recording)
        commands.dae("report", "made").succeeded()
    return figures


def joined(axes: Axes) -> dict[str, list[float]]:
    """Horizontal positions of our points by the label of their line in the legend."""
    bars = {str(bars.get_label()): bars.lines[0] for bars in axes.containers}  # type: ignore[attr-defined]
    return {
        name: np.asarray(line.get_xdata()).tolist()
        for name, line in bars.items()
        if name.startswith("ours")
    }


def test_a_line_joins_points_of_one_model_alone(tmp_path: Path) -> None:
    cells = {
        "a": ("SAA-3", autoencoder(0)),
        "b": ("SdA-3", autoencoder(10)),
        "c": ("SdA-2", autoencoder(15, 8, 6)),
        "d": ("SdA-3", autoencoder(20, 9, 9, 9)),
        "e": ("SdA-2", autoencoder(40, 8, 6)),
        "f": ("SdA-3", autoencoder(50)),
        "g": ("SdA-3", autoencoder(60, kind="salt-and-pepper")),
        "h": ("SdA-2", autoencoder(10, 8, 6)),
    }
    for names, lines in (
        ("abf", {"": [0, 10, 50]}),
        ("bce", {"SdA-3": [10], "SdA-2": [15, 40]}),
        ("abcf", {"SAA-3 and SdA-3": [0, 10, 50], "SdA-2": [15]}),
        ("bfhc", {"SdA-3": [10, 50], "SdA-2": [10, 15]}),
        ("bdg", {"8-6-4 units, masking": [10], "9-9-9": [20], "salt-and-pepper": [60]}),
    ):
        settings = {f"convex-{name}": cells[name][1] for name in names}
        study = SyntheticStudy(tmp_path, settings)
        for number, name in enumerate(names):
            model, setting = cells[name]
            level = f"{100 * setting['corruption']['destruction']:g}"
            study.add(f"convex-{name}", model, 9_000 - number, destruction_percent=level)
        (figure,) = figures_of(study)
        found = joined(figure.axes[0])
        assert sorted(found.values()) == sorted(lines.values())
        for label, points in lines.items():
            assert any(label in name and found[name] == points for name in found)
        page = (study.out / "report.html").read_text(encoding="utf-8")
        (path,) = re.findall('class="ours line" d="(.*?)"', page)
        assert [part.count("L") + 1 for part in path.split("M")[1:]] == [
            len(found[name]) for name in found
        ]


def test_no_axis_has_negative_errors_and_without_a_paper_nothing_is_called_ours(
    tmp_path: Path,
) -> None:
    study = SyntheticStudy(tmp_path, {f"convex-{p}": autoencoder(p) for p in (0, 10)})
    none: dict[str, Any] = dict.fromkeys(
        ("paper_model", "paper_error_percent", "paper_half_width_95"), ""
    )
    for percent in (0, 10):
        study.add(f"convex-{percent}", "SdA-3", 0, destruction_percent=str(percent), **none)
    (figure,) = figures_of(study)
    low, high = figure.axes[0].get_ylim()
    assert next(tick for tick in figure.axes[0].get_yticks() if low <= tick <= high) == 0
    assert legend_of(figure.axes[0]) == ["95 % interval over test rows"]
    page = (study.out / "report.html").read_text(encoding="utf-8")
    chart = page.partition("Test error by destruction, ")[2].partition("</svg>")[0]
    assert ">0</text>" in chart and ">-0." not in chart


@pytest.mark.parametrize(
    ("second", "study"),
    [
        (("SdA-3", {"finetune": {"patience": 9}}, 9), {}),
        (("SdA-3", {"seed": 5}, 9), {}),
        (("DBN-3", {"corruption": {}, "pretrain": {"kind": "rbm"}}, 9), {"reference": "model"}),
        (("SdA-3", {"seed": 7}, None), {}),
    ],
)
def test_a_picture_of_errors_that_no_longer_applies_is_removed(
    tmp_path: Path, second: tuple[str, dict[str, Any], int | None], study: dict[str, Any]
) -> None:
    cells = {"convex-a": autoencoder(25), "convex-b": autoencoder(25) | second[1]}
    made = SyntheticStudy(tmp_path, cells, **study)
    made.out.mkdir(parents=True)
    picture = made.out / "error_vs_destruction.png"
    picture.write_bytes(b"of an earlier table")
    if second[2] is None:
        made.add("convex-a", "SdA-3", 0, error="it diverged", destruction_percent="25")
    else:
        made.add("convex-a", "SdA-3", 9_000, destruction_percent="25")
        made.add("convex-b", second[0], 9_000, destruction_percent="25")
    made.write()
    commands.dae("report", "made").succeeded()
    assert not picture.exists()
    assert picture.name not in (made.out / "REPORT.md").read_text(encoding="utf-8")


def test_sheets_of_cells_that_are_gone_are_removed_and_nothing_else(
    done: Path, tmp_path: Path
) -> None:
    sheets = done / "filters"
    cell = tmp_path / "experiments" / "tiny" / "rect-25.yaml"
    cell.rename(cell.with_name("renamed.yaml"))
    shutil.copy(sheets / "rect-25.png", sheets / "dropped.png")
    own = {"notes.png": b"not a picture", "rect-9.txt": b"text"}
    for name, content in own.items():
        (sheets / name).write_bytes(content)
    run = read_csv(done / "runs.csv")[0]["run"]
    commands.dae("filters", done / "runs" / run, "--out", sheets / "mine.png").succeeded()
    commands.dae("replicate", "tiny").succeeded()
    kept = {"rect.png", "rect-0.png", "renamed.png", "mine.png", *own}
    assert {path.name for path in sheets.iterdir()} == kept
    # Without run folders, the sheets of existing cells are kept, even if not shown.
    shutil.rmtree(done / "runs")
    (done / "report.html").unlink()
    shutil.copy(sheets / "renamed.png", sheets / "rect-0.png")
    commands.dae("report", "tiny").succeeded()
    assert {path.name for path in sheets.iterdir()} == kept


def test_bars_cover_the_spread_over_seeds_and_verdicts_stay_as_they_are(tmp_path: Path) -> None:
    study = SyntheticStudy(tmp_path, {f"convex-{p}": autoencoder(p) for p in (0, 10)})
    errors = (16.0, 18.5, 17.2)
    for seed, error in enumerate(errors):
        study.add("convex-10", "SdA-3", int(500 * error), seed=seed, destruction_percent="10",
                  paper_error_percent="19.06", paper_half_width_95="0.34")  # fmt: skip
    study.add("convex-0", "SAA-3", 9_000)
    (figure,) = figures_of(study)
    (bars,) = [bars for bars in figure.axes[0].containers if str(bars.get_label())[:4] == "ours"]
    (segments,) = bars.lines[2]  # type: ignore[attr-defined]
    alone, several = ((low, high) for (_, low), (_, high) in segments.get_segments())
    mean, sd = np.mean(errors), np.std(errors, ddof=1)
    half = np.hypot(1.96 * np.sqrt(mean * (100 - mean) / 50_000), 1.96 * sd)
    assert several == pytest.approx((mean - half, mean + half), abs=0.01)
    assert several[0] < min(errors) and max(errors) < several[1]
    assert alone == pytest.approx((18 - 0.34, 18 + 0.34), abs=0.01)
    assert any("seeds" in name for name in legend_of(figure.axes[0]))
    dots = [np.asarray(line.get_ydata()).tolist() for line in figure.axes[0].lines]
    assert pytest.approx(errors) in dots
    page = (study.out / "report.html").read_text(encoding="utf-8")
    assert page.count('class="seed dot"') == len(errors)
    (row,) = [row for row in read_csv(study.out / "table.csv") if row["cell"] == "convex-10"]
    assert (row["verdict"], row["half_width_95"]) == ("better", "0.33")
    for name in ("REPORT.md", "report.html"):
        assert "sd²" in (study.out / name).read_text(encoding="utf-8")
    study.rows = [row for row in study.rows if row["seed"] == 0]
    (figure,) = figures_of(study)
    assert any("test rows" in name for name in legend_of(figure.axes[0]))
    assert not any("seeds" in name for name in legend_of(figure.axes[0]))
    for name in ("REPORT.md", "report.html"):
        assert "sd²" not in (study.out / name).read_text(encoding="utf-8")


def test_curves_of_several_seeds_are_their_mean_in_a_band_then_a_line_each(
    tmp_path: Path,
) -> None:
    study = SyntheticStudy(tmp_path, {"convex-0": autoencoder(0), "convex-25": autoencoder(25)})
    lines = ([(1, 40.0), (5, 20.0)], [(1, 50.0), (2, 41.0), (5, 26.0), (9, 22.0)])
    for seed in (0, 1):
        study.add("convex-0", "SAA-3", 9_000, seed=seed)
    study.add("convex-25", "SdA-3", 9_000)
    given = [*lines, lines[0]]
    runs = [row["run"] for row in study.rows]
    write_saved_runs(study.out, {run: (own, []) for run, own in zip(runs, given, strict=True)})
    _, figure = figures_of(study)
    axes = figure.axes[0]
    drawn = [np.asarray(line.get_xydata()).tolist() for line in axes.lines]
    assert drawn[:2] == [[[1, 45], [2, 38], [5, 23]], [[5, 26], [9, 22]]]
    (band,) = axes.patches
    corners = np.asarray(band.get_path().vertices)[:-1].tolist()
    assert corners == [[1, 40], [5, 20], [5, 26], [2, 41], [1, 50]]
    assert legend_of(axes) == ["SAA-3", "SdA-3"]


@pytest.mark.parametrize("sets", [("convex",), ("convex", "rect"), ("convex", "rect", "rot")])
@pytest.mark.parametrize("length", [1, 12, 40, 90])
def test_no_entry_of_a_legend_runs_off_the_picture(
    tmp_path: Path, sets: tuple[str, ...], length: int
) -> None:
    # Two cells with the same model and data set, so that the curves are labelled by cell.
    cells = {
        f"{name}-{percent}-{wide * length}": {"dataset": name, **autoencoder(percent, *hidden)}
        for name in sets
        for percent in (0, 25)
        for wide, hidden in (("x", ()), ("y", (9, 9, 9)))
    }
    study = SyntheticStudy(tmp_path, cells)
    for cell, settings in cells.items():
        model = "SdA-3" if settings["corruption"]["destruction"] else "SAA-3"
        study.add(cell, model, 9_000, dataset=settings["dataset"])
    line = [(1, 40.0), (2, 30.0), (3, 35.0)]
    write_saved_runs(study.out, {row["run"]: (line, []) for row in study.rows})
    errors, curves = figures_of(study)
    for figure, entries in ((errors, 4), (curves, len(cells))):
        (legend,) = figure.legends
        assert len(legend.get_texts()) == entries
        whole, box = figure.bbox, legend.get_window_extent()
        assert whole.x0 <= box.x0 and box.x1 <= whole.x1 and box.y1 <= whole.y1
        for axes in figure.axes:
            assert axes.get_window_extent().y1 < box.y0
            assert axes.get_window_extent().height > 0.4 * whole.height / len(figure.axes)


def test_the_same_results_give_the_same_pictures_whatever_the_users_style(
    plotted: Plotted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(plotted[0].parents[1])
    out = shutil.copytree(plotted[0], tmp_path / "again")
    for name in PLOTS:
        (out / name).unlink()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "figure.dpi": 33}):
        commands.dae("report", "plots", "--out", out).succeeded()
    for name in PLOTS:
        assert (out / name).read_bytes() == (plotted[0] / name).read_bytes()
        assert "Software" not in texts_of(out / name)


def bad_settings(here: Path) -> list[dict[str, str]]:
    """Environments in which importing matplotlib fails, with the files that they refer to.

    In the current folder, a pipe replaces matplotlib's settings file.
    """
    unreadable = b"\xff\xfe\x00"
    (here / "own" / "stylelib").mkdir(parents=True)
    (here / "own" / "stylelib" / "own.mplstyle").write_bytes(unreadable)
    (here / "own" / "matplotlibrc").write_bytes(unreadable)
    (here / "file").touch()
    os.mkfifo(here / "matplotlibrc")
    return [
        {"MPLBACKEND": "no-such-backend", "MPLCONFIGDIR": str(here / "file")},
        {"MPLBACKEND": "qtagg", "MATPLOTLIBRC": str(here / "own" / "matplotlibrc")},
        {"MPLCONFIGDIR": str(here / "own"), "MATPLOTLIBRC": "/nowhere"},
    ]


@pytest.mark.slow
def test_nothing_that_matplotlib_reads_keeps_a_picture_from_being_drawn(
    child: Callable[..., Child], done: Path, tmp_path: Path
) -> None:
    (run, _) = (done / "runs").iterdir()
    drawing = {}
    for number, environment in enumerate(bad_settings(tmp_path)):
        words = ("filters", run, "--out", f"{number}.pdf")
        drawing[f"{number}.pdf"] = child(*words, environment=environment, executed=True)
    notebook = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    reported = child("report", "tiny", environment=notebook, executed=True)
    for name, drawn in drawing.items():
        assert drawn.wait().succeeded() == (0, f"{name}\n", "")
        assert Path(name).read_bytes() == Path("0.pdf").read_bytes()
    assert reported.wait().succeeded().err == ""


def test_sheets_of_a_study_have_every_weight_on_one_grey_scale(plotted: Plotted) -> None:
    runs = [row["run"] for row in rows_of(plotted[0]).values()]
    shown = [
        load_file(plotted[0] / "runs" / run / "checkpoint.safetensors")["pretrained.1.weight"]
        for run in runs
    ]
    limit = float(f"{limit_of(*shown):.4g}")  # rounded as on the sheet
    assert {
        texts_of(plotted[0] / "filters" / f"{c}.png")["Limit"] for c in ("rect-0", "rect-25")
    } == {f"{limit:g}"}
    for cell, weights in zip(("rect-0", "rect-25"), shown, strict=True):
        tiles = [greys_of(unit, limit) for unit in weights]
        tiles_in(pixels(plotted[0] / "filters" / f"{cell}.png"), tiles)
        tiles_in(pixels(plotted[0] / "filters" / "rect.png"), tiles, 1)
    assert texts_of(plotted[0] / "filters" / "rect.png")["Runs"] == ", ".join(runs)
