"""Comparison of settings on the same test rows, paired by seed, with one sentence as the result.

With several seeds, the mean difference of the errors and its interval by Student's t decide; the
result applies to other seeds as well. With one seed, McNemar's test decides, for these networks
only.
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
"""What two runs must share to be compared: data set, digest, number of test rows."""
Outcome = Literal["better", "worse", "not decided"]
BASELINE_RULE = "its first cell without corruption (SAA), or its first cell if there is none"
METHOD = (
    "Runs are paired by seed. ± is the 95 % interval of the mean difference, by Student's t over "
    "the seeds. With one seed, McNemar's test decides; its p is adjusted by Holm's method for all "
    "comparisons on the data set, and the result applies to these networks only."
)
"""How to read `Comparison.sentence`, once for all sentences."""


@dataclass(frozen=True, eq=False)
class Contender:
    """Runs that differ only in their seeds, such as those of a cell."""

    name: str
    cell: str
    source: str
    """The results or run as the user named them; empty in the report of a results folder."""
    rows: dict[int, RunRow]
    """Rows by seed; an SVM has one run, whose seed does not matter."""
    wrong_rows: dict[str, NDArray[np.bool_]]
    """Mask of the wrong test rows by run; runs without a known mask are missing."""
    experiment: AnyExperiment | None = None
    """Its settings, with any seed; None if they are not known."""
    is_changed: bool = False
    """Whether the settings differ from those in the cell's file."""

    @property
    def is_svm(self) -> bool:
        """Whether it has one run, which is compared with every seed of the others."""
        return all(is_svm(row.model) for row in self.rows.values())

    @property
    def test_rows(self) -> TestRows:
        """The test rows of its runs."""
        row = next(iter(self.rows.values()))
        return row.dataset, row.data_sha256, row.n_test or 0

    def run(self, seed: int) -> RunRow | None:
        """Return the run to compare at a seed, or None."""
        return next(iter(self.rows.values())) if self.is_svm else self.rows.get(seed)


def is_tested(row: RunRow) -> bool:
    """Return whether a run has a test error."""
    return not row.error and bool(row.n_test) and row.n_wrong is not None


def contenders_of(
    rows: Iterable[RunRow], wrong_rows: dict[str, NDArray[np.bool_]], source: str = ""
) -> list[Contender]:
    """Return the cells of rows of runs.csv, in the order of the rows."""
    cells: dict[str, dict[int, RunRow]] = {}
    for row in filter(is_tested, rows):
        cells.setdefault(row.cell, {})[row.seed] = row
    return [Contender(name, name, source, own, wrong_rows) for name, own in cells.items()]


def baseline_of(contenders: Sequence[Contender]) -> Contender:
    """Return the baseline that reports use for a data set, by `BASELINE_RULE`."""
    plain = (c for c in contenders if next(iter(c.rows.values())).model.startswith("SAA-"))
    return next(plain, contenders[0])


@dataclass
class SeedComparison:
    """Two runs with one seed; the fields of the test are None if wrong rows are not known."""

    seed: int
    baseline_error_percent: float
    error_percent: float
    only_baseline_wrong: int | None = None
    """Number of test rows that only the baseline gets wrong."""
    only_this_wrong: int | None = None
    p_value: float | None = None
    """McNemar's p-value."""
    p_holm: float | None = None
    """p-value adjusted by Holm's method for all comparisons on the data set."""

    @property
    def difference(self) -> float:
        """Difference of the errors in percentage points; negative if the baseline is worse."""
        return self.error_percent - self.baseline_error_percent


@dataclass(frozen=True)
class Comparison:
    """The comparison of a contender with its baseline."""

    dataset: str
    baseline: str
    name: str
    seeds: list[SeedComparison]
    baseline_cell: str = ""
    baseline_source: str = ""
    cell: str = ""
    source: str = ""
    """As in `Contender`; cell and source identify it, `name` is for display."""

    @property
    def difference(self) -> float:
        """Mean difference over the seeds, in percentage points."""
        return statistics.fmean(one.difference for one in self.seeds)

    @property
    def half_width_95(self) -> float | None:
        """Half width of the difference's interval, by Student's t; None if there is one seed."""
        n = len(self.seeds)
        if n < 2:
            return None
        # Rounded, so that equal differences have no deviation.
        deviation = statistics.stdev(round(one.difference, 9) for one in self.seeds)
        return float(stdtrit(n - 1, 0.975)) * deviation / math.sqrt(n)

    @property
    def outcome(self) -> Outcome:
        """Whether the contender is better than its baseline."""
        if self.half_width_95:
            decided = abs(self.difference) > self.half_width_95
        else:  # one seed, or equal differences, from which no spread can be estimated
            decided = all(one.p_holm is not None and one.p_holm <= LEVEL for one in self.seeds)
        if not decided or not self.difference:
            return "not decided"
        return "better" if self.difference < 0 else "worse"

    @property
    def sentence(self) -> str:
        """The result as a sentence, without a full stop; see `METHOD`."""
        seeds = _seeds(self.seeds)
        if self.outcome == "not decided":
            result = f"{seeds} cannot decide whether {self.name} is better than {self.baseline}"
        else:
            result = f"with {seeds}, {self.name} is {self.outcome} than {self.baseline}"
        return f"{self.dataset}: {result}: {self.finding(f'the error of {self.name}')}"

    def finding(self, error: str = "its error") -> str:
        """The difference of the errors, with its interval or McNemar's p-value."""
        side = "lower" if self.difference < 0 else "higher"
        interval = f" ± {self.half_width_95:.2f}" if self.half_width_95 else ""
        finding = f"{error} is the same"
        if self.difference:
            finding = f"{error} is {abs(self.difference):.2f}{interval} points {side}"
        if self.half_width_95:
            return finding
        at_each = "" if len(self.seeds) == 1 else f" at each of {_seeds(self.seeds)}"
        return f"{finding}{at_each} ({_test_in_words(self.seeds)})"


