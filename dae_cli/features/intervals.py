"""95 % intervals of a share and of a median, exact or nearly, and the same at every call."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

COVERAGE = 0.95


class Interval(NamedTuple):
    """Lower and upper end."""

    low: float
    high: float


def wilson(count: int, of: int) -> Interval:
    """Return the 95 % interval of a share of which `count` of `of` were seen.

    E. Wilson, J. Am. Stat. Assoc. 22, 1927; recommended for few and for many by L. Brown,
    T. Cai and A. DasGupta, Statist. Sci. 16, 2001. It lies within 0 and 1, and has a width also
    where none or all were seen.

    Raises:
        ValueError: nothing was looked at, or the count is not within 0 and `of`.
    """
    if of < 1 or not 0 <= count <= of:
        raise ValueError(f"{count} of {of}: expected a count from 0 to a total of at least 1")
    from scipy.special import ndtri

    z = float(ndtri(0.5 + COVERAGE / 2))
    share, spread = count / of, z * z / of
    middle = (share + spread / 2) / (1 + spread)
    half = (share * (1 - share) * spread + spread * spread / 4) ** 0.5 / (1 + spread)
    low = 0.0 if count == 0 else middle - half
    return Interval(low, 1.0 if count == of else middle + half)


def median_interval(values: NDArray[Any]) -> Interval:
    """Return an interval that holds the median with a chance of at least 95 %, for any law.

    From the k-th smallest value to the k-th largest, k the largest with P(X < k) ≤ 2.5 %, X the
    number of n values below the median, which is binomial (n, 1/2) (W. Thompson, Ann. Math.
    Statist. 7, 1936). No two of fewer than six values are so far apart: then from −∞ to ∞.

    Args:
        values: (n,), in any order, none of them NaN.

    Raises:
        ValueError: a value is NaN, or there is none.
    """
    sample = np.sort(np.asarray(values, dtype=np.float64).ravel())
    n = len(sample)
    if n == 0 or np.isnan(sample).any():
        raise ValueError(f"{n} values: expected at least one, and none that is NaN")
    from scipy.special import bdtr

    below = bdtr(np.arange(n // 2 + 1), n, 0.5)  # P(X ≤ k) = P(X < k + 1)
    k = int(np.count_nonzero(below <= (1 - COVERAGE) / 2))
    if k == 0:
        return Interval(-np.inf, np.inf)
    return Interval(float(sample[k - 1]), float(sample[n - k]))
