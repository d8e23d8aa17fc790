"""Table 1 in Markdown, and where the report of a whole table has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dae_cli.study.report.markdown import facts, write_report
from dae_cli.study.report.mismatches import MISMATCHES
from dae_cli.study.report.table_markdown import (
    CLAIMS,
    DUELS,
    TABLE,
    certainty,
    pairs_markdown,
    table_markdown,
)
from dae_cli.study.rows import RunRow
from dae_cli.study.tables import claims, paper_table
from dae_cli.study.tables.comparisons import Comparison
from dae_cli.study.tables.paper_table import COLUMNS, has_other_models
from dae_cli.study.tables.table import table_of
from tests.study.tables.whole_table import SOME_ERRORS, Errors, rows_of, study_of, table_1

MakeRow = Callable[..., RunRow]

pytestmark = pytest.mark.usefixtures("models_by_seed")


def test_a_row_shows_ours_verdict_and_papers_number(make_row: MakeRow) -> None:
    table = table_1(make_row, SOME_ERRORS, [("convex", "NNet-1")])
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


def test_a_p_value_below_every_number_is_not_shown_as_nothing() -> None:
    test = Comparison(
        *("rect", "d" * 64, "rect-nnet", "rect-sda-3", "NNet-1", "SdA-3", 0, "a", "b", 50_000),
        *(9_000, 100, 20.0, 2.0, 0.0, True, 0.0),
    )
    (line,) = pairs_markdown([test]).splitlines()[2:]
    assert "| 9000 | 100 | < 1e-300 | 1 of 1 | 1 of 1 |" in line


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
    make_row: MakeRow, tmp_path: Path
) -> None:
    rows, study = rows_of(make_row, SOME_ERRORS), study_of([*SOME_ERRORS])
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


def test_what_was_tried_comes_from_a_file(make_row: MakeRow, tmp_path: Path) -> None:
    from dataclasses import replace

    (tmp_path / "tried.md").write_text("# bg-rand\nMore units: no.\n```sh\n# not a heading\n```\n")
    rows = rows_of(make_row, SOME_ERRORS)
    study = replace(study_of([*SOME_ERRORS]), source=tmp_path)
    write_report(study, tmp_path, rows, table_of(rows), "dae")
    text = (tmp_path / "REPORT.md").read_text(encoding="utf-8")
    assert "### What we tried\n\n#### bg-rand\nMore units: no.\n```sh\n# not a heading\n" in text
    # One of the five failed.
    assert "with the paper: 4; worse: 0, better: 1, matching: 3." in text
