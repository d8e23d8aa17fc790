"""Filter studies: running, measuring, checking claims, drawing, verifying and resuming."""

from __future__ import annotations

import html
import io
import re
import shutil
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from tests.entry_points.filters import measure, median_interval, wilson
from tests.support import commands
from tests.support.children import Child
from tests.support.commands import Ended
from tests.support.interrupts import interrupt_when_written
from tests.support.sheets import (
    first_row,
    greys_of,
    in_rows,
    limit_of,
    pixels,
    texts_of,
    tiles_in,
)
from tests.support.synthetic_results import write_csv
from tests.support.tiny import read_csv, snapshot, write_study

Dae = Callable[..., Ended]
Whole = tuple[Path, Ended]

MEASURES = [
    *("unit", "norm", "explained_variance", "frequency_cycles_per_pixel", "orientation_degrees"),
    *("envelope_across_stripes_pixels", "envelope_along_stripes_pixels", "weaker_sign_share"),
    *("gabor_like", "grating", "blob", "locality", "orientation_selectivity"),
    *("preferred_orientation_degrees", "extent_pixels"),
]
NUMBERS = ("gabor_percent", "local_percent", "extent_pixels", "locality", "orientation_selectivity")
STUDY: dict[str, Any] = {
    "title": "Small patches",
    "paper": "Nobody, 1900.",
    "shared": {
        "dataset": "photographs",
        "patches": {"side": 6, "count": 200, "deviation": 0.5},
        "model": {"hidden": [8]},
        "pretrain": {"loss": "squared-error", "learning_rate": 0.02, "epochs": 3},
    },
}
FIGURES: dict[str, dict[str, Any]] = {
    "both": {
        "cells": ["plain", "noisy"],
        "claim": "They differ.",
        "expect": {"measure": "gabor_percent", "at_most": 100},
    },
    "grow": {"cells": ["plain", "noisy"], "expect": {"measure": "extent_pixels", "grows": True}},
    "local": {"cells": ["noisy"], "expect": {"measure": "locality", "at_least": 0.5}},
    "seen": {"kind": "patches", "cells": ["plain"], "scale": "tile"},
    "parts": {"kind": "components", "cells": ["plain"], "scale": "tile"},
    "near": {"kind": "zoom", "cells": ["noisy", "plain"], "units": [5, 1]},
}
CELLS: dict[str, dict[str, Any]] = {
    "plain": {"corruption": {"destruction": 0.0}},
    "noisy": {"corruption": {"kind": "gaussian", "sigma": 0.5}},
}
ALL = [("noisy", 0), ("noisy", 1), ("plain", 0), ("plain", 1)]
AGAIN = ("replicate", "small", "--photos", "photos", "--seeds", "2")


def write_small(folder: Path, **figures: dict[str, Any]) -> None:
    """Write the study with the default figures or those given."""
    found = [
        {"name": n, "title": f"The {n}"} | figure for n, figure in (figures or FIGURES).items()
    ]
    write_study(folder, "small", CELLS, **STUDY, figures=found)


