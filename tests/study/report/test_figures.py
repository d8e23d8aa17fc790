"""The study's pictures: their names, what they say of themselves, one grey scale."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from PIL.PngImagePlugin import PngImageFile

from dae_cli.config.experiments import ResolvedStudy, load_resolved
from dae_cli.config.kinds import as_network
from dae_cli.pictures import curves
from dae_cli.pictures.filters import common_limit, filter_sheet
from dae_cli.study.report import figures
from dae_cli.study.report.kept_page import PAGE, Kept, read_kept
from dae_cli.study.report.shown_filters import first_seeds
from dae_cli.study.rows import RunRow
from dae_cli.study.run.filters import run_filters
from dae_cli.study.tables.table import table_of
from dae_cli.training.state import initial_state


def _texts(path: Path) -> dict[str, str]:
    with PIL.Image.open(path) as image:
        assert isinstance(image, PngImageFile)
        return dict(image.text)


def test_each_set_has_its_sheets_by_name(in_process: Any) -> None:
    names = {path.name for path in (in_process.out / "filters").iterdir()}
    # The diverging cell has none.
    assert names == {"convex.png", "convex-0.png", "convex-25.png"}


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("convex.png", ["convex-0", "convex-25"]),
        ("convex-0.png", ["convex-0"]),
        ("convex-25.png", ["convex-25"]),
    ],
)
def test_a_sheet_names_its_runs_and_their_commit(
    in_process: Any, name: str, cells: list[str]
) -> None:
    texts = _texts(in_process.out / "filters" / name)
    rows = [row for row in in_process.outcome.rows if row.seed == 0 and row.cell in cells]
    assert texts["Runs"] == ", ".join(row.run for row in rows)
    assert texts["Commit"] == rows[0].commit
    assert texts["Title"] == "tiny: first-layer filters, convex"


def test_the_picture_of_a_run_names_its_cell(in_process: Any) -> None:
    texts = _texts(in_process.folder("convex-25") / "filters.png")
    assert texts["Title"] == "convex-25: first-layer filters"


def test_every_sheet_starts_from_the_same_weights(in_process: Any) -> None:
    first = [
        initial_state(
            as_network(load_resolved(in_process.folder(cell) / "config.yaml")), 784, torch.float32
        ).autoencoders[0]
        for cell in ("convex-0", "convex-25")
    ]
    assert torch.equal(first[0].weight, first[1].weight)


def test_all_sheets_of_a_set_share_one_grey_scale(
    in_process: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []

    def remember(*args: Any, limit: float, **more: Any) -> PIL.Image.Image:
        limits.append(limit)
        return filter_sheet(*args, limit=limit, **more)

    monkeypatch.setattr("dae_cli.study.report.figures.filter_sheet", remember)
    (tmp_path / "runs").symlink_to(in_process.out / "runs")
    rows = in_process.outcome.rows
    pictures = figures.draw(in_process.study, tmp_path, rows, in_process.outcome.table, Kept())
    weights = [run_filters(in_process.folder(cell)) for cell in ("convex-0", "convex-25")]
    assert limits == [common_limit(weights)] * 2
    assert [name for _, name in pictures.filters["convex"]] == [
        "filters/convex.png",
        "filters/convex-0.png",
        "filters/convex-25.png",
    ]


def test_the_learning_curves_are_those_of_the_metrics(
    in_process: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[curves.LearningCurve] = []
    monkeypatch.setattr("dae_cli.study.report.figures.learning_curves", lambda s, _: seen.extend(s))
    (tmp_path / "runs").symlink_to(in_process.out / "runs")
    figures.draw(
        in_process.study, tmp_path, in_process.outcome.rows, in_process.outcome.table, Kept()
    )
    assert [(curve.dataset, curve.label) for curve in seen] == [
        *[("convex", "SAA-2")] * 2,  # two seeds
        *[("convex", "SdA-2")] * 2,
    ]
    for curve, row in zip(seen, in_process.outcome.rows, strict=False):
        assert list(curve.epochs) == list(range(1, 9))
        assert curve.valid_error_percent[row.best_epoch - 1] == row.valid_error_percent
        assert min(curve.valid_error_percent) == row.valid_error_percent


def test_the_learning_curves_of_a_run_that_is_elsewhere_are_those_of_the_page(
    in_process: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[curves.LearningCurve] = []
    monkeypatch.setattr("dae_cli.study.report.figures.learning_curves", lambda s, _: seen.extend(s))
    outcome, kept = in_process.outcome, read_kept(in_process.out / PAGE)
    here, *_, elsewhere = [row for row in outcome.rows if not row.error]
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / here.run).symlink_to(in_process.out / "runs" / here.run)
    figures.draw(in_process.study, tmp_path, outcome.rows, outcome.table, kept)
    assert len(seen) == 4
    assert list(seen[0].epochs) == list(range(1, 9))
    points = zip(seen[-1].epochs, seen[-1].valid_error_percent, strict=True)
    assert tuple(points) == kept.curves[elsewhere.run].valid


def test_sheets_stay_while_they_are_of_the_same_runs(in_process: Any, tmp_path: Path) -> None:
    shutil.copytree(in_process.out / "filters", tmp_path / "filters")
    rows, table = in_process.outcome.rows, in_process.outcome.table

    def drawn() -> list[str]:
        kept = figures.draw(in_process.study, tmp_path, rows, table, Kept())
        return [name for _, name in kept.filters.get("convex", [])]

    assert len(drawn()) == 3
    rows = [replace(row, run=f"{row.run}0") for row in rows]
    assert drawn() == []  # their settings are others


@pytest.fixture
def one_here(in_process: Any, tmp_path: Path) -> Path:
    """A folder of results that has convex-25's run, and the pictures of convex-0's as well."""
    shutil.copytree(in_process.out / "filters", tmp_path / "filters")
    here = in_process.folder("convex-25")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / here.name).symlink_to(here)
    return tmp_path


def _greys(path: Path) -> Any:
    with PIL.Image.open(path) as image:
        return np.asarray(image).astype(int)


def test_a_run_that_is_elsewhere_stays_beside_those_that_are_here(
    in_process: Any, one_here: Path
) -> None:
    outcome, kept = in_process.outcome, read_kept(in_process.out / PAGE)
    drawn = {path.name: path for path in (in_process.out / "filters").iterdir()}
    (one_here / "filters" / "convex.png").unlink()
    pictures = figures.draw(in_process.study, one_here, outcome.rows, outcome.table, kept)
    names = [Path(name).name for _, name in pictures.filters["convex"]]
    assert names == ["convex.png", "convex-0.png", "convex-25.png"]
    for name, path in drawn.items():
        # The page has 16 greys of the 256, and its limit four digits.
        assert np.abs(_greys(one_here / "filters" / name) - _greys(path)).max() <= 16
    elsewhere = "filters/convex-0.png"
    assert (one_here / elsewhere).read_bytes() == (in_process.out / elsewhere).read_bytes()


def test_a_sheet_that_is_gone_with_its_run_is_drawn_from_the_page(
    in_process: Any, one_here: Path
) -> None:
    outcome, kept = in_process.outcome, read_kept(in_process.out / PAGE)
    shutil.rmtree(one_here / "runs")
    shutil.rmtree(one_here / "filters")
    figures.draw(in_process.study, one_here, outcome.rows, outcome.table, kept)
    for path in (in_process.out / "filters").iterdir():
        assert np.abs(_greys(one_here / "filters" / path.name) - _greys(path)).max() <= 16
        assert _texts(one_here / "filters" / path.name) == _texts(path)


@pytest.mark.parametrize("now", ["gone", "convex-25.png"])
def test_a_single_sheet_that_is_not_of_its_run_is_drawn_again(
    in_process: Any, one_here: Path, now: str
) -> None:
    outcome, kept = in_process.outcome, read_kept(in_process.out / PAGE)
    shutil.rmtree(one_here / "runs")
    sheet, others = one_here / "filters" / "convex-0.png", one_here / "filters" / now
    if others.exists():
        shutil.copy(others, sheet)
    else:
        sheet.unlink()
    figures.draw(in_process.study, one_here, outcome.rows, outcome.table, kept)
    assert _texts(sheet) == _texts(in_process.out / "filters" / "convex-0.png")


def test_a_run_that_neither_folder_nor_page_tells_of_has_no_sheet(
    in_process: Any, one_here: Path
) -> None:
    outcome = in_process.outcome
    pictures = figures.draw(in_process.study, one_here, outcome.rows, outcome.table, Kept())
    names = [name for _, name in pictures.filters["convex"]]
    assert names == ["filters/convex.png", "filters/convex-25.png"]
    assert _texts(one_here / names[0])["Runs"] == in_process.folder("convex-25").name


def test_curves_of_one_model_are_told_apart_by_their_destruction(in_process: Any) -> None:
    rows = [replace(row, model="SdA-3") for row in in_process.outcome.rows if not row.error]
    read = figures._curves(in_process.out, rows, Kept())
    assert [curve.label for curve in read] == [*["SdA-3, 0 %"] * 2, *["SdA-3, 25 %"] * 2]


def test_curves_of_one_model_at_one_destruction_are_told_apart_by_their_cells(
    in_process: Any,
) -> None:
    rows = [
        replace(row, model="SdA-3", destruction_percent=25.0)
        for row in in_process.outcome.rows
        if not row.error
    ]
    labels = {curve.label for curve in figures._curves(in_process.out, rows, Kept())}
    assert labels == {"SdA-3, 25 % (convex-0)", "SdA-3, 25 % (convex-25)"}


def test_the_points_are_those_of_the_table(
    make_row: Callable[..., RunRow],
    make_failed_row: Callable[..., RunRow],
    in_process: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[curves.CurvePoint] = []
    monkeypatch.setattr(
        "dae_cli.study.report.figures.error_vs_destruction", lambda points, _: seen.extend(points)
    )
    rows = [
        make_row(),
        make_failed_row(cell="convex-10", destruction_percent=10.0, data_origin="regenerated"),
    ]
    figures.draw(in_process.study, tmp_path, rows, table_of(rows), Kept())
    done, failed = seen
    assert (done.destruction_percent, done.error_percent, done.half_width_95) == (0.0, 18.0, 0.34)
    assert (done.paper_error_percent, done.paper_model, done.regenerated) == (18.41, "SAA-3", False)
    # The paper's value is drawn all the same.
    assert np.isnan(failed.error_percent)
    assert (failed.paper_error_percent, failed.regenerated) == (18.41, True)


def test_cells_of_a_set_that_do_not_follow_one_another_share_a_sheet(
    make_row: Callable[..., RunRow],
    in_process: Any,
    tmp_path: Path,
) -> None:
    (tmp_path / "runs").symlink_to(in_process.out / "runs")
    runs = [in_process.folder(cell).name for cell in ("convex-0", "convex-25")]
    rows = [
        make_row(cell="a", run=runs[0]),
        make_row(cell="b", run=runs[0], dataset="rect"),
        make_row(cell="c", run=runs[1], destruction_percent=25.0),
    ]
    pictures = figures.draw(in_process.study, tmp_path, rows, table_of(rows), Kept())
    assert [name for _, name in pictures.filters["convex"]] == [
        "filters/convex.png",
        "filters/a.png",
        "filters/c.png",
    ]
    assert _texts(tmp_path / "filters" / "convex.png")["Runs"] == ", ".join(runs)


@pytest.fixture
def whole_sheets(
    in_process: Any, make_row: Callable[..., RunRow], tmp_path: Path, monkeypatch: Any
) -> Callable[..., tuple[list[str], list[str], dict[str, Any]]]:
    """Draw cells given as (name, model, destruction in percent, run of this cell)."""
    (tmp_path / "runs").symlink_to(in_process.out / "runs")

    def drawn(
        *cells: tuple[str, str, float, str], study: ResolvedStudy = in_process.study
    ) -> tuple[list[str], list[str], dict[str, Any]]:
        """What stands over the panels, the titles told to the report, and the sheet's options."""
        seen: list[Any] = []

        def remember(panels: Any, **options: Any) -> PIL.Image.Image:
            seen.append(([panel.title for panel in panels], options))
            return PIL.Image.new("L", (1, 1))

        monkeypatch.setattr("dae_cli.study.report.figures.side_by_side", remember)
        rows = [
            make_row(
                cell=cell,
                model=model,
                destruction_percent=percent,
                run=in_process.folder(of).name,
            )
            for cell, model, percent, of in cells
        ]
        pictures = figures.draw(study, tmp_path, rows, table_of(rows), Kept())
        ((heads, options),) = seen
        return heads, [title for title, _ in pictures.filters["convex"]], options

    return drawn


