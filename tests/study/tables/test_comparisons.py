"""mcnemar.csv: which runs are compared, and what a damaged file comes to."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dae_cli.errors import RunFolderError
from dae_cli.study.rows import RunRow
from dae_cli.study.tables.comparisons import (
    MCNEMAR_CSV,
    comparisons,
    comparisons_to_csv,
    read_comparisons,
    write_comparisons,
)

MakeRow = Callable[..., RunRow]


def _wrong_by_seed(row: RunRow) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """The first rows are wrong, as many as the row says."""
    wrong: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.arange(row.n_test or 0) < (
        row.n_wrong or 0
    )
    return wrong


@pytest.fixture
def rows(make_row: MakeRow) -> list[RunRow]:
    """An SVM, and two networks of which one has a seed more."""
    svm = {"cell": "svm", "model": "SVM_rbf", "n_test": 100, "n_wrong": 30}
    saa = {"cell": "saa", "model": "SAA-3", "n_test": 100, "n_wrong": 20}
    sda = {"cell": "sda", "model": "SdA-3", "n_test": 100, "n_wrong": 10}
    return [
        make_row(**svm),
        *(make_row(**saa, seed=seed) for seed in (0, 1)),
        *(make_row(**sda, seed=seed) for seed in (0, 1, 2)),
    ]


def test_networks_meet_at_the_seeds_both_have_and_an_svm_meets_every_seed(
    rows: list[RunRow],
) -> None:
    keys = [test.key for test in comparisons(rows, _wrong_by_seed)]
    assert keys == [
        *(("svm", "saa", seed) for seed in (0, 1)),
        *(("svm", "sda", seed) for seed in (0, 1, 2)),
        *(("saa", "sda", seed) for seed in (0, 1)),
    ]


def test_two_svms_meet_once(make_row: MakeRow) -> None:
    one = make_row(cell="rbf", model="SVM_rbf", seed=0)
    other = make_row(cell="poly", model="SVM_poly", seed=0)
    assert [test.key for test in comparisons([one, other], _wrong_by_seed)] == [("rbf", "poly", 0)]


@pytest.mark.parametrize(
    "changes",
    [{"dataset": "rect"}, {"data_sha256": "e" * 64}, {"n_test": 99}, {"error": "diverged"}],
)
def test_other_test_rows_are_never_compared(make_row: MakeRow, changes: dict[str, object]) -> None:
    one = make_row(cell="a", n_test=100, n_wrong=3)
    other = make_row(**{"cell": "b", "n_test": 100, "n_wrong": 5} | changes)
    assert comparisons([one, other], _wrong_by_seed) == []


def test_the_columns_follow_from_the_rows(rows: list[RunRow]) -> None:
    test = comparisons(rows, _wrong_by_seed)[0]
    assert (test.only_a_wrong, test.only_b_wrong) == (10, 0)
    assert (test.error_a_percent, test.error_b_percent) == (30.0, 20.0)
    assert test.p_value == pytest.approx(2 / 1024)
    assert test.significant
    assert test.p_holm > test.p_value


def test_holm_counts_the_comparisons_of_one_data_set_only(make_row: MakeRow) -> None:
    def pair(dataset: str, count: int) -> list[RunRow]:
        return [
            make_row(cell=f"{dataset}-{k}", dataset=dataset, n_test=100, n_wrong=10 * k)
            for k in range(count)
        ]

    alone = comparisons(pair("rect", 2), _wrong_by_seed)
    beside = comparisons([*pair("rect", 2), *pair("convex", 4)], _wrong_by_seed)
    assert alone[0].p_holm == alone[0].p_value
    assert [t.p_holm for t in beside if t.dataset == "rect"] == [alone[0].p_holm]


def test_the_file_is_read_back_as_it_was_written(rows: list[RunRow], tmp_path: Path) -> None:
    text = comparisons_to_csv(comparisons(rows, _wrong_by_seed))
    (tmp_path / MCNEMAR_CSV).write_text(text)
    read = read_comparisons(tmp_path)
    assert comparisons_to_csv(read) == text
    # Of rows that were read, everything is computed again from the counts.
    assert comparisons_to_csv(comparisons(rows, lambda _: None, read)) == text


@pytest.mark.parametrize(("only_a", "only_b"), [(11, 0), (5, -5), (-1, -11), (31, 21), (30, 20)])
def test_counts_that_cannot_be_do_not_stay(rows: list[RunRow], only_a: int, only_b: int) -> None:
    # 30 and 20 rows are wrong: all of them may be different ones, but not more.
    read = [
        replace(test, only_a_wrong=only_a, only_b_wrong=only_b)
        for test in comparisons(rows, _wrong_by_seed)[:1]
    ]
    stays = (only_a, only_b) == (30, 20)
    assert len(comparisons(rows, lambda _: None, read)) == stays


def test_other_runs_do_not_keep_the_comparison_of_earlier_ones(rows: list[RunRow]) -> None:
    read = comparisons(rows, _wrong_by_seed)
    anew = [replace(row, run=f"{row.run}-anew") for row in rows]
    assert comparisons(anew, lambda _: None, read) == []


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("dataset,", "datasets,", ":1: its columns are not those"),
        (",yes,", ",true,", ":2: significant is 'true', expected yes or no"),
        (",10,0,", ",ten,0,", ":2: only_a_wrong is 'ten', expected a number"),
        (",10,0,", ",10,", ":2: 16 values found, 17 expected"),
    ],
)
def test_a_damaged_file_is_told_by_line(
    rows: list[RunRow], tmp_path: Path, old: str, new: str, why: str
) -> None:
    text = comparisons_to_csv(comparisons(rows, _wrong_by_seed))
    assert old in text
    (tmp_path / MCNEMAR_CSV).write_text(text.replace(old, new, 1))
    with pytest.raises(RunFolderError, match=why):
        read_comparisons(tmp_path)
    damaged = (tmp_path / MCNEMAR_CSV).read_bytes()
    with pytest.raises(RunFolderError, match=why):  # nothing else tells it
        write_comparisons(tmp_path, rows)
    assert (tmp_path / MCNEMAR_CSV).read_bytes() == damaged
    for row in rows:
        (tmp_path / "runs" / row.run).mkdir(parents=True)
    write_comparisons(tmp_path, rows)  # is made anew of what is here: nothing
    assert read_comparisons(tmp_path) == []


def test_the_study_compares_the_same_rows_seed_by_seed(in_process: Any) -> None:
    found = read_comparisons(in_process.out)
    # convex-50 diverged: two cells are left, at two seeds.
    assert [test.key for test in found] == [
        ("convex-0", "convex-25", 0),
        ("convex-0", "convex-25", 1),
    ]
    rows = {row.run: row for row in in_process.outcome.rows}
    for test in found:
        a, b = rows[test.run_a].n_wrong, rows[test.run_b].n_wrong
        assert test.only_a_wrong - test.only_b_wrong == a - b


def test_rows_of_runs_that_are_elsewhere_stay(in_process: Any, tmp_path: Path) -> None:
    out = Path(shutil.copytree(in_process.out, tmp_path / "copy"))
    before = (out / MCNEMAR_CSV).read_bytes()
    shutil.rmtree(out / "runs")
    write_comparisons(out, in_process.outcome.rows)
    assert (out / MCNEMAR_CSV).read_bytes() == before
    other = [replace(row, n_wrong=1) if row.seed else row for row in in_process.outcome.rows]
    assert [test.seed for test in write_comparisons(out, other)] == [0]