def write_photos(folder: Path) -> Path:
    """Write two photographs with some structure to a folder."""
    folder.mkdir()
    random = np.random.default_rng(3)
    for name in ("a.png", "b.png"):
        rough = random.random((50, 70)).cumsum(0).cumsum(1)
        grey = 255 * (rough - rough.min()) / np.ptp(rough)
        Image.fromarray(grey.astype(np.uint8)).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> Whole:
    """Results with two seeds, which tests must not change, and the ended command."""
    folder = tmp_path_factory.mktemp("filters")
    write_small(folder)
    write_photos(folder / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DAE_CACHE_DIR", str(session_cache))
        return folder / "results" / "small", commands.dae(*AGAIN).succeeded()


@pytest.fixture
def here(whole: Whole, tmp_path: Path) -> Path:
    """Copy study, photographs and results to the test's folder; return the results' path."""
    shutil.copytree(whole[0].parents[1], tmp_path, dirs_exist_ok=True)
    return tmp_path / "results" / "small"


def run_of(out: Path, cell: str, seed: int = 0) -> Path:
    """Return the folder of a run."""
    rows = read_csv(out / "runs.csv")
    (run,) = [row["run"] for row in rows if (row["cell"], row["seed"]) == (cell, str(seed))]
    return out / "runs" / run


def filters_of(out: Path, cell: str, seed: int = 0) -> Any:
    """Return the filters that a run has learned."""
    return load_file(run_of(out, cell, seed) / "checkpoint.safetensors")["pretrained.1.weight"]


def edit_units(run: Path, **columns: Any) -> None:
    """Replace measures in a run's filters.csv, with one value per unit."""
    rows = read_csv(run / "filters.csv")
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = str(value) if isinstance(value, str) else f"{value:.4f}"
    write_csv(run / "filters.csv", [MEASURES, *(list(row.values()) for row in rows)])


# Results


@pytest.mark.parametrize(
    ("words", "name", "caption"),
    [
        ((), "bare", "After Fig. 2"),
        (("--photos", "photos"), "bare", "Learned from the user's own photographs"),
        (
            ("--set", "pretrain.epochs=1"),
            "both",
            "Changed by --set (noisy: pretrain.epochs 1; plain:",
        ),
        (
            ("--photos", "photos", "--set", "patches.side=5", "--set", "model.hidden=[7]"),
            "bare",
            "Changed by --set (noisy: patches.side 5, model.hidden [7]); learned from the",
        ),
    ],
)
def test_a_picture_that_differs_from_the_papers_is_described_as_after_it(
    dae: Dae, tmp_path: Path, words: tuple[str, ...], name: str, caption: str
) -> None:
    write_small(
        tmp_path, both=FIGURES["both"], bare={"cells": ["noisy"], "paper": "Fig. 2"},
        nothing={"cells": ["plain"]},
    )  # fmt: skip
    write_photos(tmp_path / "photos")
    ended = dae("replicate", "small", *words, "--out", "out").succeeded()
    report = Path("out/REPORT.md").read_text(encoding="utf-8")
    assert caption in report
    drawn = texts_of(f"out/figures/{name}.png")["Description"]
    assert drawn.startswith(caption[:1].lower() + caption[1:])
    assert ("own photographs" in report) == ("--photos" in words)
    assert ("after fig" in report.lower()) == (not words)
    assert ("changed by --set" in report) == ("--set" in words)
    assert ("pretrain.epochs 1" in ended.message) == ("pretrain.epochs=1" in words)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--set", "pretrain.epochs=1"), "settings changed by --set"),
        (("--photos", "photos"), "your own photographs"),
        ((), ""),
    ],
)
def test_a_claim_about_the_papers_figure_is_not_judged_on_other_settings_or_photographs(
    dae: Dae, tmp_path: Path, words: tuple[str, ...], reason: str
) -> None:
    write_small(tmp_path, paper=FIGURES["both"] | {"paper": "Fig. 2"}, own=FIGURES["both"])
    write_photos(tmp_path / "photos")
    lines = dae("replicate", "small", *words, "--out", "out").succeeded().lines
    page = Path("out/report.html").read_text(encoding="utf-8")
    outcome = f"Not judged: {reason}. Criterion: " if reason else "Supported. Criterion: "
    assert lines[0].startswith(f"paper: {outcome}") and "95 % intervals: plain" in lines[0]
    assert lines[1].startswith("own: Supported. Criterion: ")
    assert outcome in page and outcome in Path("out/REPORT.md").read_text(encoding="utf-8")
    assert page.count("</span> holds</span>") == (1 if reason else 2)
    rows = read_csv(Path("out/figures.csv"))
    assert {row["holds"] for row in rows} == {"yes"}


def test_figures_without_runs_are_listed_with_the_command_for_the_same_results(
    dae: Dae, tmp_path: Path
) -> None:
    write_small(tmp_path, plain={"cells": ["plain"]}, noisy={"cells": ["noisy"], "paper": "Fig. 2"})
    write_photos(tmp_path / "photos")
    words = ("--set", "pretrain.epochs=1", "--photos", "photos", "--out", "out")
    dae("replicate", "small", *words, "--only", "plain").succeeded()
    # The report names the command line, which is not that of the tests.
    report = re.sub(
        "(?<=Made by )`.*?`",
        f"`dae replicate small --only plain {' '.join(words)}`",
        Path("out/REPORT.md").read_text(encoding="utf-8"),
    )
    Path("out/REPORT.md").write_text(report, encoding="utf-8")
    dae("report", "out").succeeded()
    command = "dae replicate small --only noisy --set pretrain.epochs=1 --out out --photos DIR"
    report = Path("out/REPORT.md").read_text(encoding="utf-8")
    assert f"\nNot available:\n\n- The noisy: `{command}`\n\n## " in report
    assert "(noisy:" not in report and "## The noisy" not in report
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert f"<li>The noisy: <code>{command}</code></li>" in page
    assert 'id="figure-noisy"' not in page