def test_cells_at_a_destruction_each_are_told_apart_by_it(whole_sheets: Any) -> None:
    heads, titles, options = whole_sheets(
        ("convex-0", "SAA-2", 0.0, "convex-0"), ("convex-25", "SdA-2", 25.0, "convex-25")
    )
    assert heads == ["0 %", "25 %"]
    assert titles == ["convex, every destruction", "convex, SAA-2, 0 %", "convex, SdA-2, 25 %"]
    assert options["title"] == "First-layer filters on convex, by destruction"


def test_a_cell_whose_first_seed_failed_is_shown_by_the_next(
    make_row: Callable[..., RunRow],
) -> None:
    rows = [
        make_row(cell="a", seed=0, run="a-0"),
        make_row(cell="a", seed=1, run="a-1"),
        make_row(cell="b", seed=1, run="b-1"),
        make_row(cell="b", seed=2, run="b-2"),
    ]
    assert [row.run for row in first_seeds(rows)] == ["a-0", "b-1"]


def test_other_models_are_told_apart_by_their_names(whole_sheets: Any) -> None:
    # One autoencoder and one RBM: destructions that differ would tell nothing of the RBM.
    heads, titles, options = whole_sheets(
        ("convex-25", "SdA-2", 25.0, "convex-25"), ("convex-0", "DBN-2", 0.0, "convex-0")
    )
    assert heads == ["SdA-2, 25 %", "DBN-2"]
    assert titles == ["convex, every model", "convex, SdA-2, 25 %", "convex, DBN-2"]
    assert options["title"] == "First-layer filters on convex, by model"


def test_a_network_that_was_not_pretrained_has_no_sheet(whole_sheets: Any, tmp_path: Path) -> None:
    heads, titles, _ = whole_sheets(
        ("convex-0", "NNet-2", 0.0, "convex-0"), ("convex-25", "SdA-2", 25.0, "convex-25")
    )
    assert heads == ["25 %"]
    assert titles == ["convex, every destruction", "convex, SdA-2, 25 %"]
    assert not (tmp_path / "filters" / "convex-0.png").exists()


def test_only_layers_that_began_with_the_same_weights_are_said_to(
    whole_sheets: Any, make_study: Any, make_experiment: Any
) -> None:
    cells = ("convex-0", "SAA-2", 0.0, "convex-0"), ("convex-25", "SdA-2", 25.0, "convex-25")
    said = "the same unit at the same place in every sheet"
    assert whole_sheets(*cells)[2]["caption"].endswith(f"{said}, from the same initial weights.")
    wider = make_experiment(model={"hidden": (9, 6)})
    still = make_experiment(corruption={"destruction": 0.0})
    study = make_study({"convex-0": still, "convex-25": wider})
    assert whole_sheets(*cells, study=study)[2]["caption"].endswith(f"{said}.")
