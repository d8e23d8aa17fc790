"""Check of the paper's claims against the reproduced table, with a sentence for each claim."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from dae_cli.study.paper import SVM_NU, Side, side_of
from dae_cli.study.rows import RunComparison
from dae_cli.study.tables.cells import NOTHING
from dae_cli.study.tables.comparisons import LEVEL
from dae_cli.study.tables.paired import Comparison, Contender, paired
from dae_cli.study.tables.paper_table import NumberAndHalfWidth, PaperTable, TableCell

Outcome = Literal[
    "holds",
    "holds where tested",
    "holds in part",
    "does not hold",
    "not decided here",
    "not tested here",
]

ABOUT_MODELS = {
    "Denoising helps: SdA-3 has a lower error than SAA-3": "SdA-3 < SAA-3",
    "A deep denoising network beats a single layer: SdA-3 has a lower error than DBN-1": (
        "SdA-3 < DBN-1"
    ),
    "Pretraining helps: SAA-3 and SdA-3 have a lower error than NNet": "SAA-3 SdA-3 < NNet-1",
    "SdA-3 has a lower error than the support vector machines": "SdA-3 < SVM_rbf SVM_poly",
    "SdA-3 is comparable to DBN-3 or better": "SdA-3 ≤ DBN-3",
}
"""Claims: each model on the left has a lower (≤: no higher) error than each on the right."""


@dataclass(frozen=True)
class ModelComparison:
    """The comparison of two models that both have a result on a data set."""

    a: TableCell
    b: TableCell
    ours: Side
    """Side of a's error, compared with b's."""
    theirs: Side
    """The same in the paper's table, by the intervals."""
    test: str
    """How `ours` was decided."""
    difference: str
    """Result of `dae compare` for a against b."""


@dataclass(frozen=True)
class PaperClaim:
    """One claim of the paper, with the outcome and the evidence."""

    says: str
    """The claim, such as `Denoising helps: SdA-3 has a lower error than SAA-3`."""
    outcome: Outcome
    evidence: str
    """Counts of data sets, as a text without a full stop."""
    comparisons: tuple[ModelComparison, ...] = ()
    """The comparisons it depends on, if it is about two models."""


COMPARISON_COLUMNS = [
    "models",
    "data set",
    "errors in %",
    "hidden units",
    "here",
    "decided by",
    "the paper",
    "the first is",
]
"""Columns of `comparison_rows`. *here* and *the paper*: side of the first model's error; *the first
is*: the result of `dae compare` for it."""


def paper_claims(
    table: PaperTable, tests: Sequence[RunComparison], contenders: Sequence[Contender]
) -> list[PaperClaim]:
    """Return the outcomes of the paper's claims, computed from the table and McNemar's tests.

    A claim holds if the table supports it on every data set on which the paper's own table supports
    it (by the intervals), and contradicts it on none; it holds *where tested* if some of these were
    not run. Data sets that are not in the paper's table (mnist) do not count; with no others, there
    are no claims. The mean differences of `contenders`, the cells with a test error, are shown but
    do not count.
    """
    theirs = tuple(d for d in table.datasets if any(cell.paper for cell in table.row(d)))
    if not theirs:
        return []
    table = replace(table, datasets=theirs)
    by_cell = {one.cell: one for one in contenders}
    return [
        _in_the_best_group(table),
        *(_about_models(*claim, table, tests, by_cell) for claim in ABOUT_MODELS.items()),
        _reaches_the_paper(table),
    ]


def comparison_rows(claims: Iterable[PaperClaim]) -> list[tuple[str, ...]]:
    """Return a row of COMPARISON_COLUMNS for each distinct comparison that claims depend on."""
    comparisons = dict.fromkeys(comparison for claim in claims for comparison in claim.comparisons)
    return [
        (
            f"{c.a.model}, {c.b.model}",
            c.a.dataset,
            f"{error_of(c.a):.2f}, {error_of(c.b):.2f}",
            ", ".join(dict.fromkeys(cell.units or NOTHING for cell in (c.a, c.b))),
            c.ours,
            c.test,
            c.theirs,
            c.difference,
        )
        for c in comparisons
    ]


def error_of(cell: TableCell) -> float:
    """Return the error in percent, or 100 if the cell has none."""
    error, _ = cell.number
    return 100.0 if error is None else error


