"""Intervals and verdicts, in percent."""

from __future__ import annotations

import math
from typing import Final, Literal

Verdict = Literal["better", "matches", "worse", "calibrated", "no reference"]
CALIBRATED: Final = "calibrated"
"""In place of a verdict: the data's recipe was calibrated to the very number compared with."""
Side = Literal["lower", "higher", "undecided"]
"""Where one of two errors lies, by their intervals."""


def half_width_95(wrong: float, rows: int) -> float:
    """Return 1.96 · sqrt(p (1 − p) / n) in percent, the interval of the paper's table 1."""
    p = wrong / rows
    return 100.0 * 1.96 * math.sqrt(p * (1.0 - p) / rows)


def half_width_with_seeds(half_width: float, sd_over_seeds: float | None) -> float:
    """Return 1.96 · sqrt(p (1 − p) / n + sd²): the test rows, and the training with other seeds.

    For pictures. About where one more training would lie on other test rows; of two or three seeds
    the standard deviation itself is hardly known. Verdicts take the paper's interval.
    """
    return math.hypot(half_width, 1.96 * (sd_over_seeds or 0.0))


def side_of(a: float, half_a: float, b: float, half_b: float) -> Side:
    """Tell where the error a lies beside b, if their intervals do not overlap.

    In hundredths of a percent, as they are printed: whoever has only the table finds the same.
    Intervals whose ends touch overlap.
    """
    between = round(100 * b) - round(100 * a)
    if abs(between) <= round(100 * half_a) + round(100 * half_b):
        return "undecided"
    return "lower" if between > 0 else "higher"


def verdict(
    error: float, half_width: float, paper_error: float | None, paper_half_width: float | None
) -> Verdict:
    """Compare our interval with the paper's, all in percent of the test rows.

    better: ours lies below the paper's; worse: above; matches: they overlap.
    """
    if paper_error is None or paper_half_width is None:
        return "no reference"
    side = side_of(error, half_width, paper_error, paper_half_width)
    verdicts: dict[Side, Verdict] = {"lower": "better", "higher": "worse", "undecided": "matches"}
    return verdicts[side]
