"""Intervals and verdicts, in percent."""

from __future__ import annotations

import math
from typing import Literal

Verdict = Literal["better", "matches", "worse", "no reference"]


def half_width_95(wrong: float, rows: int) -> float:
    """Return 1.96 · sqrt(p (1 − p) / n) in percent, the interval of the paper's table 1."""
    p = wrong / rows
    return 100.0 * 1.96 * math.sqrt(p * (1.0 - p) / rows)


def verdict(
    error: float, half_width: float, paper_error: float | None, paper_half_width: float | None
) -> Verdict:
    """Compare our interval with the paper's, all in percent of the test rows.

    better: ours lies below the paper's; worse: above; matches: they overlap.
    """
    if paper_error is None or paper_half_width is None:
        return "no reference"
    if error + half_width < paper_error - paper_half_width:
        return "better"
    if error - half_width > paper_error + paper_half_width:
        return "worse"
    return "matches"
