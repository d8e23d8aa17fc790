"""Intervals, verdicts, McNemar's test, Holm's adjustment, means over seeds, published numbers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev

import pytest
from scipy.stats import binomtest, chi2

from tests.entry_points.statistics import (
    half_width_95,
    holm,
    mcnemar_p_value,
    number_compared_with,
    published_numbers,
    verdict,
)
from tests.support.commands import Ended
from tests.support.synthetic_results import SETTINGS, SyntheticStudy
from tests.support.tiny import read_csv

SETS = ("basic", "rot", "bg-rand", "bg-img", "rot-bg-img", "rect", "rect-img", "convex")
ICML_2008 = """
           SVM_rbf  SVM_poly  DBN-1   SAA-3   DBN-3   SdA-3
basic       3.03     3.69     3.94    3.46    3.11    2.80
rot        11.11    15.42    14.69   10.30   10.30   10.29
bg-rand    14.58    16.62     9.80   11.28    6.73   10.38
bg-img     22.61    24.01    16.15   23.00   16.31   16.68
rot-bg-img 55.18    56.41    52.21   51.93   47.39   44.49
rect        2.15     2.15     4.71    2.41    2.60    1.99
rect-img   24.04    24.05    23.69   24.05   22.50   21.59
convex     19.13    19.82    19.92   18.41   18.63   19.06
"""
"""Errors of table 1."""
DESTRUCTION = dict(zip(SETS, (10, 10, 40, 25, 25, 10, 25, 10), strict=True))
"""Destruction of SdA-3 in table 1, in percent."""
JMLR_2010 = {"basic": 2.84, "rot": 9.53, "bg-rand": 10.30, "bg-img": 16.68, "rot-bg-img": 43.76,
             "rect": 1.99, "rect-img": 21.59, "convex": 19.06}  # fmt: skip
ICML_2007 = {"basic": 4.69, "rot": 18.11, "bg-rand": 20.04, "bg-img": 27.41, "rot-bg-img": 62.16,
             "rect": 7.16, "rect-img": 33.20, "convex": 32.25}  # fmt: skip
TALK = {"basic": 3.07, "rot": 11.62, "bg-rand": 15.63, "bg-img": 23.15, "rot-bg-img": 54.16,
        "rect": 2.45, "rect-img": 23.00, "convex": 24.20}  # fmt: skip
"""Errors of SVM_rbf(nu) in the slides of the authors' talk on ICML 2008."""


def table_1() -> dict[tuple[str, str], float]:
    """The error of each cell of table 1."""
    header, *lines = ICML_2008.strip().splitlines()
    found = {}
    for line in lines:
        dataset, *numbers = line.split()
        for model, number in zip(header.split(), numbers, strict=True):
            found[dataset, model] = float(number)
    return found


# The published numbers


def test_the_48_numbers_of_table_1_are_those_of_the_report() -> None:
    known = [number for number in published_numbers() if number[0] == "ICML 2008"]
    assert {(n[1], n[2]): n[3] for n in known} == table_1()
    assert {n[6] for n in known} == {"report"}
    levels = {(n[1], n[2]): n[5] for n in known}
    for (dataset, model), level in levels.items():
        expected = {"SAA-3": 0.0, "SdA-3": float(DESTRUCTION[dataset])}.get(model)
        assert level == expected, (dataset, model)
    assert len(known) == len(levels) == 48


def test_the_numbers_of_the_other_papers_are_the_published_ones() -> None:
    jmlr = {n[1]: n for n in published_numbers() if n[0] == "JMLR 2010"}
    assert {name: n[3] for name, n in jmlr.items()} == JMLR_2010
    assert {n[2] for n in jmlr.values()} == {"SdA-3"}
    assert {name: n[5] for name, n in jmlr.items()} == DESTRUCTION | {"rot": 25}
    assert {n[1] for n in jmlr.values() if n[6] != "retold"} == {"convex"}
    nnet = {n[1]: n for n in published_numbers() if n[0] == "ICML 2007"}
    assert {name: n[3] for name, n in nnet.items()} == ICML_2007
    assert {n[2] for n in nnet.values()} == {"NNet"}
    assert {n[1] for n in nnet.values() if n[6] == "retold"} == {"bg-rand"}
    assert len(published_numbers()) == 72


def test_the_talks_svm_on_destroyed_inputs_beats_svm_rbf_on_only_two_sets() -> None:
    talk = {n[1]: n for n in published_numbers() if n[0] == "ICML 2008 talk"}
    assert {name: n[3] for name, n in talk.items()} == TALK
    assert {(n[2], n[6]) for n in talk.values()} == {("SVM_rbf(nu)", "talk")}
    quarter = {"bg-rand", "bg-img", "rect"}
    assert {name: n[5] for name, n in talk.items()} == {
        name: 25 if name in quarter else 10 for name in SETS
    }
    better = {name for name in SETS if TALK[name] < table_1()[name, "SVM_rbf"]}
    assert better == {"rot-bg-img", "rect-img"}


