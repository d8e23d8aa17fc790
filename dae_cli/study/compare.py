"""Does a change help? Runs of two settings on the same test rows, paired by their seeds.

Over several seeds the mean difference of the errors and its interval by Student's t decide: they
hold for other seeds as well. Of one seed McNemar's test decides, for these very networks alone.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from scipy.special import stdtrit

from dae_cli.errors import ConfigError
from dae_cli.study.contenders import Contender, TestRows
from dae_cli.study.tables.comparisons import LEVEL, error_percent, holm, only_wrong, p_value

MOST_REASONS = 6
Outcome = Literal["better", "worse", "not decided"]


@dataclass(frozen=True)
class SeedComparison:
    """Two runs of one seed; the test's fields are empty where wrong rows are not known."""

    seed: int
    baseline_error_percent: float
    error_percent: float
    only_baseline_wrong: int | None = None
    """Test rows that the baseline alone gets wrong."""
    only_this_wrong: int | None = None
    p_value: float | None = None
    """McNemar's."""
    p_holm: float | None = None
    """Adjusted for all tests on the data set that the command makes."""

    @property
    def difference(self) -> float:
        """Of the errors, in points of percent; negative where the baseline is worse."""
        return self.error_percent - self.baseline_error_percent


@dataclass(frozen=True)
class Comparison:
    """A contender beside its baseline."""

    dataset: str
    baseline: str
    name: str
    seeds: tuple[SeedComparison, ...]

    @property
    def baseline_error_percent(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(one.baseline_error_percent for one in self.seeds)

    @property
    def error_percent(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(one.error_percent for one in self.seeds)

    @property
    def difference(self) -> float:
        """Mean over the seeds, in points of percent."""
        return statistics.fmean(one.difference for one in self.seeds)

    @property
    def half_width_95(self) -> float | None:
        """Of the difference, by Student's t over the seeds; None of one seed."""
        n = len(self.seeds)
        if n < 2:
            return None
        # Rounded, so that equal differences have none.
        deviation = statistics.stdev(round(one.difference, 9) for one in self.seeds)
        return float(stdtrit(n - 1, 0.975)) * deviation / math.sqrt(n)

    @property
    def outcome(self) -> Outcome:
        """Whether the contender is better than its baseline."""
        if self.half_width_95:
            decided = abs(self.difference) > self.half_width_95
        else:  # one seed, or the same difference at each, which says nothing of its spread
            decided = all(one.p_holm is not None and one.p_holm <= LEVEL for one in self.seeds)
        if not decided or not self.difference:
            return "not decided"
        return "better" if self.difference < 0 else "worse"

    @property
    def sentence(self) -> str:
        """What the comparison says, in words."""
        count = "one seed" if len(self.seeds) == 1 else f"{len(self.seeds)} seeds"
        lies = "lower" if self.difference < 0 else "higher"
        by = f"its error is {abs(self.difference):.2f}"
        by += "" if self.half_width_95 is None else f" ± {self.half_width_95:.2f}"
        by = f"{by} points {lies}" if self.difference else "its error is the same"
        if self.half_width_95 is None:
            by += f"; {_test_in_words(self.seeds[0])}"
        elif self.difference:
            by += f" (95 %, Student's t over {count})"
        if self.outcome == "not decided":
            says = f"{count} {'does' if count == 'one seed' else 'do'} not decide whether "
            return f"{self.dataset}: {says}{self.name} is better than {self.baseline}: {by}"
        return f"{self.dataset}: {self.name} is {self.outcome} than {self.baseline}: {by}"


def _test_in_words(one: SeedComparison) -> str:
    if one.p_holm is None:
        return "which test rows are wrong is not known, so McNemar's test cannot be made"
    return f"McNemar's test of this seed's networks gives p = {one.p_holm:.2g}"


def compare(
    contenders: Sequence[Contender], baseline: str = "", *, by_cell: bool = False
) -> tuple[list[Comparison], list[str]]:
    """Compare contenders with the baseline of their test rows, the first unless it is named.

    Args:
        contenders: in the order in which they are shown.
        baseline: the name of one, its cell, or the source of several.
        by_cell: only those of one cell are compared, such as those of two results.

    Returns:
        The comparisons, and what is compared with nothing, with the reason.

    Raises:
        ConfigError: there is no comparison.
    """
    groups: dict[tuple[TestRows, str], list[Contender]] = {}
    for one in contenders:
        groups.setdefault((one.test_rows, one.cell if by_cell else ""), []).append(one)
    by_rows: dict[TestRows, list[Comparison]] = {}
    reasons: list[str] = []
    for (test_rows, _), group in groups.items():
        named = (c for c in group if not baseline or baseline in (c.name, c.cell, c.source))
        first = next(named, None)
        tested = [(c, _compared(first, c) if first else None) for c in group if c is not first]
        by_rows.setdefault(test_rows, []).extend(c for _, c in tested if c)
        reasons += [_why_not(first, other) for other, found in tested if not found]
        if first and not tested:
            reasons.append(f"{first.name} is alone {_test_rows_in_words(first)}")
    comparisons = [one for own in by_rows.values() for one in _adjusted(own)]
    if not comparisons:
        more = [f"and {len(reasons) - MOST_REASONS} more"] if len(reasons) > MOST_REASONS else []
        lines = ["there is nothing to compare:", *reasons[:MOST_REASONS], *more]
        raise ConfigError("\n  ".join(lines))
    return comparisons, reasons


def _why_not(baseline: Contender | None, other: Contender) -> str:
    """Why a contender is compared with nothing."""
    if baseline is None:
        return f"{other.name} has no baseline {_test_rows_in_words(other)}"
    seeds = [", ".join(map(str, sorted(one.rows))) for one in (baseline, other)]
    return f"{baseline.name} has the seeds {seeds[0]}, {other.name} {seeds[1]}: none in common"


def _test_rows_in_words(one: Contender) -> str:
    dataset, digest, n_test = one.test_rows
    return f"on its test rows ({n_test} of {dataset}, SHA-256 {digest[:12]}…)"


def _compared(a: Contender, b: Contender) -> Comparison | None:
    """Compare b with the baseline a at every seed that both have; None where there is none."""
    if a.is_svm and b.is_svm:
        seeds = [next(iter(a.rows))]
    elif a.is_svm or b.is_svm:
        seeds = sorted((b if a.is_svm else a).rows)
    else:
        seeds = sorted(a.rows.keys() & b.rows.keys())
    if not seeds:
        return None
    ours = (_of_one_seed(a, b, seed) for seed in seeds)
    return Comparison(a.test_rows[0], a.name, b.name, tuple(ours))


def _of_one_seed(a: Contender, b: Contender, seed: int) -> SeedComparison:
    run_a, run_b = a.run(seed), b.run(seed)
    one = SeedComparison(seed, error_percent(run_a), error_percent(run_b))
    wrong_a, wrong_b = a.wrong_rows.get(run_a.run), b.wrong_rows.get(run_b.run)
    if wrong_a is None or wrong_b is None:
        return one
    only_a, only_b = only_wrong(wrong_a, wrong_b)
    return replace(
        one,
        only_baseline_wrong=only_a,
        only_this_wrong=only_b,
        p_value=p_value(only_a, only_b),
    )


def _adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Adjust the p-values of one data set for their number."""
    p_values = [s.p_value for c in comparisons for s in c.seeds if s.p_value is not None]
    adjusted = iter(holm(p_values))
    return [
        replace(
            c,
            seeds=tuple(
                s if s.p_value is None else replace(s, p_holm=next(adjusted)) for s in c.seeds
            ),
        )
        for c in comparisons
    ]
