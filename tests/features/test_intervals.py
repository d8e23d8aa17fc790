"""Intervals of shares and medians against tables, scipy and enumeration."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dae_cli.features.intervals import median_interval, wilson


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        # R. Newcombe, Statist. Med. 17, 1998, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_that_of_newcombes_table(
    count: int, of: int, low: float, high: float
) -> None:
    assert wilson(count, of) == pytest.approx((low, high), abs=5e-5)


@settings(max_examples=40)
@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_interval_is_scipys(counts: tuple[int, int]) -> None:
    from scipy.stats import binomtest

    count, of = counts
    expected = binomtest(count, of).proportion_ci(0.95, method="wilson")
    assert wilson(count, of) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= wilson(count, of).low <= count / of <= wilson(count, of).high <= 1


def test_none_or_all_seen_end_at_0_and_1_exactly() -> None:
    assert wilson(0, 200).low == 0.0
    assert wilson(200, 200).high == 1.0
    assert wilson(0, 200).high > 0.01


@pytest.mark.parametrize(("count", "of"), [(0, 0), (-1, 5), (6, 5)])
def test_counts_that_cannot_be_are_refused(count: int, of: int) -> None:
    with pytest.raises(ValueError, match=f"{count} of {of}: expected"):
        wilson(count, of)


@pytest.mark.parametrize(
    ("n", "rank"),
    # W. Conover, Practical Nonparametric Statistics: ranks r of the 95 % interval of the median.
    [(6, 1), (8, 1), (9, 2), (12, 3), (15, 4), (20, 6), (25, 8), (50, 18), (100, 40)],
)
def test_the_medians_interval_has_the_ranks_of_the_tables(n: int, rank: int) -> None:
    values = np.arange(1, n + 1)
    assert median_interval(values) == (rank, n + 1 - rank)


@settings(max_examples=40)
@given(st.integers(6, 600))
def test_the_medians_interval_covers_95_percent_and_the_next_smaller_one_less(n: int) -> None:
    from scipy.stats import binom

    low, high = median_interval(np.arange(1, n + 1))
    assert low + high == n + 1
    assert 1 - 2 * binom.cdf(low - 1, n, 0.5) >= 0.95 - 1e-12
    assert 1 - 2 * binom.cdf(low, n, 0.5) < 0.95


def test_of_fewer_than_six_values_nothing_is_certain() -> None:
    for n in range(1, 6):
        assert median_interval(np.arange(n)) == (-np.inf, np.inf)


@given(st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=60), st.randoms())
def test_the_order_of_the_values_does_not_matter_and_the_median_is_inside(
    values: list[float], random: np.random.RandomState
) -> None:
    low, high = median_interval(np.array(values))
    random.shuffle(values)
    assert median_interval(np.array(values)) == (low, high)
    assert low <= np.median(values) <= high


def test_the_interval_narrows_with_more_values() -> None:
    widths = [np.ptp(median_interval(np.linspace(0, 1, n))) for n in (10, 100, 1000)]
    assert all(wide > narrow for wide, narrow in pairwise(widths))


@pytest.mark.parametrize("values", [[], [1.0, np.nan, 2.0]])
def test_values_without_a_median_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match=f"{len(values)} values: expected"):
        median_interval(np.array(values))