def test_the_papers_intervals_are_ours_over_its_50000_test_rows() -> None:
    for paper, dataset, model, error, half_width, *_ in published_numbers():
        again = half_width_95(error / 100 * 50_000, 50_000)
        assert f"{again:.2f}" == f"{half_width:.2f}", (paper, dataset, model)


def test_a_cell_is_compared_only_with_the_number_of_its_destruction() -> None:
    found = {
        (dataset, model): level
        for dataset in SETS
        for model in ("SAA-3", "SdA-3", "SAA-2", "SdA-2", "NNet-1", "NNet-3")
        for level in (*range(101), 24.9)
        if number_compared_with("destruction", dataset, model, level)
    }
    expected = {(name, "SAA-3"): 0 for name in SETS}
    assert found == expected | {(name, "SdA-3"): DESTRUCTION[name] for name in SETS}
    for (dataset, model), error in table_1().items():
        if model != "SdA-3":
            paper = number_compared_with("destruction", dataset, model, 0.0)
            assert paper and paper[:3] == ("ICML 2008", model, error)
            assert number_compared_with("destruction", dataset, model, 10.0) is None
    absent = ("convex", "DBN-2", 0.0), ("mnist", "SdA-3", 10.0), ("rect", "SVM_rbf(nu)", 25.0)
    for dataset, model, level in absent:
        assert number_compared_with("destruction", dataset, model, level) is None


def test_by_model_a_cell_is_compared_at_any_destruction() -> None:
    expected = {cell: ("ICML 2008", cell[1], error) for cell, error in table_1().items()}
    for dataset, error in ICML_2007.items():  # a network without pretraining
        expected[dataset, "NNet-1"] = ("ICML 2007", "NNet", error)
    for dataset, error in TALK.items():
        expected[dataset, "SVM_rbf(nu)"] = ("ICML 2008 talk", "SVM_rbf(nu)", error)
    for (dataset, model), number in expected.items():
        for level in (0.0, 47.5):
            found = number_compared_with("model", dataset, model, level)
            assert found and found[:3] == number
    for model in ("SdA-2", "NNet-3", "NNet"):
        assert number_compared_with("model", "convex", model, 0.0) is None


# Intervals and verdicts


def test_the_half_width_is_that_of_the_normal_approximation_in_percent() -> None:
    for wrong, rows in ((1, 2), (7, 50), (9_205, 50_000), (1, 50_000), (49_999, 50_000)):
        p = wrong / rows
        expected = 100 * 1.96 * sqrt(p * (1 - p) / rows)
        assert half_width_95(wrong, rows) == pytest.approx(expected, rel=1e-12)
    assert half_width_95(0, 10) == half_width_95(10, 10) == 0.0


def test_a_verdict_compares_intervals_and_printed_ends_that_touch_match() -> None:
    for error, half_width, papers, papers_half_width, expected in (
        (18.41, 0.34, 18.41, 0.34, "matches"),
        (17.73, 0.34, 18.41, 0.34, "matches"),
        (17.72, 0.34, 18.41, 0.34, "better"),
        (19.09, 0.34, 18.41, 0.34, "matches"),
        (19.10, 0.34, 18.41, 0.34, "worse"),
        (10.00, 0.25, 10.75, 0.50, "matches"),
        (10.00, 0.25, 10.76, 0.50, "better"),
        (11.50, 0.25, 10.75, 0.50, "matches"),
        (11.51, 0.25, 10.75, 0.50, "worse"),
        # 24.436 - 0.376 lies above 23.69 + 0.37; as printed, 24.44 - 0.38 and 24.06 touch.
        (24.436, 0.376, 23.69, 0.37, "matches"),
        (24.436, 0.374, 23.69, 0.37, "worse"),
        # In binary fractions, 18.72 is not quite 18.38 + .34.
        (18.38, 0.34, 19.06, 0.34, "matches"),
        (18.0, 0.1, None, None, "no reference"),
        (18.0, 0.1, 18.41, None, "no reference"),
        (18.0, 0.1, None, 0.34, "no reference"),
    ):
        found = verdict(error, half_width, papers, papers_half_width)
        assert found == expected, (error, half_width, papers)


# Two models on the same test rows


def test_fewer_than_25_discordant_rows_are_tested_by_the_exact_binomial_test() -> None:
    for n in range(1, 25):
        for a in range(n + 1):
            expected = binomtest(a, n, 0.5).pvalue
            assert mcnemar_p_value(a, n - a) == pytest.approx(expected, rel=1e-12), (a, n - a)


