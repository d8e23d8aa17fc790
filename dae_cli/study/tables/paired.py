"""Settings on the same test rows, paired by their seeds: which is better, in one sentence.

Over several seeds the mean difference of the errors and its interval by Student's t decide: they
hold for other seeds as well. Of one seed McNemar's test decides, for these very networks alone.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from dae_cli.config.schema import AnyExperiment
from dae_cli.study.paper import is_svm
from dae_cli.study.rows import RunRow
from dae_cli.study.tables.comparisons import (
    LEVEL,
    error_percent,
    holm,
    only_wrong,
    p_value,
)

TestRows = tuple[str, str, int]
"""What must be the same to be compared: data set, digest, number of test rows."""
Outcome = Literal["better", "worse", "not decided"]
BASELINE_RULE = "the first cell without corruption (SAA), else the first cell"


@dataclass(frozen=True, eq=False)
class Contender:
    """Runs that differ in their seeds alone, such as those of a cell."""

    name: str
    cell: str
    source: str
    """The results or the run, as the user named them; empty in a report of their folder."""
    rows: dict[int, RunRow]
    """By seed; an SVM, which has none, has one run."""
    wrong_rows: dict[str, NDArray[np.bool_]]
    """By run, which test rows are wrong, as far as that is known."""
    experiment: AnyExperiment | None = None
    """Its settings, whatever the seed; None where that is not known."""
    is_changed: bool = False
    """Whether its cell has other settings than its file, which named it."""

    @property
    def is_svm(self) -> bool:
        """Whether its one run is compared with every seed of another one."""
        return all(is_svm(row.model) for row in self.rows.values())

    @property
    def test_rows(self) -> TestRows:
        """Those of its runs."""
        row = next(iter(self.rows.values()))
        return row.dataset, row.data_sha256, row.n_test or 0

    def run(self, seed: int) -> RunRow | None:
        """Return the run that is compared at a seed, if there is one."""
        return next(iter(self.rows.values())) if self.is_svm else self.rows.get(seed)


def is_tested(row: RunRow) -> bool:
    """Return whether a run has a test error."""
    return not row.error and bool(row.n_test) and row.n_wrong is not None


def contenders_of(
    rows: Iterable[RunRow], wrong_rows: dict[str, NDArray[np.bool_]], source: str = ""
) -> list[Contender]:
    """Return the cells of some rows of runs.csv, in their order."""
    cells: dict[str, dict[int, RunRow]] = {}
    for row in filter(is_tested, rows):
        cells.setdefault(row.cell, {})[row.seed] = row
    return [Contender(name, name, source, own, wrong_rows) for name, own in cells.items()]


def baseline_of(contenders: Sequence[Contender]) -> Contender:
    """Return what reports compare the cells of a data set with, as `BASELINE_RULE` says."""
    plain = (c for c in contenders if next(iter(c.rows.values())).model.startswith("SAA-"))
    return next(plain, contenders[0])


@dataclass
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
    seeds: list[SeedComparison]

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
        if self.outcome == "not decided":
            says = f"{_seeds(self.seeds)} cannot decide whether {self.name} is better"
        else:
            one = "with this one seed, " if len(self.seeds) == 1 else ""
            says = f"{one}{self.name} is {self.outcome}"
        return f"{self.dataset}: {says} than {self.baseline}: {self.finding}"

    @property
    def finding(self) -> str:
        """By how much the error differs, and by which test that is decided."""
        lies = "lower" if self.difference < 0 else "higher"
        by = f"its error is {abs(self.difference):.2f}"
        by += f" ± {self.half_width_95:.2f}" if self.half_width_95 else ""
        by = f"{by} points {lies}" if self.difference else "its error is the same"
        if not self.half_width_95:
            at = "" if len(self.seeds) == 1 else f" at each of {_seeds(self.seeds)}"
            by += f"{at}; {_test_in_words(self.seeds)}"
        elif self.difference:
            by += f" (95 %, Student's t over {_seeds(self.seeds)})"
        return by


def _seeds(seeds: Sequence[SeedComparison]) -> str:
    return "one seed" if len(seeds) == 1 else f"{len(seeds)} seeds"


def _test_in_words(seeds: Sequence[SeedComparison]) -> str:
    known = [one.p_holm for one in seeds if one.p_holm is not None]
    if len(known) < len(seeds):
        return "which test rows are wrong is not known, so McNemar's test cannot be made"
    if len(known) == 1:
        return f"McNemar's test of this seed's networks gives p = {known[0]:.2g}"
    most = f"{max(known):.2g} or less" if max(known) < 1 else "1"
    return f"McNemar's test of each seed's networks gives p = {most}"


def compare(
    contenders: Sequence[Contender], baseline: str = "", *, by_cell: bool = False
) -> tuple[list[Comparison], list[str]]:
    """Compare contenders with the baseline of their test rows, the first unless it is named.

    Args:
        contenders: in the order in which they are shown.
        baseline: the name of one, its cell, or the source of several.
        by_cell: only those of one cell are compared, such as those of two results.

    Returns:
        The comparisons, and what is left out of them, with the reason.
    """
    groups: dict[tuple[TestRows, str], list[Contender]] = {}
    for one in contenders:
        groups.setdefault((one.test_rows, one.cell if by_cell else ""), []).append(one)
    by_rows: dict[TestRows, list[Comparison]] = {}
    reasons: list[str] = []
    for (test_rows, _), group in groups.items():
        dataset, digest, n_test = test_rows
        words = f"on its test rows ({n_test} of {dataset}, SHA-256 {digest[:12]}…)"
        named = (c for c in group if not baseline or baseline in (c.name, c.cell, c.source))
        if (first := next(named, None)) is None:
            reasons += [f"{one.name} has no baseline {words}" for one in group]
            continue
        if len(group) == 1 and by_cell:
            reasons.append(f"{first.cell}: only {first.source} has a cell of this name")
        elif len(group) == 1:
            reasons.append(f"{first.name} is alone {words}")
        for other in group:
            if other is first:
                continue
            if seeds := paired(first, other):
                comparison = Comparison(dataset, first.name, other.name, seeds)
                by_rows.setdefault(test_rows, []).append(comparison)
                reasons += _unpaired(first, other)
            else:
                had = [", ".join(map(str, sorted(c.rows))) for c in (first, other)]
                reasons.append(
                    f"{first.name} has the seeds {had[0]}, {other.name} {had[1]}: none in common"
                )
    for comparisons in by_rows.values():
        _adjust(comparisons)
    return [one for comparisons in by_rows.values() for one in comparisons], reasons


def paired(a: Contender, b: Contender) -> list[SeedComparison]:
    """Compare b with the baseline a at every seed that both have; p-values are not adjusted."""
    pairs = []
    for seed in sorted(a.rows if b.is_svm else b.rows):
        run_a, run_b = a.run(seed), b.run(seed)
        if run_a is None or run_b is None:
            continue
        one = SeedComparison(seed, error_percent(run_a), error_percent(run_b))
        wrong_a, wrong_b = a.wrong_rows.get(run_a.run), b.wrong_rows.get(run_b.run)
        if wrong_a is not None and wrong_b is not None:
            one.only_baseline_wrong, one.only_this_wrong = only_wrong(wrong_a, wrong_b)
            one.p_value = p_value(one.only_baseline_wrong, one.only_this_wrong)
        pairs.append(one)
    return pairs


def _unpaired(a: Contender, b: Contender) -> Iterator[str]:
    """Say which seeds of two networks are left out since one alone has them."""
    for one, other in ((a, b), (b, a)):
        lacking = sorted(one.rows.keys() - other.rows.keys())
        if lacking and not (a.is_svm or b.is_svm):
            seeds = ", ".join(map(str, lacking))
            yield f"{other.name} has no run of seed {seeds}, which {one.name} has: left out"


def _adjust(comparisons: Sequence[Comparison]) -> None:
    """Adjust the p-values of one data set for their number."""
    seeds = [s for one in comparisons for s in one.seeds if s.p_value is not None]
    p_values = holm([s.p_value for s in seeds if s.p_value is not None])
    for seed, adjusted in zip(seeds, p_values, strict=True):
        seed.p_holm = adjusted