def test_every_cell_and_seed_is_a_run_without_a_test_error(whole: Whole) -> None:
    out, ended = whole
    rows = read_csv(out / "runs.csv")
    found = [(row["cell"], int(row["seed"]), row["model"]) for row in rows]
    models = {"plain": "AE", "noisy": "DAE"}
    assert found == [(cell, seed, models[cell]) for cell, seed in ALL]
    assert {(row["dataset"], row["error"]) for row in rows} == {("photographs", "")}
    empty = {"n_test", "n_wrong", "test_error_percent", "valid_error_percent", "verdict"}
    assert {row[name] for row in rows for name in empty} == {""}
    files = ["REPORT.md", "figures", "figures.csv", "filters.csv", "runs", "runs.csv"]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [*files, "report.html", "settings.yaml"]
    )
    *judgements, last = ended.lines
    assert [line.partition(":")[0] for line in judgements] == ["both", "grow", "local"]
    assert last.startswith("4 done, 0 skipped, 0 failed")
    assert last.endswith("results/small/REPORT.md")
    assert "2 photographs" in ended.message
    assert "test error" not in ended.err
    for row in rows:
        names = {path.name for path in (out / "runs" / row["run"]).iterdir()}
        assert {"filters.csv", "filters.png", "checkpoint.safetensors"} <= names
        assert "wrong_rows.npy" not in names


def test_filters_csv_has_the_measures_of_each_unit_of_each_run(whole: Whole) -> None:
    out = whole[0]
    rows = read_csv(out / "filters.csv")
    assert list(rows[0]) == ["cell", "seed", *MEASURES]
    assert [(row["cell"], int(row["seed"]), int(row["unit"])) for row in rows] == [
        (cell, seed, unit) for cell, seed in ALL for unit in range(8)
    ]
    for cell, seed in ALL:
        run = run_of(out, cell, seed)
        own = [row for row in rows if (row["cell"], int(row["seed"])) == (cell, seed)]
        assert read_csv(run / "filters.csv") == [
            {name: row[name] for name in MEASURES} for row in own
        ]
        for row, unit in zip(own, measure(filters_of(out, cell, seed)), strict=True):
            for name in MEASURES[1:]:
                value = getattr(unit, name)
                words = {True: "yes", False: "no"} if isinstance(value, bool) else {}
                assert row[name] == words.get(value, f"{value:.4f}"), name


def test_figures_csv_has_share_and_medians_with_their_intervals(here: Path, dae: Dae) -> None:
    for number, (cell, seed) in enumerate(ALL):
        edit_units(
            run_of(here, cell, seed),
            gabor_like=["yes"] * number + ["no"] * (8 - number),
            extent_pixels=np.arange(8) + 0.5 + number,
            locality=np.linspace(0.2, 0.9 - number / 10, 8),
        )
    dae("report", "small").succeeded()
    rows = read_csv(here / "figures.csv")
    ends = [f"{name}{end}" for name in NUMBERS for end in ("", "_low", "_high")]
    assert list(rows[0]) == ["figure", "cell", "run", "seed", "units", *ends, "holds"]
    of_figures = {"local": ALL[:2], "seen": ALL[2:], "parts": ALL[2:]}
    assert [(row["figure"], row["cell"], int(row["seed"])) for row in rows] == [
        (name, *run) for name in FIGURES for run in of_figures.get(name, ALL)
    ]
    for row in rows:
        number, run = ALL.index((row["cell"], int(row["seed"]))), here / "runs" / row["run"]
        assert run == run_of(here, row["cell"], int(row["seed"]))
        assert row["units"] == "8"
        units = read_csv(run / "filters.csv")
        local = sum(float(unit["locality"]) >= 0.5 for unit in units)
        expected = [100 * v for n in (number, local) for v in (n / 8, *wilson(n, 8))]
        for name in NUMBERS[2:]:
            values = np.array([float(unit[name]) for unit in units])
            expected += [float(np.median(values)), *median_interval(values)]
        assert [row[name] for name in ends] == [f"{value:.4f}" for value in expected]


# Claims


def judged(dae: Dae, out: Path) -> dict[str, tuple[str, str]]:
    """Return by figure whether its claim holds in figures.csv, and the line of the command."""
    ended = dae("report", "small").succeeded()
    lines = {line.partition(":")[0]: line for line in ended.lines if ": " in line}
    found = {row["figure"]: row["holds"] for row in read_csv(out / "figures.csv")}
    report = (out / "REPORT.md").read_text()
    for name, line in lines.items():
        assert line.removeprefix(f"{name}: ") in report
    return {name: (holds, lines.get(name, "")) for name, holds in found.items()}


def test_growth_must_occur_for_every_seed_with_disjoint_intervals(here: Path, dae: Dae) -> None:
    below, above = np.arange(8) + 1.0, np.arange(8) + 8.5  # eight values each
    for seed in (0, 1):
        edit_units(run_of(here, "plain", seed), extent_pixels=below)
        edit_units(run_of(here, "noisy", seed), extent_pixels=above)
    holds, line = judged(dae, here)["grow"]
    assert holds == "yes"
    assert line.count("plain 4.5 (1.0 to 8.0), noisy 12.0 (8.5 to 15.5)") == 2
    for part in ("seed 0: plain", "seed 1: plain", "2 of 2"):
        assert part in line
    edit_units(run_of(here, "noisy", 1), extent_pixels=above - 0.5)  # they touch
    holds, line = judged(dae, here)["grow"]
    assert holds == "no"
    assert "1 of 2" in line and "noisy 11.5 (8.0 to 15.0)" in line
    edit_units(run_of(here, "noisy", 1), extent_pixels=below - 0.95)  # it shrinks
    assert judged(dae, here)["grow"][0] == "no"