def _about_models(
    says: str,
    errors: str,
    table: PaperTable,
    tests: Sequence[RunComparison],
    by_cell: Mapping[str, Contender],
) -> PaperClaim:
    left, sign, right = re.split(" ([<≤]) ", errors)
    wanted = ("lower",) if sign == "<" else ("lower", "undecided")
    tested: list[ModelComparison] = []
    papers: list[Side] = []
    evidence = []
    for a, b in product(left.split(), right.split()):
        cells = [(table.cell(d, a), table.cell(d, b)) for d in table.datasets]
        done = [pair for pair in cells if all(cell.counts for cell in pair)]
        own = [_compared(*pair, tests, by_cell) for pair in done]
        theirs = [_side_of(x.paper_number, y.paper_number) for x, y in cells]
        evidence.append(_evidence(a, b, own, theirs))
        tested += own
        papers += theirs
    expected = [c for c in tested if c.theirs in wanted]
    good = [c for c in tested if c.ours in wanted]
    bad = [c for c in expected if c not in good]
    if sign == "<":  # the opposite counts even if the paper shows it as well
        bad += [c for c in tested if c.ours == "higher"]
    everywhere = len(expected) == sum(side in wanted for side in papers)
    outcome = _outcome(tested, good, bad, everywhere)
    return PaperClaim(says, outcome, "; ".join(evidence), tuple(tested))


def _compared(
    a: TableCell, b: TableCell, tests: Sequence[RunComparison], by_cell: Mapping[str, Contender]
) -> ModelComparison:
    """Compare two cells that count.

    The first has a lower error if its mean over the seeds is lower and McNemar's test confirms it
    at the 5 % level for every common seed. If the wrong rows are not known, intervals decide.
    """
    own = [test for test in tests if {test.cell_a, test.cell_b} == {a.cell, b.cell}]
    theirs, lies = _side_of(a.paper_number, b.paper_number), error_of(a) - error_of(b)
    difference = _difference(by_cell[a.cell], by_cell[b.cell], own)
    if not own:
        side = _side_of(a.number, b.number)
        return ModelComparison(a, b, side, theirs, "intervals", difference)
    sides = [_side_in(test, a.cell) for test in own]
    ours: Side = "undecided"
    if (set(sides) == {"lower"} and lies < 0) or (set(sides) == {"higher"} and lies > 0):
        ours = sides[0]
    seeds = f"{len(own)} seed{'s' if len(own) > 1 else ''}"
    counts = [f"{side} in {n}" for side in ("lower", "higher") if (n := sides.count(side))]
    test = f"p ≤ .05 in none of {seeds}"
    if counts:
        after_holm = sum(test.p_holm <= LEVEL for test in own)
        test = f"p ≤ .05 {', '.join(counts)} of {seeds}, after Holm in {after_holm}"
    return ModelComparison(a, b, ours, theirs, test, difference)


def _difference(a: Contender, b: Contender, tests: Iterable[RunComparison]) -> str:
    """Return the result of comparing a with b by their common seeds; p-values as in mcnemar.csv."""
    seeds = paired(b, a) if a.test_rows == b.test_rows else []
    if not seeds:
        return NOTHING
    p_holm = {test.seed: test.p_holm for test in tests}
    for one in seeds:
        one.p_holm = p_holm.get(one.seed)
    comparison = Comparison(a.test_rows[0], b.name, a.name, seeds)
    return f"{comparison.outcome}: {comparison.finding()}"


def _side_in(test: RunComparison, first: str) -> Side:
    """Return the side of the cell `first`, if the test is significant."""
    difference = test.only_a_wrong - test.only_b_wrong
    if not test.significant or not difference:
        return "undecided"
    return "lower" if (difference < 0) == (test.cell_a == first) else "higher"


def _side_of(a: NumberAndHalfWidth, b: NumberAndHalfWidth) -> Side:
    """Return the side of the first number by the intervals, if both numbers are known."""
    if a[0] is None or b[0] is None:
        return "undecided"
    return side_of(a[0], a[1] or 0.0, b[0], b[1] or 0.0)


