"""Which of the paper's claims hold in the reproduced table: a sentence each, from its numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dae_cli.study.paper import SVM_NU
from dae_cli.study.tables.comparisons import Comparison
from dae_cli.study.tables.duels import Duel, duels, error_of, paper_sides
from dae_cli.study.tables.paper_table import PaperTable, TableCell

Outcome = Literal[
    "holds",
    "holds where tested",
    "holds in part",
    "does not hold",
    "not decided here",
    "not tested here",
]
Pair = tuple[str, str]


@dataclass(frozen=True)
class Claim:
    """One claim of the paper and what became of it."""

    says: str
    """The claim, such as `Denoising helps: SdA-3 has a lower error than SAA-3`."""
    outcome: Outcome
    evidence: str
    """On how many data sets; ends without a full stop."""
    duels: tuple[Duel, ...] = ()
    """What it rests on, where it is about two models."""


def claims(table: PaperTable, tests: Sequence[Comparison]) -> list[Claim]:
    """Return what becomes of the paper's claims, computed from the table and McNemar's tests.

    A claim holds if it does on every data set on which the paper's own table, read by its
    intervals, shows it, and the contrary on none; *where tested* if some of these were not run.
    Data sets that the paper's table has not (mnist) decide nothing; without any other, no claim.
    """
    theirs = tuple(d for d in table.datasets if any(cell.paper for cell in table.row(d)))
    if not theirs:
        return []
    table = replace(table, datasets=theirs)
    return [
        _in_the_best_group(table),
        _lower(
            "Denoising helps: SdA-3 has a lower error than SAA-3",
            (("SdA-3", "SAA-3"),),
            table,
            tests,
        ),
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
    told = f"here, on {_of(len(ours), len(tested))}{_beaten(table, tested)}"
    whole = [d for d in tested if all(c.counts for c in table.row(d) if c.model != SVM_NU)]
    if len(whole) < len(table.datasets):
        told += f" (compared with every other model on {_of(len(whole), len(table.datasets))})"
    told += f"; {paper}"
    if any(d not in ours for d in tested if d in theirs):
        return Claim(says, "holds in part" if ours else "does not hold", told)
    if not ours:  # run on nothing but what is an exception in the paper as well
        return Claim(says, "not decided here", told)
    return Claim(says, _holds(all(d in whole for d in table.datasets)), told)


def _holds(everywhere: bool) -> Outcome:
    return "holds" if everywhere else "holds where tested"


def _rivals(table: PaperTable, dataset: str) -> list[TableCell]:
    """The other models that count on a data set where SdA-3 does."""
    if not table.cell(dataset, "SdA-3").counts:
        return []
    return [c for c in table.row(dataset) if c.model != "SdA-3" and c.counts]


def _beaten(table: PaperTable, tested: Iterable[str]) -> str:
    """`, not on bg-rand (10.38 % against 6.73 % of DBN-3)`."""
    told = []
    for name in tested:
        own = table.cell(name, "SdA-3")
        if not own.bold:
            best = min(_rivals(table, name), key=error_of)
            told.append(
                f"{name} ({error_of(own):.2f} % against {error_of(best):.2f} % of {best.model})"
            )
    return f", not on {', '.join(told)}" if told else ""


def _lower(
    says: str, pairs: Sequence[Pair], table: PaperTable, tests: Sequence[Comparison]
) -> Claim:
    """The first model of each pair has a lower error than the second."""
    found, evidence = _all_duels(pairs, table, tests)
    if not found:
        return Claim(says, "not tested here", evidence)
    wins = [d for d in found if d.ours == "lower"]
    losses = [d for d in found if d.ours == "higher"]
    expected = [d for d in found if d.theirs == "lower"]
    if wins and not losses and all(d in wins for d in expected):
        shown = sum(side == "lower" for p in pairs for side in paper_sides(p, table).values())
        return Claim(says, _holds(len(expected) == shown), evidence, found)
    if wins:
        return Claim(says, "holds in part", evidence, found)
    decided = bool(losses or expected)
    return Claim(says, "does not hold" if decided else "not decided here", evidence, found)


def _comparable(says: str, pair: Pair, table: PaperTable, tests: Sequence[Comparison]) -> Claim:
    """The first model is not worse than the second, but where it is in the paper too."""
    found, evidence = _all_duels((pair,), table, tests)
    if not found:
        return Claim(says, "not tested here", evidence)
    unexpected = [d for d in found if d.ours == "higher" and d.theirs != "higher"]
    if not unexpected and any(d.ours != "higher" for d in found):
        expected = {name for name, side in paper_sides(pair, table).items() if side != "higher"}
        everywhere = expected <= {d.dataset for d in found}
        return Claim(says, _holds(everywhere), evidence, found)
    if not unexpected:  # nothing but what is an exception in the paper as well
        return Claim(says, "not decided here", evidence, found)
    worse = all(d.ours == "higher" for d in found)
    return Claim(says, "does not hold" if worse else "holds in part", evidence, found)


def _all_duels(
    pairs: Sequence[Pair], table: PaperTable, tests: Sequence[Comparison]
) -> tuple[tuple[Duel, ...], str]:
    """The duels of all pairs, and how they ended, pair by pair."""
    each = {pair: duels(pair, table, tests) for pair in pairs}
    told = "; ".join(_told(pair, own, table) for pair, own in each.items())
    return tuple(duel for own in each.values() for duel in own), told


def _told(pair: Pair, own: Sequence[Duel], table: PaperTable) -> str:
    """On how many data sets which of two models has the lower error, here and in the paper."""
    a, b = pair
    theirs = list(paper_sides(pair, table).values())
    paper = (
        f"in the paper's table lower on {theirs.count('lower')}, higher on "
        f"{theirs.count('higher')} of {len(table.datasets)}"
    )
    if not own:
        return f"{a} and {b} are compared on no data set ({paper})"
    sides = [duel.ours for duel in own]
    return (
        f"{a} against {b} lower on {sides.count('lower')}, higher on {sides.count('higher')}, "
        f"undecided on {sides.count('undecided')} of {_sets(len(own))} ({paper})"
    )


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
    marked: dict[str, list[str]] = {}
    for c in compared:
        marked.setdefault(c.data_mark, []).append(c.dataset)
    worse = [f"{c.dataset} ({error_of(c):.2f} %)" for c in compared if c.verdict == "worse"]
    told = [
        f"in {len(reached)} of {len(table.datasets)} rows, better in "
        f"{sum(c.verdict == 'better' for c in compared)}",
        f"worse on {', '.join(worse)}" if worse else "",
        *(f"on {mark}: {', '.join(sets)}" for mark, sets in marked.items() if mark),
        lacking,
    ]
    outcome = _holds(not missing)
    if worse:
        outcome = "holds in part" if reached else "does not hold"
    return Claim(says, outcome, "; ".join(part for part in told if part))


def _of(count: int, total: int) -> str:
    return f"{count} of {_sets(total)}"


def _sets(count: int) -> str:
    return f"{count} data set{'' if count == 1 else 's'}"


def _but(names: Sequence[str]) -> str:
    return f" (not {', '.join(names)})" if names else ""