def test_every_cell_and_seed_must_reach_a_threshold_and_equality_suffices(
    here: Path, dae: Dae
) -> None:
    exact = [0.1, 0.2, 0.3, 0.5, 0.5, 0.9, 0.9, 0.95]
    for seed in (0, 1):
        edit_units(run_of(here, "noisy", seed), locality=exact)
    found = judged(dae, here)
    assert found["local"][0] == "yes"
    assert "noisy 0.50 (0.10 to 0.95)" in found["local"][1]
    assert "0.5" in found["local"][1].rpartition(",")[2]
    assert found["both"][0] == "yes"
    assert [found[name] for name in ("seen", "parts", "near")] == [("", "")] * 3
    edit_units(run_of(here, "noisy", 1), locality=[0.1, 0.2, 0.3, 0.4999, 0.4999, 0.9, 0.9, 0.95])
    assert judged(dae, here)["local"][0] == "no"
    for bar, expected in (
        ({"at_most": 25}, "yes"),
        ({"at_most": 24.9}, "no"),
        ({"at_least": 12.5}, "yes"),
        ({"at_least": 12.6}, "no"),
    ):
        for cell, seed in ALL:
            count = 1 if (cell, seed) == ("plain", 1) else 2
            edit_units(run_of(here, cell, seed), gabor_like=["yes"] * count + ["no"] * (8 - count))
        both = FIGURES["both"] | {"expect": {"measure": "gabor_percent", **bar}}
        write_small(Path.cwd(), both=both)
        holds, line = judged(dae, here)["both"]
        assert (holds, bar) == (expected, bar)
        assert "plain 25.0 (7.1 to 59.1)" in line and "plain 12.5 (2.2 to 47.1)" in line


def test_the_report_has_each_picture_with_its_claim_and_one_row_per_run(whole: Whole) -> None:
    out = whole[0]
    report = (out / "REPORT.md").read_text()
    places = [report.index(f"](figures/{name}.png)") for name in FIGURES]
    assert places == sorted(places)
    assert places[0] < report.index("They differ.") < places[1]
    assert report.startswith("# Small patches\n\nNobody, 1900.\n")
    for row in read_csv(out / "figures.csv"):
        cells = [row["cell"], row["seed"], "8"]
        for name in NUMBERS:
            numbers = [float(row[f"{name}{end}"]) for end in ("", "_low", "_high")]
            value, low, high = (f"{n:.1f}" if n >= 1 else f"{n:.2f}" for n in numbers)
            cells.append(f"{value} ({low} to {high})")
        if row["figure"] == "near":
            assert f"| {' | '.join(cells)} |" in report


# report.html


def images_in(page: str) -> dict[str, bytes]:
    """Return the images of a page by their alternative texts."""
    found = re.findall(r'alt="([^"]*)"[^>]* src="data:image/png;base64,([^"]*)"', page)
    assert len(found) == page.count("<img ") == page.count(' src="')  # all are embedded
    return {html.unescape(alt): b64decode(content) for alt, content in found}


def test_the_page_has_each_figure_with_its_claim_check_and_measures(whole: Whole) -> None:
    out, ended = whole
    page = (out / "report.html").read_text(encoding="utf-8")
    for word in ("://", "url(", "@import", "<link", "<iframe", "data-filters>"):
        assert word not in page
    assert "default-src 'none'; img-src data:" in page
    images = images_in(page)
    for name in FIGURES:
        assert images[f"The {name}"] == (out / "figures" / f"{name}.png").read_bytes()
    text = html.unescape(re.sub("<[^>]*>", "", page))
    assert "The paper’s claim: They differ." in text and "After Fig. 1" not in text
    for line in ended.lines[:-1]:  # the claims
        assert line.partition(": ")[2] in text
    rows = " ".join(re.sub("<[^>]*>", " ", page).split())
    for row in read_csv(out / "figures.csv"):
        numbers = [float(row[f"gabor_percent{end}"]) for end in ("", "_low", "_high")]
        value, low, high = (f"{n:.1f}" if n >= 1 else f"{n:.2f}" for n in numbers)
        cells = (row["cell"], row["seed"], "8", f"{value} ({low} to {high})")
        assert " ".join(cells) in rows


