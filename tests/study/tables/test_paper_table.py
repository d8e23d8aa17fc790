"""The table as the paper prints it: its bold rule, its cells, and how they are shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from dae_cli.config.schema import DatasetName
from dae_cli.study.paper import published_of_model
from dae_cli.study.report.markdown import facts, write_report
from dae_cli.study.report.mismatches import MISMATCHES
from dae_cli.study.report.table_markdown import (
    CLAIMS,
    DUELS,
    TABLE,
    certainty,
    not_shown,
    pairs_markdown,
    table_markdown,
)
from dae_cli.study.rows import RunRow
from dae_cli.study.run.folder import model_name
from dae_cli.study.tables import claims, paper_table
from dae_cli.study.tables.comparisons import Comparison
from dae_cli.study.tables.paper_table import COLUMNS, best_and_overlapping, has_other_models
from dae_cli.study.tables.table import table_of
from tests.study.tables.whole_table import Errors, rows_of, study_of, table_1

MakeRow = Callable[..., RunRow]


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Experiments of the other models are told apart by their seed here."""
    told = {1: "DBN-3", 2: "DBN-1", 3: "SVM_rbf", 4: "SVM_poly"}
    known = model_name
    monkeypatch.setattr(paper_table, "model_name", lambda e: told.get(e.seed) or known(e))


@pytest.mark.parametrize(
    ("dataset", "bold"),
    [
        ("basic", {"SVM_rbf", "SdA-3"}),
        ("rot", {"SAA-3", "DBN-3", "SdA-3"}),
        ("bg-rand", {"DBN-3"}),
        ("bg-img", {"DBN-1", "DBN-3", "SdA-3"}),
        ("rot-bg-img", {"SdA-3"}),
        ("rect", {"SVM_rbf", "SVM_poly", "SdA-3"}),
        ("rect-img", {"SdA-3"}),
        ("convex", {"SAA-3", "DBN-3", "SdA-3"}),
    ],
)
def test_the_bold_rule_over_the_papers_numbers_is_the_best_and_what_overlaps(
    dataset: str, bold: set[str]
) -> None:
    numbers = [published_of_model(dataset, column.model) for column in COLUMNS]
    pairs = [(n.error_percent, n.half_width_95) for n in numbers if n]
    assert len(pairs) == 7
    found = best_and_overlapping(pairs)
    names = [column.model for column in COLUMNS]
    assert {name for name, is_bold in zip(names, found, strict=True) if is_bold} == bold


def test_in_the_paper_sda_is_in_the_best_group_on_all_sets_but_bg_rand() -> None:
    lacking = []
    for name in get_args(DatasetName):
        numbers = [published_of_model(name, column.model) for column in COLUMNS]
        bold = best_and_overlapping([(n.error_percent, n.half_width_95) for n in numbers if n])
        if not bold[[column.model for column in COLUMNS].index("SdA-3")]:
            lacking.append(name)
    assert lacking == ["bg-rand"]


def test_printed_ends_that_touch_overlap_and_a_hundredth_more_does_not() -> None:
    assert best_and_overlapping([(10.0, 0.2), (10.5, 0.3)]) == [True, True]
    assert best_and_overlapping([(10.0, 0.2), (10.51, 0.3)]) == [True, False]
    # In binary fractions, 18.72 is not quite 18.38 + .34.
    assert best_and_overlapping([(18.38, 0.34), (19.06, 0.34)]) == [True, True]


def test_without_numbers_nothing_is_bold() -> None:
    assert best_and_overlapping([(None, None), (3.0, 0.1), (None, 0.1)]) == [False, True, False]
    assert best_and_overlapping([(None, None)]) == [False]


@pytest.fixture
def errors() -> Errors:
    """convex with three models and a failed one, rect-img with one."""
    return {
        ("rect-img", "SAA-3"): [24.0],
        ("convex", "SVM_rbf"): [19.1],
        ("convex", "SAA-3"): [18.4, 18.8],
        ("convex", "SdA-3"): [16.0, 16.2],
        ("convex", "DBN-3"): None,
    }


