"""The table as the paper prints it: its bold rule, its cells, and how they are shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from dae_cli.config.schema import DatasetName
from dae_cli.study.paper import published_of_model
from dae_cli.study.report.table_markdown import (
    not_shown,
)
from dae_cli.study.rows import RunRow
from dae_cli.study.tables import paper_table
from dae_cli.study.tables.paper_table import COLUMNS, best_and_overlapping
from dae_cli.study.tables.table import table_of
from tests.study.tables.whole_table import SOME_ERRORS, study_of, table_1

MakeRow = Callable[..., RunRow]

pytestmark = pytest.mark.usefixtures("models_by_seed")


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


def test_every_cell_has_its_state(make_row: MakeRow) -> None:
    table = table_1(make_row, SOME_ERRORS, [("convex", "NNet-1")])
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