def test_the_page_names_the_photographs_and_shows_them_small(whole: Whole) -> None:
    out = whole[0]
    images = images_in((out / "report.html").read_text(encoding="utf-8"))
    for name in ("a.png", "b.png"):
        with Image.open(out.parents[1] / "photos" / name) as photo:
            wanted = np.asarray(photo.resize((120, 86), Image.Resampling.LANCZOS))
        with Image.open(io.BytesIO(images[name])) as small:
            shown = np.asarray(small)
        assert shown.shape == (120, 120)
        assert (shown[17:103] == wanted).all()
        assert (shown[:17] == 128).all() and (shown[103:] == 128).all()
    assert "in grey: a.png, b.png." in (out / "REPORT.md").read_text(encoding="utf-8")


def test_a_slider_covers_cells_that_differ_only_in_destruction(dae: Dae, tmp_path: Path) -> None:
    kinds: dict[str, dict[str, Any]] = {
        f"masked-{level}": {"destruction": level / 100} for level in (5, 50, 0)
    }
    kinds["pepper"] = {"kind": "salt-and-pepper", "destruction": 0.25}
    cells = {name: {"corruption": kind} for name, kind in kinds.items()}
    figures = [{"name": "one", "title": "One", "cells": ["pepper"]}]
    write_study(tmp_path, "levels", cells, **STUDY, figures=figures)
    write_photos(tmp_path / "photos")
    dae("replicate", "levels", "--photos", "photos", "--seeds", "2").succeeded()
    out = Path("results/levels")
    page = (out / "report.html").read_text(encoding="utf-8")
    wanted = [f"masked-{level}" for level in (0, 5, 50)]
    runs = [run_of(out, cell) for cell in wanted]  # of the first seed
    assert re.findall('data-run="([^"]*)"', page) == [run.name for run in runs]
    assert re.findall(r"<span>(\d+)\s%</span>", page) == ["0", "5", "50"]
    limit = limit_of(*(filters_of(out, cell) for cell in wanted))
    for cell in wanted:
        sheet = out / "filters" / f"{cell}.png"
        tiles = [greys_of(unit, float(f"{limit:.4g}")) for unit in filters_of(out, cell)]
        tiles_in(pixels(sheet), tiles, 9)
    assert len([*(out / "filters").iterdir()]) == 3
    # After a clone the sheets have the filters.
    files = snapshot(out, (".png", ".md", ".html"))
    shutil.rmtree(out / "runs")
    dae("report", "levels", "--quiet").succeeded()
    after = snapshot(out, (".png", ".md", ".html"))
    assert after == {name: files[name] for name in files if not name.startswith("runs/")}
    found = dae("verify", "levels", "--format", "json").failed(1).json
    assert found["differences"] == []


# Figures


def test_cells_are_side_by_side_on_one_scale_and_a_zoom_has_its_units_in_rows(
    whole: Whole,
) -> None:
    out = whole[0]
    shown = [filters_of(out, cell) for cell in ("plain", "noisy")]  # of the first seed
    picture = pixels(out / "figures" / "both.png")
    lefts = []
    for weights in shown:
        found = tiles_in(picture, [greys_of(row, limit_of(*shown)) for row in weights], 9)
        assert in_rows(found, 10)
        lefts.append(found[0][1])
    assert lefts == sorted(lefts)
    texts = texts_of(out / "figures" / "both.png")
    assert texts["Title"] == "small: The both"
    assert texts["Runs"] == ", ".join(run_of(out, cell).name for cell in ("plain", "noisy"))
    assert texts["Commit"] == read_csv(out / "runs.csv")[0]["commit"]
    # The picture of a single run has its own scale.
    alone, weights = pixels(run_of(out, "plain", 1) / "filters.png"), filters_of(out, "plain", 1)
    assert in_rows(tiles_in(alone, [greys_of(row, limit_of(weights)) for row in weights], 9), 10)
    shown = [weights[[5, 1]] for weights in reversed(shown)]
    tiles = [greys_of(weights[row], limit_of(*shown)) for row in (0, 1) for weights in shown]
    assert in_rows(tiles_in(pixels(out / "figures" / "near.png"), tiles, 37), 2)


def test_patches_and_components_are_each_drawn_on_their_own_scale(whole: Whole) -> None:
    seen, parts = (
        first_row(pixels(whole[0] / "figures" / f"{n}.png"), 6) for n in ("seen", "parts")
    )
    assert len(seen) == len(parts) == 10
    for tile in (*seen, *parts):
        assert tile.min() == 0 or tile.max() == 255
    components = np.stack([tile.ravel().astype(float) - 127.5 for tile in parts])
    components /= np.linalg.norm(components, axis=1, keepdims=True)
    # Principal components are orthogonal.
    assert np.abs(components @ components.T - np.eye(10)).max() < 0.02
    assert len({tile.tobytes() for tile in seen}) == 10
    # The strongest come first: smooth ones before checkered ones.
    rough = [np.abs(np.diff(tile.astype(float))).mean() for tile in parts]
    assert rough[0] < rough[-1]