def test_every_cell_has_its_state(make_row: MakeRow, errors: Errors) -> None:
    table = table_1(make_row, errors, [("convex", "NNet-1")])
    assert table.datasets == ("rect-img", "convex")  # in the paper's order
    states = {cell.model: cell.state for cell in table.row("convex")}
    assert states == {
        "SVM_rbf": "done",
        "SVM_poly": "no cell",
        "DBN-1": "no cell",
        "SAA-3": "done",
        "DBN-3": "failed",
        "SdA-3": "done",
        "NNet-1": "not run",
    }
    assert [c.model for c in table.row("convex") if c.bold] == ["SdA-3"]
    assert [c.model for c in table.row("convex") if c.paper_bold] == ["SAA-3", "DBN-3", "SdA-3"]
    sda = table.cell("convex", "SdA-3")
    assert (sda.error_percent, sda.seeds, sda.destruction_percent) == (16.1, 2, 25.0)
    assert sda.paper is not None
    assert sda.paper.error_percent == 19.06


def test_a_row_shows_ours_verdict_and_papers_number(make_row: MakeRow, errors: Errors) -> None:
    table = table_1(make_row, errors, [("convex", "NNet-1")])
    (line,) = [x for x in table_markdown(table).splitlines() if x.startswith("| convex")]
    shown = dict(zip([c.model for c in COLUMNS], line.strip("| ").split(" | ")[1:], strict=True))
    assert shown == {
        "SVM_rbf": "[19.10 ± 0.34](#convex-svm-rbf-s0)<br>*matches*<br>paper: 19.13 ± 0.34",
        "SVM_poly": "–<br>paper: 19.82 ± 0.35",
        "DBN-1": "–<br>paper: 19.92 ± 0.35",
        "SAA-3": "[18.60 ± 0.34](#convex-saa-3-s0) (sd 0.28, 2 seeds)<br>*matches*<br>"
        "paper: **18.41 ± 0.34**",
        "DBN-3": "[failed](#convex-dbn-3-s0)<br>paper: **18.63 ± 0.34**",
        "SdA-3": "[**16.10 ± 0.32**](#convex-sda-3-s0) (sd 0.14, 2 seeds), ν 25 %<br>*better*<br>"
        "paper: **19.06 ± 0.34**‡, ν 10 %",
        "NNet-1": "not run<br>paper: 32.25 ± 0.41‡",
    }


def test_the_certainty_of_the_papers_numbers_is_a_footnote(make_row: MakeRow) -> None:
    text = certainty(table_1(make_row, {("convex", "SdA-3"): [16.0]}))
    assert "‡ recalled, not read again (2 of 7 numbers)" in text
    assert "†" not in text
    assert "† read in a second-hand account" in certainty(
        table_1(make_row, {("rect-img", "SdA-3"): [21.0]})
    )


def test_regenerated_data_are_marked(make_row: MakeRow) -> None:
    study = study_of([("convex", "SdA-3"), ("convex", "SVM_rbf")])
    rows = rows_of(make_row, {("convex", "SdA-3"): [16.0], ("convex", "SVM_rbf"): [19.0]})
    made = [make_row(**row.__dict__ | {"data_origin": "regenerated"}) for row in rows]
    every = table_markdown(paper_table.paper_table(study, made, table_of(made)))
    assert "| convex<br>(regenerated data) |" in every
    mixed = [rows[0], made[1]]
    text = table_markdown(paper_table.paper_table(study, mixed, table_of(mixed)))
    assert text.count("regenerated data") == 1
    assert "*matches* (regenerated data)<br>paper: 19.13" in text


def test_of_several_cells_the_lowest_validation_error_is_shown(make_row: MakeRow) -> None:
    from dataclasses import replace

    study = study_of([("convex", "SdA-3")])
    (cell,) = study.all_cells
    other = replace(cell, name="tiny/other")
    study = replace(study, all_cells=(cell, other))
    one = make_row(cell=cell.cell, model="SdA-3", valid_error_percent=15.0, n_wrong=9000)
    two = make_row(cell="other", model="SdA-3", valid_error_percent=16.0, n_wrong=8000)
    rows = [one, two]
    table = paper_table.paper_table(study, rows, table_of(rows))
    assert table.cell("convex", "SdA-3").cell == cell.cell
    assert f"lowest validation error: {cell.cell} (1 more)" in not_shown(table)


