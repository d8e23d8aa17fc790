"""Which of the paper's claims hold in the reproduced table, each with its evidence in numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from dae_cli.study.comparisons import Comparison
from dae_cli.study.mcnemar import LEVEL
from dae_cli.study.paper_table import PaperTable, TableCell

Outcome = Literal["holds", "holds in part", "does not hold", "not decided here", "not tested here"]
Side = Literal["lower", "higher", "undecided"]


@dataclass(frozen=True)
class Claim:
    """One claim of the paper and what became of it."""

    says: str
    """The claim, such as `Denoising helps: SdA-3 has a lower error than SAA-3`."""
    outcome: Outcome
    evidence: str
    """Numbers, data set by data set; ends without a full stop."""


def claims(table: PaperTable, tests: Sequence[Comparison]) -> list[Claim]:
    """Return what becomes of the paper's claims, computed from the table and McNemar's tests.

    A model has a lower error than another on a data set if its mean over the seeds is lower and
    McNemar's test says so at 5 % for every seed that both have; where the test rows of the runs
    are not known, if their intervals do not overlap. The paper's own table, which tells of no
    such test, is read by its intervals.
    """
    return [
        _in_the_best_group(table),
        _lower("Denoising helps: SdA-3 has a lower error than SAA-3", _SDA_SAA, table, tests),
        _lower(
            "A deep denoising network beats a single layer: SdA-3 has a lower error than DBN-1",
            (("SdA-3", "DBN-1"),),
            table,
            tests,
        ),
        _lower(
            "Pretraining helps: SAA-3 and SdA-3 have a lower error than NNet",
            (("SAA-3", "NNet-1"), ("SdA-3", "NNet-1")),
            table,
            tests,
        ),
        _lower(
            "SdA-3 has a lower error than the support vector machines",
            (("SdA-3", "SVM_rbf"), ("SdA-3", "SVM_poly")),
            table,
            tests,
        ),
        _comparable("SdA-3 is comparable to DBN-3 or better", ("SdA-3", "DBN-3"), table, tests),
        _verdicts(table),
    ]


_SDA_SAA = (("SdA-3", "SAA-3"),)


@dataclass(frozen=True)
class _Duel:
    """Two models on a data set."""

    dataset: str
    ours: Side
    theirs: Side
    evidence: str


def _in_the_best_group(table: PaperTable) -> Claim:
    """SdA-3 is best, or its interval overlaps the best one's: the bold rule, in both tables."""
    says = "SdA-3 is the best model, or as good as the best by the overlap of intervals"
    theirs = [d for d in table.datasets if table.cell(d, "SdA-3").paper_bold]
    lacking = [d for d in table.datasets if d not in theirs]
    paper = f"in the paper, on {_of(len(theirs), len(table.datasets))}{_but(lacking)}"
    tested = [d for d in table.datasets if _rivals(table, d)]
    if not tested:
        return Claim(says, "not tested here", f"no data set has SdA-3 and another model; {paper}")
    ours = [d for d in tested if table.cell(d, "SdA-3").bold]
    told = f"here on {_of(len(ours), len(tested))}{_beaten(table, tested)}; {paper}"
    few = [d for d in tested if len(_rivals(table, d)) < len(table.columns) - 1]
    if few:
        told += f"; not all the other models were run on {', '.join(few)}"
    expected = [d for d in tested if d in theirs]
    if all(d in ours for d in expected):
        return Claim(says, "holds", told)
    return Claim(says, "holds in part" if ours else "does not hold", told)


def _rivals(table: PaperTable, dataset: str) -> list[TableCell]:
    """The other models that are done on a data set where SdA-3 is."""
    if table.cell(dataset, "SdA-3").state != "done":
        return []
    return [c for c in table.row(dataset) if c.model != "SdA-3" and c.state == "done"]


def _beaten(table: PaperTable, tested: Iterable[str]) -> str:
    """`, not on bg-rand (10.38 % against 6.73 % of DBN-3)`."""
    told = []
    for name in tested:
        own = table.cell(name, "SdA-3")
        if not own.bold:
            best = min(_rivals(table, name), key=_error)
            told.append(
                f"{name} ({_error(own):.2f} % against {_error(best):.2f} % of {best.model})"
            )
    return f", not on {', '.join(told)}" if told else ""


def _lower(
    says: str,
    pairs: Sequence[tuple[str, str]],
    table: PaperTable,
    tests: Sequence[Comparison],
) -> Claim:
    """The first model of each pair has a lower error than the second."""
    duels, evidence = _duels(pairs, table, tests)
    if not duels:
        return Claim(says, "not tested here", evidence)
    wins = [d for d in duels if d.ours == "lower"]
    losses = [d for d in duels if d.ours == "higher"]
    expected = [d for d in duels if d.theirs == "lower"]
    if wins and not losses and all(d in wins for d in expected):
        return Claim(says, "holds", evidence)
    if wins:
        return Claim(says, "holds in part", evidence)
    decided = bool(losses or expected)
    return Claim(says, "does not hold" if decided else "not decided here", evidence)


def _comparable(
    says: str, pair: tuple[str, str], table: PaperTable, tests: Sequence[Comparison]
) -> Claim:
    """The first model is not worse than the second, but where it is in the paper too."""
    duels, evidence = _duels((pair,), table, tests)
    if not duels:
        return Claim(says, "not tested here", evidence)
    unexpected = [d for d in duels if d.ours == "higher" and d.theirs != "higher"]
    if not unexpected and any(d.ours != "higher" for d in duels):
        return Claim(says, "holds", evidence)
    worse = all(d.ours == "higher" for d in duels)
    return Claim(says, "does not hold" if worse else "holds in part", evidence)


