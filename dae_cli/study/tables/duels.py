"""Two models of table 1 against each other, data set by data set: ours, and the paper's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dae_cli.study.tables.cells import NOTHING
from dae_cli.study.tables.comparisons import Comparison
from dae_cli.study.tables.mcnemar import LEVEL
from dae_cli.study.tables.paper_table import PaperTable, TableCell
from dae_cli.study.verdict import Side, side_of

COLUMNS = ("models", "data set", "errors in %", "hidden units", "here", "decided by", "the paper")
"""What `duels_told` tells of each; *here* and *the paper*: where the first model lies."""


@dataclass(frozen=True)
class Duel:
    """Two models that were both run on a data set."""

    a: TableCell
    b: TableCell
    ours: Side
    """Where the error of a lies."""
    theirs: Side
    """The same in the paper's table, by its intervals."""
    test: str
    """How ours was decided."""

    @property
    def dataset(self) -> str:
        """The data set of both."""
        return self.a.dataset


def duels(
    pair: tuple[str, str], table: PaperTable, tests: Sequence[Comparison]
) -> tuple[Duel, ...]:
    """Compare two models on every data set where both are done, and neither is calibrated.

    The first has a lower error than the second if its mean over the seeds is lower and McNemar's
    test says so at 5 % for every seed that both have; where the test rows of the runs are not
    known, if their intervals do not overlap.
    """
    cells = [(table.cell(d, pair[0]), table.cell(d, pair[1])) for d in table.datasets]
    return tuple(_duel(a, b, tests) for a, b in cells if a.counts and b.counts)


def paper_sides(pair: tuple[str, str], table: PaperTable) -> dict[str, Side]:
    """Return where the first model lies in the paper's table, by data set."""
    return {d: _paper_side(table.cell(d, pair[0]), table.cell(d, pair[1])) for d in table.datasets}


def duels_told(found: Iterable[Duel]) -> list[tuple[str, ...]]:
    """Return a line for each duel, in words by COLUMNS; none twice."""
    return [
        (
            f"{duel.a.model}, {duel.b.model}",
            duel.dataset,
            f"{error_of(duel.a):.2f}, {error_of(duel.b):.2f}",
            _units(duel.a.units, duel.b.units),
            duel.ours,
            duel.test,
            duel.theirs,
        )
        for duel in dict.fromkeys(found)
    ]


def _units(a: str, b: str) -> str:
    return a if a == b else f"{a or NOTHING}, {b or NOTHING}"


def error_of(cell: TableCell) -> float:
    """The error in percent; that of a cell without one is 100."""
    return 100.0 if cell.error_percent is None else cell.error_percent


def _duel(a: TableCell, b: TableCell, tests: Sequence[Comparison]) -> Duel:
    own = [_turned(t, a.cell) for t in tests if {t.cell_a, t.cell_b} == {a.cell, b.cell}]
    theirs = _paper_side(a, b)
    if not own:
        ours = side_of(error_of(a), a.half_width_95 or 0.0, error_of(b), b.half_width_95 or 0.0)
        return Duel(a, b, ours, theirs, "intervals")
    lower = sum(significant and difference < 0 for difference, significant, _ in own)
    higher = sum(significant and difference > 0 for difference, significant, _ in own)
    ours = "undecided"
    if lower == len(own) and error_of(a) < error_of(b):
        ours = "lower"
    elif higher == len(own) and error_of(a) > error_of(b):
        ours = "higher"
    seeds = f"{len(own)} seed{'s' if len(own) > 1 else ''}"
    counts = [f"{side} in {n}" for side, n in (("lower", lower), ("higher", higher)) if n]
    if not counts:
        return Duel(a, b, ours, theirs, f"p ≤ .05 in none of {seeds}")
    after_holm = sum(holm <= LEVEL for _, _, holm in own)
    test = f"p ≤ .05 {', '.join(counts)} of {seeds}, after Holm in {after_holm}"
    return Duel(a, b, ours, theirs, test)


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
    return side_of(
        a.paper.error_percent,
        a.paper.half_width_95,
        b.paper.error_percent,
        b.paper.half_width_95,
    )
