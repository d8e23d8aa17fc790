"""What a figure's caption says of all its units: shares and medians with their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.filters.measures import UnitMeasures

Interval = tuple[float, float]
"""Lower and upper end, of a coverage of 95 %."""

COVERAGE = 0.95
LEAST_LOCALITY = 0.5
"""Of a local filter."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share of all units, from 0 to 1, or a median over those that have weights."""

    value: float
    """NaN of no units."""
    of: int
    """Units that it is a share of, or the median of."""
    interval: Interval


@dataclass(frozen=True, slots=True)
class Summary:
    """Of one layer."""

    gabor_like: Estimate
    local: Estimate
    locality: Estimate
    orientation_selectivity: Estimate
    extent_pixels: Estimate


def summarise(rows: Sequence[UnitMeasures]) -> Summary:
    """Summarise the rows of `measures.measure`.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("no units to summarise: expected at least one row")
    alive = [row for row in rows if row.norm > 0]
    if alive and all(isnan(row.locality) for row in alive):  # no image, so no shapes
        rows = alive = []
    return Summary(
        gabor_like=_share(row.gabor_like for row in rows),
        local=_share(row.locality >= LEAST_LOCALITY for row in rows),
        locality=_median(row.locality for row in alive),
        orientation_selectivity=_median(row.orientation_selectivity for row in alive),
        extent_pixels=_median(row.extent_pixels for row in alive),
    )


def wilson(count: int, of: int) -> Interval:
    """Return the 95 % interval of a share of which `count` of `of` were seen.

    E. Wilson, J. Am. Stat. Assoc. 22, 1927; recommended for few and for many by L. Brown,
    T. Cai and A. DasGupta, Statist. Sci. 16, 2001. It lies within 0 and 1, and has a width also
    where none or all were seen.

    Raises:
        ValueError: nothing was looked at, or the count is not within 0 and `of`.
    """
    from scipy.stats import binomtest  # here and below: the import takes half a second

    if of < 1 or not 0 <= count <= of:
        raise ValueError(f"{count} of {of}: expected a count from 0 to a total of at least 1")
    interval = binomtest(count, of).proportion_ci(COVERAGE, method="wilson")
    return float(interval.low), float(interval.high)


def median_interval(values: NDArray[Any]) -> Interval:
    """Return an interval that holds the median with a chance of at least 95 %, for any law.

    It goes from one order statistic to another (W. Thompson, Ann. Math. Statist. 7, 1936). No two
    of fewer than six values are so far apart: then from −∞ to ∞.

    Args:
        values: (n,), in any order, none of them NaN.

    Raises:
        ValueError: a value is NaN, or there is none.
    """
    from scipy.stats import quantile_test

    sample = np.asarray(values, dtype=np.float64).ravel()
    if not len(sample) or np.isnan(sample).any():
        raise ValueError(f"{len(sample)} values: expected at least one, and none that is NaN")
    interval = quantile_test(sample).confidence_interval(COVERAGE)
    if np.isnan(interval.low):  # scipy's word for one without end
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
