"""McNemar's test: do two models that were tested on the same rows have the same error?

Only the rows that one of them gets wrong and the other right tell: if both have the same error,
such a row falls to either side with probability 1/2 (McNemar, Psychometrika 12, 1947). Recommended
for two classifiers and one test set by Dietterich, Neural Computation 10, 1998.
"""

from __future__ import annotations

from collections.abc import Sequence

from scipy.special import bdtr, chdtrc

FEW = 25
"""Below so many rows that tell, the exact binomial test; from there on, the chi-square."""
LEVEL = 0.05


def p_value(only_a_wrong: int, only_b_wrong: int) -> float:
    """Return the two-sided p-value.

    Of fewer than 25 rows that tell, the exact binomial one, 2 · P(X ≤ min) for X ~ B(n, 1/2), at
    most 1; else that of χ² = (|a − b| − 1)² / (a + b) with one degree of freedom, the continuity
    correction of Edwards (Psychometrika 13, 1948). 1 where no row tells.

    Args:
        only_a_wrong: rows that the first model alone gets wrong.
        only_b_wrong: rows that the second alone gets wrong.

    Raises:
        ValueError: a count is negative.
    """
    if min(only_a_wrong, only_b_wrong) < 0:
        raise ValueError(f"counts of rows, {only_a_wrong} and {only_b_wrong}, cannot be negative")
    n = only_a_wrong + only_b_wrong
    if n < FEW:
        return min(1.0, 2.0 * float(bdtr(min(only_a_wrong, only_b_wrong), n, 0.5)))
    difference = max(0, abs(only_a_wrong - only_b_wrong) - 1)
    return float(chdtrc(1, difference**2 / n))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for their number (Holm, Scand. J. Statist. 6, 1979).

    The k-th smallest of m is multiplied by m − k + 1, made at least the one before it, and at
    most 1: rejecting those up to .05 keeps the chance of any false rejection below .05.
    """
    order = sorted(range(len(p_values)), key=lambda k: p_values[k])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, k in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[k]))
        adjusted[k] = highest
    return adjusted