def test_at_least_25_discordant_rows_are_tested_by_chi_square_with_continuity() -> None:
    for a, b in ((10, 15), (0, 25), (12, 13), (59, 6), (121, 59), (30, 30), (4321, 4000)):
        statistic = max(0, abs(a - b) - 1) ** 2 / (a + b)
        assert mcnemar_p_value(a, b) == pytest.approx(chi2.sf(statistic, 1), rel=1e-9), (a, b)
        assert mcnemar_p_value(b, a) == mcnemar_p_value(a, b)
    assert mcnemar_p_value(121, 59) == pytest.approx(5.45e-6, rel=1e-3)  # a textbook's


def test_without_discordant_rows_p_is_one_and_negative_counts_are_refused() -> None:
    for a, b in ((0, 0), (1, 0), (5, 5), (30, 30), (31, 30)):
        assert mcnemar_p_value(a, b) == pytest.approx(1.0)
        assert mcnemar_p_value(a, b) <= 1.0
    for a, b in ((-1, 3), (3, -1)):
        with pytest.raises(ValueError, match="-1"):
            mcnemar_p_value(a, b)


def plain_holm(p_values: Sequence[float]) -> list[float]:
    """The largest of (m - j + 1) p_(j) over all that are not larger, at most 1."""
    ordered = sorted(p_values)
    m = len(ordered)
    return [
        min(1.0, max((m - j) * q for j, q in enumerate(ordered[: ordered.index(p) + 1])))
        for p in p_values
    ]


def test_holm_agrees_with_a_plain_implementation() -> None:
    drawn = random.Random(0)
    for count in range(12):
        p_values = [round(drawn.random() ** 4, 3) for _ in range(count)]
        assert holm(p_values) == pytest.approx(plain_holm(p_values)), p_values
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.02, 0.02]) == pytest.approx([0.04, 0.04])
    assert holm([0.7, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


# Over seeds


def test_a_cell_has_mean_and_standard_deviation_of_its_seeds_and_the_interval_of_one_run(
    dae: Callable[..., Ended], tmp_path: Path
) -> None:
    cells = {"b": SETTINGS["SdA-3"], "a": SETTINGS["SAA-3"], "c": SETTINGS["DBN-3"]}
    results = SyntheticStudy(tmp_path, cells, reference="model")
    wrong, valid = [9_000, 9_100, 9_350], ["17.00", "17.50", "18.01"]
    for seed in (2, 0, 1):
        results.add("a", "SAA-3", wrong[seed], seed=seed, valid_error_percent=valid[seed],
                    minutes=f"{seed}.3", commit="xyx"[seed], device=("cpu", "cuda", "cpu")[seed],
                    versions=f"dae {seed % 2}", engine=("blas", "torch", "blas")[seed])  # fmt: skip
    results.add("b", "SdA-3", 0, error="diverged")
    results.add("b", "SdA-3", 8_000, seed=1)
    results.add("c", "DBN-3", 0, error="no room")
    results.add("c", "DBN-3", 0, seed=1, error="no room")
    results.write()
    dae("report", "made", "--quiet").succeeded()
    several, one, none = read_csv(results.out / "table.csv")
    errors = [100 * count / 50_000 for count in wrong]
    expected = {"cell": "a", "seeds": "0 1 2", "n_wrong": "9000 9100 9350", "n_test": "50000",
                "test_error_percent": f"{fmean(errors):.2f}", "verdict": "matches",
                "sd_over_seeds": f"{stdev(errors):.2f}", "valid_error_percent": "17.50",
                "half_width_95": f"{half_width_95(9_150, 50_000):.2f}", "minutes": "3.9",
                "commit": "x / y", "device": "cpu / cuda", "versions": "dae 0 / dae 1",
                "engine": "blas / torch", "error": ""}  # fmt: skip
    assert several.items() >= expected.items()
    expected = {"cell": "b", "seeds": "1", "n_wrong": "8000", "minutes": "5.0",
                "test_error_percent": "16.00", "sd_over_seeds": "",
                "verdict": "better"}  # fmt: skip
    assert one.items() >= expected.items()
    assert one["error"] == "seed 0: diverged"
    unknown = ("seeds", "n_test", "n_wrong", "test_error_percent", "half_width_95",
               "sd_over_seeds", "valid_error_percent", "verdict")  # fmt: skip
    assert {none[name] for name in unknown} == {""}
    assert none["error"].count("no room") == 2
    assert (none["cell"], none["dataset"], none["paper_error_percent"]) == ("c", "convex", "18.63")


def test_impossible_counts_are_refused_with_the_run_and_the_cell_to_run_again(
    dae: Callable[..., Ended], tmp_path: Path
) -> None:
    results = SyntheticStudy(tmp_path, {"a": SETTINGS["SAA-3"]})
    row = results.add("a", "SAA-3", 100)
    for wrong, rows in ((201, 200), (0, 0), (7, "")):
        row |= {"n_wrong": wrong, "n_test": rows}
        results.write()
        place = ("runs.csv", row["run"], "n_wrong", f"{wrong}", "n_test", f"{rows}")
        dae("report", "made").failed(2, *place, "dae replicate --only a")