def _duels(
    pairs: Sequence[tuple[str, str]], table: PaperTable, tests: Sequence[Comparison]
) -> tuple[list[_Duel], str]:
    """The pairs that were run, and all of them in words, with what was not."""
    duels: list[_Duel] = []
    parts = []
    for a, b in pairs:
        own = [
            _duel(table.cell(name, a), table.cell(name, b), tests)
            for name in table.datasets
            if table.cell(name, a).state == table.cell(name, b).state == "done"
        ]
        duels += own
        missing = [d for d in table.datasets if d not in [duel.dataset for duel in own]]
        parts.append(_told(a, b, own, missing, table))
    return duels, "; ".join(parts)


def _told(a: str, b: str, duels: Sequence[_Duel], missing: Sequence[str], table: PaperTable) -> str:
    """One pair in words: on how many data sets, the numbers of each, the paper's count."""
    theirs = [_paper_side(table.cell(d, a), table.cell(d, b)) for d in table.datasets]
    paper = (
        f"in the paper's table lower on {theirs.count('lower')}, higher on "
        f"{theirs.count('higher')} of {len(table.datasets)}"
    )
    if not duels:
        return f"{a} and {b} were run together on no data set ({paper})"
    sides = [duel.ours for duel in duels]
    told = (
        f"{a} against {b}: lower on {sides.count('lower')}, higher on {sides.count('higher')}, "
        f"undecided on {sides.count('undecided')} of {len(duels)}, {paper}: "
        f"{', '.join(duel.evidence for duel in duels)}"
    )
    return f"{told}, not tested on {', '.join(missing)}" if missing else told


def _duel(a: TableCell, b: TableCell, tests: Sequence[Comparison]) -> _Duel:
    """Compare two cells of ours, and the paper's two."""
    own = [_turned(t, a.cell) for t in tests if {t.cell_a, t.cell_b} == {a.cell, b.cell}]
    numbers = f"{a.dataset} {_error(a):.2f} against {_error(b):.2f} %"
    theirs = _paper_side(a, b)
    if not own:
        ours = _by_intervals(_error(a), a.half_width_95, _error(b), b.half_width_95)
        return _Duel(a.dataset, ours, theirs, f"{numbers} ({ours} by intervals)")
    lower = sum(significant and difference < 0 for difference, significant, _ in own)
    higher = sum(significant and difference > 0 for difference, significant, _ in own)
    after_holm = sum(holm <= LEVEL for _, _, holm in own)
    ours = "undecided"
    if lower == len(own) and _error(a) < _error(b):
        ours = "lower"
    elif higher == len(own) and _error(a) > _error(b):
        ours = "higher"
    seeds = f"{len(own)} seed{'s' if len(own) > 1 else ''}"
    sides = [("lower", lower), ("higher", higher)]
    counts = ", ".join(f"{side} in {count}" for side, count in sides if count)
    told = f"{counts} of {seeds}, after Holm {after_holm}" if counts else f"in none of {seeds}"
    return _Duel(a.dataset, ours, theirs, f"{numbers} (p ≤ .05 {told})")


def _turned(test: Comparison, first: str) -> tuple[int, bool, float]:
    """(wrong rows of the first cell minus those of the other, significant, Holm's p)."""
    difference = test.only_a_wrong - test.only_b_wrong
    return (
        difference if test.cell_a == first else -difference,
        test.significant,
        test.p_holm,
    )


def _paper_side(a: TableCell, b: TableCell) -> Side:
    if a.paper is None or b.paper is None:
        return "undecided"
    return _by_intervals(
        a.paper.error_percent,
        a.paper.half_width_95,
        b.paper.error_percent,
        b.paper.half_width_95,
    )


def _by_intervals(a: float, half_a: float | None, b: float, half_b: float | None) -> Side:
    """Where a lies if the intervals do not overlap; in hundredths, as they are printed."""
    between = round(100 * (b - a))
    widths = round(100 * (half_a or 0.0)) + round(100 * (half_b or 0.0))
    if abs(between) <= widths:
        return "undecided"
    return "lower" if between > 0 else "higher"


def _verdicts(table: PaperTable) -> Claim:
    """On how many rows SdA-3 reaches the paper's number."""
    says = "SdA-3 matches the paper's number or is better"
    own = [table.cell(name, "SdA-3") for name in table.datasets]
    compared = [c for c in own if c.state == "done" and c.verdict in ("better", "matches", "worse")]
    missing = [c.dataset for c in own if c not in compared]
    lacking = f"not tested on {', '.join(missing)}" if missing else ""
    if not compared:
        return Claim(says, "not tested here", lacking)
    reached = [c for c in compared if c.verdict != "worse"]
    made = [c.dataset for c in compared if c.regenerated]
    worse = [f"{c.dataset} ({_error(c):.2f} %)" for c in compared if c.verdict == "worse"]
    told = [
        f"in {len(reached)} of {len(table.datasets)} rows, better in "
        f"{sum(c.verdict == 'better' for c in compared)}",
        f"worse on {', '.join(worse)}" if worse else "",
        f"on regenerated data: {', '.join(made)}" if made else "",
        lacking,
    ]
    outcome: Outcome = "holds"
    if worse:
        outcome = "holds in part" if reached else "does not hold"
    return Claim(says, outcome, "; ".join(part for part in told if part))


def _error(cell: TableCell) -> float:
    return 100.0 if cell.error_percent is None else cell.error_percent


def _of(count: int, total: int) -> str:
    return f"{count} of {total} data sets" if total != 1 else f"{count} of 1 data set"


def _but(names: Sequence[str]) -> str:
    return f" (not {', '.join(names)})" if names else ""
