"""McNemar's test and Holm's adjustment against enumeration and published values."""

from __future__ import annotations

from itertools import product
from math import erfc, sqrt

import pytest

from dae_cli.study.tables.mcnemar import FEW, holm, p_value


def _enumerated(a: int, b: int) -> float:
    """Of all ways in which a + b rows may fall to two sides: those at least as uneven."""
    n, uneven = a + b, abs(a - b)
    ways = product((0, 1), repeat=n)
    return sum(abs(n - 2 * sum(way)) >= uneven for way in ways) / 2.0**n


@pytest.mark.parametrize(("a", "b"), [(0, 1), (0, 6), (1, 5), (3, 3), (2, 9), (4, 8), (12, 0)])
def test_few_rows_that_differ_are_tested_exactly(a: int, b: int) -> None:
    assert p_value(a, b) == pytest.approx(_enumerated(a, b), rel=1e-12)


def test_the_exact_test_of_nine_and_three_rows_is_a_known_value() -> None:
    # 2 · (1 + 12 + 66 + 220) / 4096
    assert p_value(9, 3) == pytest.approx(598 / 4096)


@pytest.mark.parametrize(("a", "b"), [(10, 15), (59, 6), (121, 59), (4321, 4000)])
def test_many_rows_that_differ_are_tested_by_chi_square_with_continuity(a: int, b: int) -> None:
    # The chi-square of one degree of freedom is a squared normal: P(χ² > x) = erfc(√(x / 2)).
    chi_square = (abs(a - b) - 1) ** 2 / (a + b)
    assert p_value(a, b) == pytest.approx(erfc(sqrt(chi_square / 2)), rel=1e-9)


def test_121_against_59_is_the_textbooks_chi_square() -> None:
    # (121 − 59 − 1)² / 180 = 20.67, p < .001.
    assert p_value(121, 59) == pytest.approx(5.45e-6, rel=1e-3)


def test_where_the_exact_test_ends_both_agree_nearly() -> None:
    exact, approximate = p_value(6, FEW - 7), p_value(6, FEW - 6)
    assert exact == pytest.approx(0.0227, abs=1e-3)
    assert approximate == pytest.approx(0.0164, abs=1e-3)


@pytest.mark.parametrize(("a", "b"), [(0, 0), (1, 0), (5, 5), (30, 30), (31, 30)])
def test_where_nothing_speaks_for_a_difference_p_is_one(a: int, b: int) -> None:
    assert p_value(a, b) == pytest.approx(1.0)


@pytest.mark.parametrize(("a", "b"), [(3, 9), (100, 160), (0, 24), (0, 25)])
def test_the_sides_may_be_swapped(a: int, b: int) -> None:
    assert p_value(a, b) == p_value(b, a)
    assert 0 < p_value(a, b) < 1


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        p_value(-1, 3)


def test_holm_multiplies_the_smallest_by_all_and_never_goes_down() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.02, 0.02]) == pytest.approx([0.04, 0.04])
    assert holm([0.7, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