def _seeds(seeds: Sequence[SeedComparison]) -> str:
    return "one seed" if len(seeds) == 1 else f"{len(seeds)} seeds"


def _test_in_words(seeds: Sequence[SeedComparison]) -> str:
    known = [one.p_holm for one in seeds if one.p_holm is not None]
    if len(known) < len(seeds):
        return "McNemar's test cannot be made, because the wrong test rows are not known"
    if len(known) == 1:
        return f"McNemar's test: p = {known[0]:.2g} after Holm's correction"
    most = f"p ≤ {max(known):.2g}" if max(known) < 1 else "p = 1"
    return f"McNemar's test: {most} for each seed after Holm's correction"


def compare(
    contenders: Sequence[Contender], baseline: str = "", *, by_cell: bool = False
) -> tuple[list[Comparison], list[str]]:
    """Compare contenders with the baseline on the same test rows.

    Args:
        contenders: in the order in which they are shown.
        baseline: name, cell or source of the baseline; empty: the first contender.
        by_cell: compare only contenders of the same cell, such as those of two results folders.

    Returns:
        The comparisons, and notes on what they leave out and why.
    """
    groups: dict[tuple[TestRows, str], list[Contender]] = {}
    for one in contenders:
        groups.setdefault((one.test_rows, one.cell if by_cell else ""), []).append(one)
    by_rows: dict[TestRows, list[Comparison]] = {}
    notes: list[str] = []
    for (test_rows, _), group in groups.items():
        dataset, digest, n_test = test_rows
        words = f"on its test rows ({n_test} of {dataset}, SHA-256 {digest[:12]}…)"
        named = (c for c in group if not baseline or baseline in (c.name, c.cell, c.source))
        if (first := next(named, None)) is None:
            firsts = [c for c in contenders if baseline in (c.name, c.cell, c.source)]
            for one in group:
                notes.append(_other_data(one, firsts) or f"{one.name} has no baseline {words}")
            continue
        if len(group) == 1 and by_cell:
            same = [other for other in contenders if other.cell == first.cell]
            alone = _other_data(first, same)
            notes.append(alone or f"{first.cell}: only {first.source} has a cell of this name")
        elif len(group) == 1:
            notes.append(_other_data(first, contenders) or f"{first.name} is the only cell {words}")
        compared_with_first = []
        for other in group:
            if other is first:
                continue
            if seeds := paired(first, other):
                keys = (first.cell, first.source, other.cell, other.source)
                comparison = Comparison(dataset, first.name, other.name, seeds, *keys)
                by_rows.setdefault(test_rows, []).append(comparison)
                compared_with_first.append(other)
            else:
                own = [", ".join(map(str, sorted(c.rows))) for c in (first, other)]
                notes.append(
                    f"{first.name} (seeds {own[0]}) and {other.name} (seeds {own[1]}) have no "
                    "seed in common and are not compared"
                )
        notes += _unpaired(first, compared_with_first)
    for comparisons in by_rows.values():
        _adjust(comparisons)
    return [one for comparisons in by_rows.values() for one in comparisons], notes


def _other_data(one: Contender, others: Iterable[Contender]) -> str:
    """Return how the data of a contender differ from others of the same name; empty if none."""
    others = [c for c in others if c.test_rows != one.test_rows]
    same_set = [c for c in others if c.test_rows[0] == one.test_rows[0]]
    if not same_set:
        return ""

    def data(c: Contender) -> str:
        dataset, digest, n_test = c.test_rows
        origin = next(iter(c.rows.values())).data_origin
        return f"{origin} data ({n_test} test rows of {dataset}, SHA-256 {digest[:12]}…)"

    by_data = {data(c): ", ".join(o.name for o in same_set if data(o) == data(c)) for c in same_set}
    other_data = "; ".join(f"{names}: {words}" for words, names in by_data.items())
    return f"{one.name} was tested on other data: {data(one)}; {other_data}"


def paired(a: Contender, b: Contender) -> list[SeedComparison]:
    """Compare b with the baseline a at every common seed, without adjusting p-values."""
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


def _unpaired(first: Contender, others: Iterable[Contender]) -> Iterator[str]:
    """Yield a note for each network that lacks seeds of those it is compared with."""
    partners: dict[tuple[str, str], list[str]] = {}
    for other in others:
        for one, partner in ((first, other), (other, first)):
            lacking = sorted(partner.rows.keys() - one.rows.keys())
            if lacking and not (first.is_svm or other.is_svm):
                seeds = ", ".join(map(str, lacking))
                partners.setdefault((one.name, seeds), []).append(partner.name)
    for (name, seeds), names in partners.items():
        yield (
            f"{name} has no run of seed {seeds}; comparisons with {', '.join(names)} use the "
            "common seeds only"
        )


def _adjust(comparisons: Sequence[Comparison]) -> None:
    """Adjust the p-values of one data set by Holm's method."""
    seeds = [s for one in comparisons for s in one.seeds if s.p_value is not None]
    p_values = holm([s.p_value for s in seeds if s.p_value is not None])
    for seed, adjusted in zip(seeds, p_values, strict=True):
        seed.p_holm = adjusted