def _outcome(
    tested: Sequence[object], good: Sequence[object], bad: Sequence[object], everywhere: bool
) -> Outcome:
    """Return the outcome of a claim.

    `good` comparisons support it; `bad` ones contradict it, or fail to support it where the paper
    does. `everywhere`: it was tested on all data sets on which the paper supports it.
    """
    if not tested:
        return "not tested here"
    if bad:
        return "holds in part" if good else "does not hold"
    if not good:
        return "not decided here"
    return "holds" if everywhere else "holds where tested"


def _evidence(a: str, b: str, own: Sequence[ModelComparison], theirs: Sequence[Side]) -> str:
    """Count the data sets on which a has the lower or higher error, here and in the paper."""
    lower, higher = theirs.count("lower"), theirs.count("higher")
    paper = f"paper: lower on {lower}, higher on {higher} of {len(theirs)}"
    if not own:
        return f"{a} and {b} were not compared on any data set ({paper})"
    sides = [comparison.ours for comparison in own]
    return (
        f"the error of {a} compared with {b} is lower on {sides.count('lower')}, higher on "
        f"{sides.count('higher')} and undecided on {sides.count('undecided')} of {_sets(len(own))} "
        f"({paper})"
    )


def _in_the_best_group(table: PaperTable) -> PaperClaim:
    """Check whether SdA-3 is the best or overlaps the best: the bold rule, in both tables."""
    every = len(table.datasets)
    theirs = [d for d in table.datasets if table.cell(d, "SdA-3").paper_bold]
    paper = f"in the paper on {len(theirs)} of {_sets(every)}"
    if lacking := [d for d in table.datasets if d not in theirs]:
        paper += f" (not on {', '.join(lacking)})"
    rivals = {
        d: [c for c in table.row(d) if c.model != "SdA-3" and c.counts]
        for d in table.datasets
        if table.cell(d, "SdA-3").counts
    }
    tested = [d for d, others in rivals.items() if others]
    ours = [d for d in tested if table.cell(d, "SdA-3").bold]
    whole = [d for d in tested if all(c.counts for c in table.row(d) if c.model != SVM_NU)]
    evidence = f"here on {len(ours)} of {_sets(len(tested))}"
    beaten = []
    for dataset in (d for d in tested if d not in ours):
        own, best = table.cell(dataset, "SdA-3"), min(rivals[dataset], key=error_of)
        numbers = f"{error_of(own):.2f} %; {best.model}: {error_of(best):.2f} %"
        beaten.append(f"{dataset} ({numbers})")
    if beaten:
        evidence += f", not on {', '.join(beaten)}"
    if len(whole) < every:
        evidence += f"; all other models have results on {len(whole)} of {_sets(every)}"
    if not tested:
        evidence = "no data set has results of SdA-3 and another model"
    bad = [d for d in tested if d in theirs and d not in ours]
    return PaperClaim(
        "SdA-3 is the best model, or its interval overlaps the best model's",
        _outcome(tested, ours, bad, everywhere=len(whole) == every),
        f"{evidence}; {paper}",
    )


def _reaches_the_paper(table: PaperTable) -> PaperClaim:
    """Count the data sets on which SdA-3 reaches the paper's number."""
    own = [table.cell(name, "SdA-3") for name in table.datasets]
    verdicts = {c.dataset: c.row.verdict for c in own if c.state == "done" and c.row}
    compared = [c for c in own if verdicts.get(c.dataset) in ("better", "matches", "worse")]
    missing = [c.dataset for c in own if c not in compared]
    worse = [c for c in compared if verdicts[c.dataset] == "worse"]
    better = [c for c in compared if verdicts[c.dataset] == "better"]
    reached = [c for c in compared if c not in worse]
    parts = []
    if compared:
        parts.append(f"on {len(reached)} of {_sets(len(own))}, better on {len(better)}")
    if worse:
        parts.append(f"worse on {', '.join(f'{c.dataset} ({error_of(c):.2f} %)' for c in worse)}")
    for mark in filter(None, dict.fromkeys(c.data_mark for c in compared)):
        parts.append(f"on {mark}: {', '.join(c.dataset for c in compared if c.data_mark == mark)}")
    if missing:
        parts.append(f"not tested on {', '.join(missing)}")
    return PaperClaim(
        "SdA-3 matches the paper's number or is better",
        _outcome(compared, reached, worse, everywhere=not missing),
        "; ".join(parts),
    )


def _sets(count: int) -> str:
    return f"{count} data set{'' if count == 1 else 's'}"