# In the report


def test_a_study_of_autoencoders_alone_has_no_table_1(make_row: MakeRow, tmp_path: Path) -> None:
    errors: Errors = {("convex", "SAA-3"): [18.4], ("convex", "SdA-3"): [16.0]}
    rows, study = rows_of(make_row, errors), study_of([*errors])
    assert not has_other_models(study)
    write_report(study, tmp_path, rows, table_of(rows), "dae")
    text = (tmp_path / "REPORT.md").read_text(encoding="utf-8")
    assert "## Table 1" not in text
    assert "<a id=" not in text
    assert "| better than the paper |" in text


def test_the_report_begins_with_table_1_and_its_links_lead_to_runs(
    make_row: MakeRow, tmp_path: Path, errors: Errors
) -> None:
    rows, study = rows_of(make_row, errors), study_of([*errors])
    table = table_of(rows)
    write_report(study, tmp_path, rows, table, "dae")
    text = (tmp_path / "REPORT.md").read_text(encoding="utf-8")
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert headings[:4] == [TABLE, CLAIMS, DUELS, "Ours and the paper's"]
    for row in rows:
        assert text.count(f'<a id="{row.run}"></a>') == 1
    links = {part.partition(")")[0] for part in text.split("](#")[1:]}
    assert links <= {row.run for row in rows}
    assert len(links) == 5
    printed = paper_table.paper_table(study, rows, table)
    assert text.count("\n- ") >= len(claims.claims(printed, []))
    told = facts(study, tmp_path, rows, table)
    assert all(part in text for name, part in told.items() if name != MISMATCHES)


def test_what_was_tried_and_the_selection_come_from_files(
    make_row: MakeRow, tmp_path: Path, errors: Errors
) -> None:
    from dataclasses import replace

    (tmp_path / "tried.md").write_text("# bg-rand\nMore units: no.\n```sh\n# not a heading\n```\n")
    (tmp_path / "search.csv").write_text(
        "cell,sampler,state,minutes,more\n"
        "a,tpe,COMPLETE,30,x\na,tpe,PRUNED,15,\na,random,FAIL,,\nb,tpe,complete,60\n"
    )
    (tmp_path / "search_earlier.csv").write_text("cell,minutes\nb,7\nb,8\nc,1\n")
    rows = rows_of(make_row, errors)
    study = replace(study_of([*errors]), source=tmp_path)
    write_report(study, tmp_path, rows, table_of(rows), "dae")
    text = (tmp_path / "REPORT.md").read_text(encoding="utf-8")
    assert "### What we tried\n\n#### bg-rand\nMore units: no.\n```sh\n# not a heading\n" in text
    # One of the five failed.
    assert "with the paper: 4; worse: 0, better: 1, matching: 3." in text
    assert (
        "| a | tpe random | 3 | 1 | 1 | 1 | 45 | 0 | 0 |\n"
        "| b | tpe | 1 | 1 | 0 | 0 | 60 | 2 | 15 |\n"
        "| c |  | 0 | 0 | 0 | 0 | 0 | 1 | 1 |\n"
        "| all | tpe random | 4 | 2 | 1 | 1 | 105 | 3 | 16 |\n"
    ) in text


def test_a_search_csv_of_another_kind_does_no_harm(tmp_path: Path) -> None:
    from dae_cli.study.report.selection import selection_markdown

    for content in (b"", b"\xff\xfe,\n1", b"a,b\n1,2,3\n", b'cell,minutes\n"x,1e999\n'):
        (tmp_path / "search.csv").write_bytes(content)
        assert "nan" not in selection_markdown(tmp_path)


def test_a_p_value_below_every_number_is_not_shown_as_nothing() -> None:
    test = Comparison(
        *("rect", "d" * 64, "rect-nnet", "rect-sda-3", "NNet-1", "SdA-3", 0, "a", "b", 50_000),
        *(9_000, 100, 20.0, 2.0, 0.0, True, 0.0),
    )
    (line,) = pairs_markdown([test]).splitlines()[2:]
    assert "| 9000 | 100 | < 1e-300 | 1 of 1 | 1 of 1 |" in line