def test_units_can_be_sorted_by_every_measure_the_largest_first(here: Path, dae: Dae) -> None:
    run = run_of(here, "noisy")
    weights, units = filters_of(here, "noisy"), read_csv(run / "filters.csv")
    for sort, column in (
        ("strength", "norm"),
        ("gabor", "explained_variance"),
        ("extent", "extent_pixels"),
        ("locality", "locality"),
        ("orientation", "orientation_selectivity"),
    ):
        order = sorted(range(8), key=lambda unit: -float(units[unit][column]))
        dae("filters", run, "--sort", sort, "--tiles", "2x4", "--out", "sorted.png").succeeded()
        tiles = [greys_of(weights[unit], limit_of(weights)) for unit in order]
        assert in_rows(tiles_in(pixels("sorted.png"), tiles, 9), 4), sort
        assert texts_of("sorted.png")["Sorted by"] == sort
    dae("filters", "small/noisy", "--units", "7", "--photos", "photos").succeeded()
    dae("evaluate", run).failed(2, run.name, "filters.csv")  # there are no errors


# Runs that are made and runs that are reused


def test_cells_of_a_seed_learn_from_the_same_patches_and_the_same_weights(
    here: Path, dae: Dae
) -> None:
    dae(*AGAIN, "--set", "pretrain.learning_rate=1e-30", "--out", "still").succeeded()
    noisy, plain, other = (
        filters_of(Path("still"), *run) for run in (("noisy", 0), ("plain", 0), ("plain", 1))
    )
    assert np.array_equal(noisy, plain)
    assert not np.array_equal(plain, other)
    for run in ALL:  # they have learned
        assert np.abs(filters_of(here, *run) - filters_of(Path("still"), *run)).max() > 1e-3
    left, right = (pixels(out / "figures" / "seen.png") for out in (here, Path("still")))
    assert (left == right).all()


def test_finished_runs_are_not_run_again_and_every_file_is_the_same(here: Path, dae: Dae) -> None:
    files = snapshot(here)
    (here / "filters.csv").write_text("no,rows\n")  # each run has its own file
    assert "0 done, 4 skipped, 0 failed" in dae(*AGAIN).succeeded().lines[-1]
    after = snapshot(here)
    # Only the command named in the report changes.
    assert {name for name in files if files[name] != after.get(name)} <= {"REPORT.md"}
    assert dae("report", "small", "--quiet").succeeded().out == "results/small/REPORT.md\n"
    assert dae("verify", "small").succeeded().out == "4 runs recomputed, 0 differences\n"
    Path("photos/b.png").unlink()  # other photographs need new runs
    assert "4 of 4 to run" in dae(*AGAIN, "--dry-run").failed(2, "--replace").out
    dae("search", "small").failed(2, "experiments/small/study.yaml", "search")


def test_figures_of_cells_that_were_not_run_are_not_drawn(here: Path, dae: Dae) -> None:
    ended = dae(*AGAIN[:4], "--only", "plain", "--out", "part").succeeded()
    assert "1 done" in ended.out
    assert len(ended.lines) == 1  # no claim can be checked
    part = Path("part")
    names = ["parts.png", "photographs.png", "seen.png"]
    assert sorted(path.name for path in (part / "figures").iterdir()) == names
    rows = read_csv(part / "figures.csv")
    assert {(row["cell"], row["holds"]) for row in rows} == {("plain", "")}
    report = (part / "REPORT.md").read_text()
    assert "](figures/seen.png)" in report and "](figures/both.png)" not in report
    name = run_of(part, "plain").name
    one, other = (out / "runs" / name / "filters.csv" for out in (part, here))
    assert one.read_bytes() == other.read_bytes()


def test_runs_without_folders_keep_their_numbers_and_pictures(here: Path, dae: Dae) -> None:
    files = snapshot(here, (".csv", ".png", ".md", ".html"))
    tables = {name: files[name] for name in files if not name.startswith("runs/")}
    shutil.rmtree(run_of(here, "plain", 0))
    (run_of(here, "noisy", 1) / "filters.csv").unlink()
    dae("report", "small").succeeded()
    after = snapshot(here, (".csv", ".png", ".md", ".html"))
    assert {name: after[name] for name in tables} == tables
    # The only copy of a run's measures is not overwritten if it cannot be read.
    path = here / "filters.csv"
    broken = path.read_text().replace(",no,", ",perhaps,", 1)
    path.write_text(broken)
    dae("report", "small").failed(2, f"{path.name}:2", "perhaps", "yes")
    dae(*AGAIN).failed(2, "filters.csv:2", "perhaps")
    assert path.read_text() == broken
    assert not run_of(here, "plain", 0).exists()


