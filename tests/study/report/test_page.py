"""report.html of a study: its numbers are those of the rows, its pictures those of the runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.errors import RunFolderError
from dae_cli.pages.content import Interval, Page
from dae_cli.study.report.kept_page import PAGE, Kept, read_kept
from dae_cli.study.report.page import page_again, write_page
from dae_cli.study.report.page_content import page_of
from dae_cli.study.report.page_grid import claims_told, grid_of
from dae_cli.study.rows import RunRow
from dae_cli.study.run.filters import run_filters
from dae_cli.study.run.folder import model_name
from dae_cli.study.tables import paper_table
from dae_cli.study.tables.claims import claims
from dae_cli.study.tables.table import table_of
from tests.study.tables.whole_table import table_1

MakeRow = Callable[..., RunRow]
Shown = Callable[..., Page]
NO_PAPER = {"paper_error_percent": None, "paper_half_width_95": None, "paper_model": ""}
SDA = {"cell": "convex-25", "model": "SdA-3", "destruction_percent": 25.0, **NO_PAPER}


@pytest.fixture
def shown(two_cells: ResolvedStudy, tmp_path: Path) -> Shown:
    """Return the page of rows whose run folders are elsewhere."""

    def show(rows: Sequence[RunRow], **more: Any) -> Page:
        table = table_of(rows)
        return page_of(two_cells, tmp_path, rows, table, "dae replicate tiny", Kept(), **more)

    return show


@pytest.fixture
def own(in_process: Any, tmp_path: Path) -> Any:
    """The results of the study that was run, in a folder that a test may change."""
    out = tmp_path / "tiny"
    shutil.copytree(in_process.out, out)
    return out


def _write(in_process: Any, out: Path, rows: Sequence[RunRow] | None = None) -> bytes:
    rows = in_process.outcome.rows if rows is None else rows
    write_page(in_process.study, out, rows, table_of(rows), "dae replicate tiny")
    return (out / PAGE).read_bytes()


# Numbers


def test_every_cell_has_the_numbers_of_its_row(in_process: Any) -> None:
    outcome = in_process.outcome
    page = page_of(in_process.study, in_process.out, outcome.rows, outcome.table, "", Kept())
    (dataset,) = page.datasets
    for cell, row in zip(dataset.cells, outcome.table, strict=True):
        assert cell.name == row.cell
        if row.error:
            assert (cell.ours, cell.verdict) == (None, "failed")
            assert dict(cell.details)["failed"] == row.error
        else:
            assert cell.ours == Interval(row.test_error_percent, row.half_width_95)
            assert cell.sd == f"{row.sd_over_seeds:.2f}"
            assert dict(cell.details)["seeds"] == "0, 1"
            assert [page.runs[k].run for k in cell.runs] == [
                r.run for r in outcome.rows if r.cell == row.cell
            ]


def test_every_run_has_a_line_with_its_counts(in_process: Any) -> None:
    text = (in_process.out / PAGE).read_text(encoding="utf-8")
    for row in in_process.outcome.rows:
        assert f'<th scope="row">{row.run}</th>' in text
        if row.error:
            assert row.error in text
        else:
            assert f'<td class="number">{row.n_wrong} of 200</td>' in text
            assert f'<td class="number">{row.best_epoch} of 8</td>' in text


def test_bold_are_the_best_and_all_whose_interval_overlaps_that_of_the_best(
    shown: Shown, make_row: MakeRow
) -> None:
    # Half widths are 0.34: the third interval touches the first, the fourth does not.
    wrong = {"a": 9_000, "b": 9_100, "c": 9_330, "d": 9_400}
    page = shown([make_row(cell=cell, n_wrong=n) for cell, n in wrong.items()])
    assert [cell.bold for cell in page.datasets[0].cells] == [True, True, True, False]


def test_bold_is_told_within_a_data_set(shown: Shown, make_row: MakeRow) -> None:
    page = shown([make_row(), make_row(cell="rect-0", dataset="rect", n_wrong=1_000)])
    assert [d.cells[0].bold for d in page.datasets] == [True, True]


@pytest.mark.parametrize("origin", ["original", "regenerated"])
def test_regenerated_data_are_marked_where_something_is_compared(
    shown: Shown, make_row: MakeRow, origin: str
) -> None:
    page = shown([make_row(data_origin=origin), make_row(**SDA, data_origin=origin)])
    marks = [cell.regenerated for cell in page.datasets[0].cells]
    assert marks == [origin == "regenerated", False]
    assert page.any_regenerated == (origin == "regenerated")


def test_rows_of_several_makes_are_told(shown: Shown, make_row: MakeRow) -> None:
    page = shown([make_row(), make_row(seed=1, commit="def")])
    assert "commits abc, def" in page.warning


# The curve over destruction


def test_the_points_are_the_errors_of_the_cells(shown: Shown, make_row: MakeRow) -> None:
    (dataset,) = shown([make_row(**SDA, n_wrong=8_000), make_row()]).datasets
    assert [(p.destruction_percent, p.interval.error_percent) for p in dataset.ours] == [
        (0.0, 18.0),
        (25.0, 16.0),
    ]


def test_the_papers_sda_of_convex_is_drawn_at_its_own_10_percent(
    shown: Shown, make_row: MakeRow
) -> None:
    paper = {"paper_error_percent": 19.06, "paper_half_width_95": 0.34, "paper_model": "SdA-3"}
    (dataset,) = shown([make_row(), make_row(**SDA | paper)]).datasets
    assert [(p.destruction_percent, p.interval.error_percent) for p in dataset.paper] == [
        (0.0, 18.41),
        (10.0, 19.06),
    ]


def test_cells_of_one_place_and_other_models_are_not_on_the_curve(
    shown: Shown, make_row: MakeRow
) -> None:
    assert shown([make_row(cell="a"), make_row(cell="b")]).datasets[0].ours == ()
    (dataset,) = shown([make_row(), make_row(cell="dbn", model="DBN-3")]).datasets
    assert len(dataset.ours) == 1


def test_cells_of_one_place_are_told_apart_by_name(shown: Shown, make_row: MakeRow) -> None:
    (dataset,) = shown([make_row(cell="narrow"), make_row(cell="wide")]).datasets
    assert dataset.legend == ("SAA-3, 0 % (narrow)", "SAA-3, 0 % (wide)")


# The table as the paper prints it


def test_of_autoencoders_alone_there_is_no_table_of_models(shown: Shown, make_row: MakeRow) -> None:
    assert shown([make_row(), make_row(**SDA)]).grid is None


def test_the_table_of_models_is_the_printed_one(
    make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_seed = {1: "DBN-3", 3: "SVM_rbf"}
    monkeypatch.setattr(paper_table, "model_name", lambda e: by_seed.get(e.seed) or model_name(e))
    errors = {
        ("convex", "SVM_rbf"): [19.0],
        ("convex", "SdA-3"): [17.0, 17.2],
        ("convex", "DBN-3"): None,
        ("rect", "SVM_rbf"): [2.2],
    }
    printed = table_1(make_row, errors, lacking=[("rect", "SdA-3")])
    grid = grid_of(printed, {})
    assert grid.models == ("SVM_rbf", "DBN-3", "SdA-3 (ν)")
    (_, rect), (_, convex) = grid.rows
    assert [cell.ours for cell in rect] == ["2.20 ± 0.13", "–", "not run"]
    assert [cell.ours for cell in convex] == ["19.00 ± 0.34", "failed", "17.10 ± 0.33"]
    assert convex[2].bold and convex[2].note == "ν = 25 %, sd 0.14"
    assert (rect[2].paper, rect[2].paper_bold, rect[2].verdict) == ("1.99 ± 0.12†", True, "")
    says = claims_told(claims(printed, []))
    assert len(says) == 7 and all(text.endswith(".") for text in says)


# Pictures


def test_curves_are_those_of_every_run_that_is_done(in_process: Any) -> None:
    kept = read_kept(in_process.out / PAGE)
    done = [row for row in in_process.outcome.rows if not row.error]
    assert list(kept.curves) == [row.run for row in done]
    for row in done:
        curves = kept.curves[row.run]
        assert (row.best_epoch, row.valid_error_percent) in curves.valid
        assert (curves.valid[0][0], curves.valid[-1][0]) == (1, 8)
        assert len(curves.cost) == 2


def test_filters_are_those_of_the_first_seed_on_one_grey_scale(in_process: Any) -> None:
    sheets = read_kept(in_process.out / PAGE).sheets
    first = [r for r in in_process.outcome.rows if not r.error and r.seed == 0]
    assert list(sheets) == [row.run for row in first]
    weights = [run_filters(in_process.out / "runs" / row.run) for row in first]
    limit = np.quantile(np.abs(np.concatenate(weights)), 0.995)
    (shared,) = {sheet.limit for sheet in sheets.values()}
    assert shared == pytest.approx(limit, rel=1e-3)


def test_only_sheets_that_begin_with_the_same_weights_are_said_to(
    in_process: Any, make_study: Any, make_experiment: Any
) -> None:
    outcome = in_process.outcome

    def same(study: ResolvedStudy) -> bool:
        page = page_of(study, in_process.out, outcome.rows, outcome.table, "", Kept())
        return page.datasets[0].same_start

    assert same(in_process.study)
    other = make_experiment(model={"hidden": (9, 6)})
    still = make_experiment(corruption={"destruction": 0.0})
    assert not same(make_study({"convex-0": still, "convex-25": other}))


def test_the_same_results_give_the_same_bytes(in_process: Any, own: Path) -> None:
    before = (own / PAGE).read_bytes()
    (own / PAGE).unlink()
    assert _write(in_process, own) == before == _write(in_process, own)


def test_curves_and_filters_stay_when_the_run_folders_are_elsewhere(
    in_process: Any, own: Path
) -> None:
    # The reference results are committed without their run folders.
    before = (own / PAGE).read_bytes()
    shutil.rmtree(own / "runs")
    assert _write(in_process, own) == before


def test_without_run_folders_and_page_the_tables_stand_alone(in_process: Any, own: Path) -> None:
    shutil.rmtree(own / "runs")
    (own / PAGE).unlink()
    text = _write(in_process, own).decode()
    assert "data-run=" not in text
    assert "Learning curves" not in text
    assert "data set here, and all whose interval" in text


def test_filters_of_a_run_that_is_elsewhere_stay_and_the_others_keep_their_scale(
    in_process: Any, own: Path
) -> None:
    before = read_kept(own / PAGE).sheets
    shutil.rmtree(own / "runs" / in_process.folder("convex-0").name)
    _write(in_process, own)
    assert read_kept(own / PAGE).sheets == before


def test_nothing_is_kept_of_a_run_that_is_no_row(in_process: Any, own: Path) -> None:
    shutil.rmtree(own / "runs")
    rows = [replace(row, run=f"other-{k}") for k, row in enumerate(in_process.outcome.rows)]
    assert b"data-run=" not in _write(in_process, own, rows)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<!doctype html><img data-run=a data-limit=1 src='data:image/png;base64,AAAA'>",
        "<img data-run=a data-limit=x src=''><img data-run=a><script id=kept-curves>{</script>",
        '<script id="kept-curves">{"a": {"valid": [[1, NaN]], "cost": []}}</script>',
        '<script id="kept-curves">{"a": {"valid": "x", "cost": []}}',
        "\x00\x80<",
    ],
)
def test_a_damaged_page_is_one_that_shows_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / PAGE).write_text(text)
    assert read_kept(tmp_path / PAGE) == Kept()
    assert read_kept(tmp_path) == read_kept(tmp_path / "none") == Kept()


def test_damaged_metrics_are_told_by_file(in_process: Any, own: Path) -> None:
    path = own / "runs" / in_process.folder("convex-0").name / "metrics.csv"
    path.write_text(path.read_text().replace("finetune,,2,", "finetune,,two,"))
    with pytest.raises(RunFolderError, match=r"metrics\.csv: cannot be read \(invalid literal"):
        _write(in_process, own)


def test_a_study_of_which_everything_failed_has_a_page(
    two_cells: ResolvedStudy, make_failed_row: MakeRow, tmp_path: Path
) -> None:
    rows = [make_failed_row(error="<b>diverged</b>")]
    write_page(two_cells, tmp_path, rows, table_of(rows), "dae replicate tiny")
    text = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert "&lt;b&gt;diverged&lt;/b&gt;" in text
    assert [path.name for path in tmp_path.iterdir()] == [PAGE]


def test_a_name_of_a_cell_is_no_html(
    two_cells: ResolvedStudy, make_row: MakeRow, tmp_path: Path
) -> None:
    rows = [make_row(cell="<script>alert(1)</script>"), make_row(cell="<script>alert(2)</script>")]
    write_page(two_cells, tmp_path, rows, table_of(rows), "dae replicate '<script>'")
    text = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_making_the_page_again_needs_no_run_and_knows_its_command(
    in_process: Any, own: Path
) -> None:
    rows, table = in_process.outcome.rows, in_process.outcome.table
    again = page_again(in_process.study, own, rows, table)
    assert again.encode() == (own / PAGE).read_bytes()


def test_the_page_of_56_cells_with_three_seeds_each_is_small(
    two_cells: ResolvedStudy, make_row: MakeRow, tmp_path: Path
) -> None:
    models = ("SVM_rbf", "SVM_poly", "DBN-1", "SAA-3", "DBN-3", "SdA-3", "NNet-1")
    rows = [
        make_row(cell=f"{d}-{m}", dataset=f"set{d}", model=m, seed=seed)
        for d in range(8)
        for m in models
        for seed in range(3)
    ]
    path = write_page(two_cells, tmp_path, rows, table_of(rows), "dae replicate table1")
    assert path.stat().st_size < 250_000  # the tables alone
