"""What the filters of a run come to in a few numbers, and whether they bear a claim out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from dae_cli.config.study_schema import Expectation, Figure, MeasureName
from dae_cli.filters.summary import Estimate, summarise
from dae_cli.study.of_filters.rows import MeasuredRun

UNITS_OF: dict[MeasureName, str] = {
    "gabor_percent": "% of the units are Gabor-like",
    "local_percent": "% of the units are local",
    "extent_pixels": "pixels, median extent",
    "locality": "median locality",
    "orientation_selectivity": "median orientation selectivity",
}
"""What stands behind a number of each measure."""


@dataclass(frozen=True)
class Number:
    """A measure of the filters of one run, with its 95 % interval over the units."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, summary: Estimate, factor: float = 1.0) -> Number:
        """Take a share or a median, in other units."""
        low, high = summary.interval
        return cls(factor * summary.value, factor * low, factor * high)

    def told(self) -> str:
        """Return the number and its interval as a sentence has them."""
        return f"{_short(self.value)} ({_short(self.low)} to {_short(self.high)})"


@dataclass(frozen=True)
class Judgement:
    """Whether the measure bears a figure's claim out, and the sentence that says so."""

    figure: str
    holds: bool
    sentence: str


def number_of(run: MeasuredRun, measure: MeasureName) -> Number:
    """Return one measure of the filters of a run."""
    summary = summarise(run.units)
    if measure == "gabor_percent":
        return Number.of(summary.gabor_like, 100.0)
    if measure == "local_percent":
        return Number.of(summary.local, 100.0)
    return Number.of(getattr(summary, measure))


def judge(figure: Figure, runs: Sequence[MeasuredRun]) -> Judgement | None:
    """Measure what a figure claims; None where it claims nothing in numbers, or has no runs.

    A bar must be kept by every cell, and every seed of it. What grows must do so from cell to
    cell with intervals apart, for every seed by itself.
    """
    if figure.expect is None:
        return None
    expect, cells = figure.expect, figure.cells
    seeds = sorted({run.row.seed for run in runs if run.row.cell in cells})
    by_place = {(run.row.cell, run.row.seed): run for run in runs}
    held, told = [], []
    for seed in seeds:
        of_seed = [by_place.get((cell, seed)) for cell in cells]
        there = [run for run in of_seed if run is not None]
        if len(there) < len(cells):
            return None
        numbers = [number_of(run, expect.measure) for run in there]
        held.append(_holds(expect, numbers))
        told.append(_told(seed, cells, numbers, several=len(seeds) > 1))
    if not held:
        return None
    verdict = "The measure bears it out" if all(held) else "The measure does not bear it out"
    of_seeds = f" for {sum(held)} of {len(held)} seeds" if len(held) > 1 else ""
    sentence = f"{verdict}{of_seeds}: {'; '.join(told)} {UNITS_OF[expect.measure]}{_bar(expect)}."
    return Judgement(figure.name, all(held), sentence)


def _holds(expect: Expectation, numbers: Sequence[Number]) -> bool:
    if expect.grows:
        return all(below.high < above.low for below, above in pairwise(numbers))
    if expect.at_least is not None:
        return all(number.value >= expect.at_least for number in numbers)
    assert expect.at_most is not None
    return all(number.value <= expect.at_most for number in numbers)


def _told(seed: int, cells: Sequence[str], numbers: Sequence[Number], several: bool) -> str:
    pairs = zip(cells, numbers, strict=True)
    each = ", ".join(f"{cell} {number.told()}" for cell, number in pairs)
    return f"seed {seed}: {each}" if several else each


def _bar(expect: Expectation) -> str:
    if expect.grows:
        return ", each to be above the one before with intervals apart"
    if expect.at_least is not None:
        return f", at least {expect.at_least:g} expected"
    return f", at most {expect.at_most:g} expected"


def _short(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"