def test_a_sweep_has_no_figures_so_their_units_do_not_limit_it(here: Path, dae: Dae) -> None:
    assert here.is_dir()
    words = ("replicate", "small", "--photos", "photos", "--dry-run", "--format", "json")
    ended = dae(*words, "--grid", "model.hidden=[2],[3]", "--only", "noisy").succeeded()
    assert len(ended.json["runs"]) == 2
    found = dae(*words, "--set", "model.hidden=[2]").failed(2).err
    assert "figure near: noisy has no unit 5" in found


def test_figures_that_the_study_no_longer_has_are_removed(here: Path, dae: Dae) -> None:
    write_small(Path(), **{"wider": FIGURES["grow"], "local": FIGURES["local"]})
    (here / "figures" / "own.png").write_bytes(b"not a picture of dae")
    dae("report", "small").succeeded()
    names = ("local.png", "own.png", "photographs.png", "wider.png")
    assert sorted(path.name for path in (here / "figures").iterdir()) == list(names)


def test_figures_are_also_drawn_in_other_formats_if_their_runs_are_available(
    here: Path, dae: Dae
) -> None:
    def names(ending: str) -> set[str]:
        return {path.stem for path in (here / "figures").glob(f"*.{ending}")}

    dae(*AGAIN, "--plots", "svg").succeeded()
    assert names("svg") == names("png") - {"photographs"} == set(FIGURES)
    assert "small: The near</dc:title>" in (here / "figures" / "near.svg").read_text()
    shutil.rmtree(run_of(here, "plain", 0))
    ended = dae("report", "small", "--plots", "pdf").succeeded()
    assert "not drawn as pdf: both, grow, seen, parts, near," in ended.err
    assert names("pdf") == {"local"} and names("svg") == set(FIGURES)
    write_small(Path(), local=FIGURES["local"])
    dae("report", "small").succeeded()
    assert names("svg") == names("pdf") == {"local"}
    dae("report", "small", "--format", "latex").failed(2, "--format latex", "figures.csv")


def test_a_report_keeps_the_command_that_made_the_runs(here: Path, dae: Dae) -> None:
    report = here / "REPORT.md"
    command = "`` dae replicate small --out 'a`b' ``"
    text, count = re.subn("(?m)^(Made by) `.*?` ", rf"\1 {command} ", report.read_text())
    assert count == 1
    report.write_text(text)
    dae("report", "small").succeeded()
    assert report.read_text() == text


def test_rows_with_other_settings_or_photographs_are_removed_only_by_replace(
    here: Path, dae: Dae
) -> None:
    before = snapshot(here)
    words = ("--set", "pretrain.epochs=2", "--out", here)
    named = ("noisy seed 0", "pretrain.epochs: 3", "--replace")
    dae(*AGAIN, *words, "--only", "plain").failed(2, *named)
    dae("report", "small", *words).failed(2, "pretrain.epochs: 3", "2 given")
    assert snapshot(here) == before
    Path("experiments").rename("elsewhere")  # the results folder also has the figures
    dae("report", here, "--quiet").succeeded()
    dae("verify", here).succeeded()
    dae("evaluate", here).failed(2, "filters.csv")
    csv = snapshot(here, (".csv", ".png", ".yaml"))
    assert csv == {name: before[name] for name in csv}
    Path("elsewhere").rename("experiments")
    Path("photos/b.png").unlink()
    remedy = ("--photos choose the data", "--replace")
    now = "1 photograph in photos"
    dae(*AGAIN, "--only", "plain").failed(2, "noisy seed 1", "own data with SHA-256", now, *remedy)
    dae("replicate", "small").failed(2, "with scikit-image and scikit-learn", *remedy)
    rows = (here / "runs.csv").read_text()
    (here / "runs.csv").write_text(rows.replace(",own,", ",original,"))
    dae(*AGAIN, "--only", "plain").failed(2, *remedy)
    (here / "runs.csv").write_text(rows)
    dae(*AGAIN, "--only", "plain", "--replace").succeeded()
    assert {row["cell"] for row in read_csv(here / "filters.csv")} == {"plain"}


def test_verify_finds_numbers_that_were_edited(here: Path, dae: Dae) -> None:
    def differences() -> list[tuple[str, str]]:
        found = dae("verify", "small", "--format", "json").failed(1).json["differences"]
        return [(d["place"], d["what"]) for d in found]

    before = snapshot(here)
    edit_units(run_of(here, "plain", 1), locality=[0.9999] * 8)
    own = f"runs/{run_of(here, 'plain', 1).name}/filters.csv"
    assert differences() == [(own, "line 2 and 7 more")]
    dae("report", "small", "--quiet").succeeded()  # so that the report contains the edited numbers
    found = differences()
    assert found[0] == (own, "line 2 and 7 more")
    assert found[1:9] == [("filters.csv", f"plain, seed 1, unit {k}: locality") for k in range(8)]
    assert {place for place, _ in found[9:]} == {"figures.csv", "REPORT.md", "report.html"}
    for name, content in before.items():
        (here / name).write_bytes(content)
    for name, old, new in (
        ("REPORT.md", "Each tile shows", "Each tile showed"),
        ("report.html", "Each tile shows", "Each tile showed"),
        ("figures.csv", ",plain,", ",Plain,"),
    ):
        text = (here / name).read_text()
        assert old in text, name
        (here / name).write_text(text.replace(old, new, 1))
        assert [place for place, _ in differences()] == [name]
        (here / name).write_text(text)
    (here / "report.html").unlink()  # results of earlier versions have none
    dae("verify", "small").succeeded()


