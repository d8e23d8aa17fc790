"""The results table: as the design prints it, and narrower where the terminal is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dae_cli.commands.tables import minutes, results, run_summary, text_width
from dae_cli.study.rows import RunRow, TableRow

ROW = TableRow(
    cell="rect-img-25",
    dataset="rect-img",
    data_origin="regenerated",
    data_sha256="0" * 64,
    model="SdA-3",
    destruction_percent=25.0,
    seeds="0",
    n_test=50_000,
    n_wrong="10800",
    test_error_percent=21.60,
    half_width_95=0.36,
    sd_over_seeds=None,
    valid_error_percent=21.0,
    paper_error_percent=21.59,
    paper_half_width_95=0.36,
    paper_model="SdA-3",
    verdict="matches",
    minutes=3.0,
    device="cpu",
    engine="torch",
    threads=1,
    versions="",
    commit="",
    error="",
)
CONVEX = replace(
    ROW,
    cell="convex-0",
    dataset="convex",
    data_origin="original",
    destruction_percent=0.0,
    test_error_percent=17.43,
    half_width_95=0.33,
    paper_error_percent=18.41,
    paper_half_width_95=0.34,
    paper_model="SAA-3",
    verdict="better",
)
HALF = replace(
    CONVEX,
    cell="convex-50",
    destruction_percent=50.0,
    paper_error_percent=None,
    paper_half_width_95=None,
    paper_model="",
    verdict="no reference",
)


def test_the_table_is_the_one_of_the_design() -> None:
    assert results([ROW, CONVEX, HALF]) == [
        "dataset    destruction   ours            paper                   gap    verdict",
        "rect-img   25 %          21.60 ± 0.36    21.59 ± 0.36 (SdA-3)    +0.01  "
        "matches (regenerated data)",
        "convex      0 %          17.43 ± 0.33    18.41 ± 0.34 (SAA-3)    -0.98  better",
        "convex     50 %          17.43 ± 0.33    -                       -      no reference",
    ]


@pytest.mark.parametrize("width", [120, 80, 60, 40])
def test_the_table_fits_the_terminal_and_regenerated_data_stay_marked(width: int) -> None:
    lines = results([ROW, CONVEX, HALF], width)
    if width >= 60:
        assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "regenerated data" in text
    assert all(word in text for word in ("21.60", "18.41", "-0.98", "no reference"))


def test_a_failed_cell_has_no_numbers() -> None:
    failed = replace(CONVEX, test_error_percent=None, half_width_95=None, verdict="", error="why")
    assert results([failed])[1].split() == [
        "convex", "0", "%", "-", "18.41", "±", "0.34", "(SAA-3)", "-", "failed",
    ]  # fmt: skip


def test_several_seeds_show_their_spread() -> None:
    assert "17.43 ± 0.33 (sd 0.12)" in results([replace(CONVEX, sd_over_seeds=0.12)])[1]


def test_cells_are_named_where_the_data_set_and_the_destruction_do_not_tell_them_apart() -> None:
    rows = [replace(CONVEX, cell="wide"), replace(CONVEX, cell="deep")]
    assert [line.split()[0] for line in results(rows)[1:]] == ["wide", "deep"]


def test_a_pipe_has_no_width_unless_columns_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert text_width() is None
    monkeypatch.setenv("COLUMNS", "60")
    assert text_width() == 60


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.5, "30 s"), (3.14, "3.1 min"), (24.2, "24 min")]
)
def test_durations_are_short(value: float | None, text: str) -> None:
    assert minutes(value) == text


def test_a_run_is_summed_up_with_the_papers_number_and_the_origin() -> None:
    row = RunRow(
        cell="rect-img-25",
        run="run",
        dataset="rect-img",
        data_origin="regenerated",
        data_sha256="",
        model="SdA-3",
        destruction_percent=25.0,
        seed=0,
        n_test=50_000,
        n_wrong=10_800,
        test_error_percent=21.6,
        half_width_95=0.36,
        paper_error_percent=22.59,
        paper_half_width_95=0.36,
        paper_model="SdA-3",
        verdict="better",
        minutes=3.1,
    )
    assert run_summary(row) == [
        "test error   21.60 ± 0.36 % (10,800 of 50,000 rows wrong)",
        "paper        22.59 ± 0.36 % (SdA-3): ours is better (regenerated data)",
        "data         rect-img, regenerated",
        "took         3.1 min",
    ]
