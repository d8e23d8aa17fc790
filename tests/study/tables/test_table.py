"""From runs to cells: means over seeds, and the same table from rows that were read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dae_cli.errors import RunFolderError
from dae_cli.study.rows import RunRow, read_rows, rows_to_csv, write_rows
from dae_cli.study.tables.table import table_of
from dae_cli.study.verdict import half_width_95

MakeRow = Callable[..., RunRow]


def _run(make_row: MakeRow, wrong: int, seed: int = 0, n_test: int = 50_000) -> RunRow:
    return make_row(
        seed=seed,
        n_test=n_test,
        n_wrong=wrong,
        test_error_percent=100 * wrong / n_test,
        half_width_95=half_width_95(wrong, n_test),
    )


def test_a_single_run_is_its_own_cell(make_row: MakeRow) -> None:
    (cell,) = table_of([_run(make_row, 9_000)])
    assert (cell.test_error_percent, cell.half_width_95) == (18.0, 0.34)
    assert (cell.seeds, cell.n_wrong, cell.n_test) == ("0", "9000", 50_000)
    assert cell.sd_over_seeds is None
    assert cell.verdict == "matches"
    assert (cell.minutes, cell.error) == (2.5, "")


def test_several_seeds_give_mean_and_standard_deviation(make_row: MakeRow) -> None:
    wrong = [9_000, 9_100, 9_350]
    (cell,) = table_of([_run(make_row, w, seed) for seed, w in enumerate(wrong)])
    assert cell.test_error_percent == 18.3
    assert cell.sd_over_seeds == round(stdev([18.0, 18.2, 18.7]), 2)
    assert (cell.seeds, cell.n_wrong) == ("0 1 2", "9000 9100 9350")
    assert cell.minutes == 7.5
    # The interval is that of a single run with this error: it says nothing of the seeds.
    assert cell.half_width_95 == round(half_width_95(9_150, 50_000), 2)


def test_cells_stay_in_the_order_of_the_rows(make_row: MakeRow) -> None:
    rows = [make_row(cell=cell, seed=s) for cell in ("b", "a", "c") for s in (0, 1)]
    assert [row.cell for row in table_of(rows)] == ["b", "a", "c"]


def test_a_failed_seed_is_told_and_left_out_of_the_mean(
    make_row: MakeRow, make_failed_row: MakeRow
) -> None:
    (cell,) = table_of([make_failed_row(error="boom"), _run(make_row, 9_000, 1)])
    assert (cell.seeds, cell.n_wrong, cell.test_error_percent) == ("1", "9000", 18.0)
    assert cell.error == "seed 0: boom"
    assert cell.verdict == "matches"
    assert cell.minutes == 5.0


def test_a_cell_without_a_result_has_no_numbers_and_no_verdict(make_failed_row: MakeRow) -> None:
    (cell,) = table_of([make_failed_row(seed=0), make_failed_row(seed=1)])
    assert (cell.test_error_percent, cell.half_width_95, cell.valid_error_percent) == (None,) * 3
    assert (cell.verdict, cell.seeds, cell.n_wrong) == ("", "", "")
    assert cell.error == "seed 0: diverged; seed 1: diverged"
    assert (cell.dataset, cell.paper_error_percent) == ("convex", 18.41)


def test_every_version_and_commit_is_named_once(make_row: MakeRow) -> None:
    rows = [make_row(seed=s, commit=c) for s, c in enumerate(["a", "b", "a"])]
    (cell,) = table_of(rows)
    assert (cell.commit, cell.versions) == ("a / b", "dae 0")


def test_every_engine_and_device_is_named_once(make_row: MakeRow) -> None:
    computed = [("torch", "NVIDIA H100"), ("compiled", "cpu"), ("torch", "cpu")]
    rows = [make_row(seed=s, engine=e, device=d) for s, (e, d) in enumerate(computed)]
    (cell,) = table_of(rows)
    assert (cell.engine, cell.device) == ("torch / compiled", "NVIDIA H100 / cpu")


def test_the_gap_can_be_taken_from_what_is_printed(make_row: MakeRow) -> None:
    (cell,) = table_of([_run(make_row, 9_204)])  # 18.408 %, printed 18.41
    assert cell.test_error_percent is not None
    assert cell.paper_error_percent is not None
    assert f"{cell.test_error_percent - cell.paper_error_percent:+.2f}" == "+0.00"


@pytest.mark.parametrize(("wrong", "rows"), [(201, 200), (-1, 200), (0, 0), (None, 200), (7, None)])
def test_counts_that_cannot_be_are_refused_with_the_run(
    make_row: MakeRow, wrong: int | None, rows: int | None
) -> None:
    with pytest.raises(RunFolderError) as caught:
        table_of([make_row(seed=0), make_row(seed=1, n_wrong=wrong, n_test=rows)])
    assert f"runs.csv: convex-0-s1: n_wrong is {wrong} and n_test {rows}" in str(caught.value)
    assert "dae replicate --only convex-0" in str(caught.value)
    assert caught.value.exit_code == 2


def test_rows_read_back_give_the_same_table(
    make_row: MakeRow, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # dae replicate --only keeps the rows of other cells from runs.csv, where they are rounded.
    path: Path = tmp_path_factory.mktemp("table") / "runs.csv"

    @settings(max_examples=60)
    @given(
        st.lists(
            st.tuples(st.integers(0, 3000), st.integers(0, 600), st.floats(0, 99)),
            min_size=1,
            max_size=4,
        )
    )
    def holds(counts: list[tuple[int, int, float]]) -> None:
        rows = [
            make_row(
                seed=seed,
                n_test=3000,
                n_wrong=wrong,
                test_error_percent=wrong / 30,
                half_width_95=half_width_95(wrong, 3000),
                valid_error_percent=invalid / 6,
                minutes=minutes,
            )
            for seed, (wrong, invalid, minutes) in enumerate(counts)
        ]
        write_rows(path, rows, RunRow)
        again = table_of(read_rows(path, RunRow))
        assert rows_to_csv(again, type(again[0])) == rows_to_csv(table_of(rows), type(again[0]))

    holds()