def test_a_stopped_and_resumed_run_has_the_same_results(
    here: Path, dae: Dae, child: Callable[..., Child]
) -> None:
    words = ("train", "small/noisy", "--photos", "photos", "--set", "pretrain.epochs=9")
    whole_run = Path(dae(*words).succeeded().lines[-1])
    expected = snapshot(whole_run.rename(Path("whole")))
    early = interrupt_when_written("checkpoint.safetensors")
    child(*words, environment={"DAE_CHECKPOINT_SECONDS": "0"}, prepare=early).wait().failed(130)
    partial = whole_run.with_name(f"{whole_run.name}.partial")
    assert (partial / "checkpoint.safetensors").is_file()
    assert dae(*words).succeeded().lines[-1] == f"{whole_run}"
    for name in ("filters.csv", "filters.png", "metrics.csv", "config.yaml"):
        assert (whole_run / name).read_bytes() == expected[name]


def test_train_prints_the_measures_of_the_filters(here: Path, dae: Dae) -> None:
    words = ("train", "small/noisy", "--photos", "photos")
    ended = dae(*words).succeeded()
    figures = read_csv(here / "figures.csv")
    (row,) = (r for r in figures if (r["figure"], r["cell"], r["seed"]) == ("both", "noisy", "0"))
    facts = dae(*words, "--format", "json").succeeded().json
    for name in NUMBERS:
        assert facts[name] == pytest.approx(float(row[name]), abs=0.01)
    lines = [re.split(r" {3,}", line) for line in ended.lines]
    assert len([line[0] for line in lines if "(" in line[-1]]) == len(NUMBERS)
    (extent,) = (line[1] for line in lines if "extent" in line[0])
    assert float(extent.split()[0]) == pytest.approx(float(row["extent_pixels"]), abs=0.05)


def test_a_filter_study_can_use_digits_of_mnist_instead_of_patches(
    dae: Dae, test_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (test_data / "mnist").is_dir():
        pytest.skip(f"no MNIST: {test_data}/mnist is not a folder")
    pretrain = {"learning_rate": 0.1, "epochs": 1}
    shared = {"dataset": "mnist", "rows": 60, "model": {"hidden": [4]}, "pretrain": pretrain}
    figures = [{"name": "digits", "title": "Digits", "kind": "patches", "cells": ["mnist-25"]}]
    cells = {"mnist-25": {"corruption": {"destruction": 0.25}}}
    write_study(Path.cwd(), "digits", cells, title="Digits", shared=shared, figures=figures)
    monkeypatch.setenv("DAE_DATA_DIR", str(test_data / "mnist"))
    dae("replicate", "digits").succeeded()
    out = Path("results/digits")
    (row,) = read_csv(out / "runs.csv")
    assert (row["dataset"], row["model"], row["destruction_percent"]) == ("mnist", "DAE", "25")
    weights = filters_of(out, "mnist-25")
    assert weights.shape == (4, 784)
    tiles = [greys_of(unit, limit_of(weights)) for unit in weights]
    tiles_in(pixels(out / "runs" / row["run"] / "filters.png"), tiles)
    digits = first_row(pixels(out / "figures" / "digits.png"))
    assert len(digits) == 10
    # White is 1, and 0 is mid grey as a weight of 0 is.
    assert all(tile.min() == 128 and tile.max() == 255 for tile in digits)


def test_a_rewritten_report_names_the_command_that_made_the_runs(here: Path, dae: Dae) -> None:
    report = (here / "REPORT.md").read_text(encoding="utf-8")
    for command in ("dae replicate small", "dae replicate `a` b", "`` c"):
        fence = "`" * 3
        rewritten = report.replace(report.split("\n")[4], f"Made by {fence} {command} {fence} at …")
        (here / "REPORT.md").write_text(rewritten, encoding="utf-8")
        dae("report", "small", "--quiet").succeeded()
        again = (here / "REPORT.md").read_text(encoding="utf-8")
        (line,) = [line for line in again.split("\n") if line.startswith("Made by")]
        assert f" {command} `" in line or f"`{command}`" in line
