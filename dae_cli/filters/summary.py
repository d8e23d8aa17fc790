"""Shares and medians over the units of a layer, with intervals, for captions of figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.filters.measures import UnitMeasures

Interval = tuple[float, float]
"""Lower and upper end of a 95 % interval."""

COVERAGE = 0.95
LEAST_LOCALITY = 0.5
"""Lowest locality of a filter that counts as local."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share of all units, from 0 to 1, or a median over the units with nonzero weights."""

    value: float
    """The estimate; NaN if there are no units."""
    of: int
    """Number of units that the share or the median is taken over."""
    interval: Interval


@dataclass(frozen=True, slots=True)
class Summary:
    """Estimates for one layer."""

    gabor_like: Estimate
    local: Estimate
    locality: Estimate
    orientation_selectivity: Estimate
    extent_pixels: Estimate


def summarise(rows: Sequence[UnitMeasures]) -> Summary:
    """Summarize the rows of `measures.measure`.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("no units to summarize; expected at least one row")
    alive = [row for row in rows if row.norm > 0]
    if alive and all(isnan(row.locality) for row in alive):  # the inputs are not an image
        rows = alive = []
    return Summary(
        gabor_like=_share(row.gabor_like for row in rows),
        local=_share(row.locality >= LEAST_LOCALITY for row in rows),
        locality=_median(row.locality for row in alive),
        orientation_selectivity=_median(row.orientation_selectivity for row in alive),
        extent_pixels=_median(row.extent_pixels for row in alive),
    )


def wilson(count: int, of: int) -> Interval:
    """Return the 95 % Wilson interval of the share `count` / `of`.

    It lies within 0 and 1 and has a positive width even if the count is 0 or `of`. Source: E.
    Wilson, J. Am. Stat. Assoc. 22, 1927; recommended for small and large samples by L. Brown,
    T. Cai and A. DasGupta, Statist. Sci. 16, 2001.

    Raises:
        ValueError: `of` is below 1, or `count` is not between 0 and `of`.
    """
    from scipy.stats import binomtest  # here and below: the import takes half a second

    if of < 1 or not 0 <= count <= of:
        raise ValueError(f"{count} of {of}; expected a count from 0 to a total of at least 1")
    interval = binomtest(count, of).proportion_ci(COVERAGE, method="wilson")
    return float(interval.low), float(interval.high)


def median_interval(values: NDArray[Any]) -> Interval:
    """Return an interval that covers the median with probability ≥ 95 % for any distribution.

    Its ends are order statistics (W. Thompson, Ann. Math. Statist. 7, 1936). Fewer than six values
    cannot reach 95 %; the interval is then (−∞, ∞).

    Args:
        values: (n,), in any order.

    Raises:
        ValueError: there are no values, or one is NaN.
    """
    from scipy.stats import quantile_test

    sample = np.asarray(values, dtype=np.float64).ravel()
    if not len(sample) or np.isnan(sample).any():
        raise ValueError(f"{len(sample)} values; expected at least one value and no NaN")
    interval = quantile_test(sample).confidence_interval(COVERAGE)
    if np.isnan(interval.low):  # scipy returns NaN for an unbounded interval
        return -inf, inf
    return float(interval.low), float(interval.high)


def _share(members: Iterable[bool]) -> Estimate:
    units = list(members)
    if not units:
        return Estimate(float("nan"), 0, (0.0, 1.0))
    return Estimate(sum(units) / len(units), len(units), wilson(sum(units), len(units)))


def _median(values: Iterable[float]) -> Estimate:
    sample = np.array(list(values), dtype=np.float64)
    if not len(sample):
        return Estimate(float("nan"), 0, (-inf, inf))
    return Estimate(float(np.median(sample)), len(sample), median_interval(sample))
