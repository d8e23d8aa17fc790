"""Table 1 and what follows from it, in Markdown: the first part of the report of a whole table."""

from __future__ import annotations

from collections.abc import Sequence

from dae_cli.study.paper import MARKS, PaperNumber
from dae_cli.study.rows import RunComparison
from dae_cli.study.tables.cells import NOTHING, interval
from dae_cli.study.tables.claims import COLUMNS, PaperClaim, comparison_rows
from dae_cli.study.tables.paper_table import PaperTable, TableCell

TABLE, CLAIMS = "Table 1, ours over the paper's", "Which of the paper's claims hold here"
COMPARISONS = "The claims, data set by data set"
PAIRS = "The same test rows, pair by pair"

READING = """\
Test errors in percent, with intervals p ± 1.96 · sqrt(p (1 − p) / n); of several seeds the mean,
with the standard deviation over the seeds (sd) beside the interval of a single run. **Bold** by
the paper's rule, for ours and for the paper's line by itself: the best model of a row, and every
model whose interval overlaps the best one's; a *calibrated* cell takes no part. SdA-3 is given
with its destruction ν, selected on validation rows. Trials and core hours (h) are those of the
search that selected the settings, of an SVM those of its own run. *not run*: the study has this
cell, but no run of it; – : it has no such cell."""

CLAIMING = """\
A claim *holds* if it does on every data set on which the paper's own table, read by its intervals,
shows it, and the contrary on none; *where tested*, if on some of these data sets a model was not
run or is *calibrated*, which does not count; *in part*, if it does on some that were."""

COMPARING = """\
One model has a lower error than another on a data set if its mean over the seeds is lower and
McNemar's test on the same test rows says so at 5 % for every seed that both have; where those rows
are not known, if their intervals do not overlap, as the paper's table is read throughout."""

PAIRING = """\
McNemar's test on the same test rows, for each seed that two cells have (an SVM has one run for all
seeds): how many rows one of them alone gets wrong. Exact binomial where fewer than 25 rows tell,
else χ² with continuity correction. *Holm*: how many stay at p ≤ .05 when the p-values of a data
set are adjusted for their number. Pairs with an SdA; all of them, seed by seed, are in
`mcnemar.csv`."""


def table_markdown(table: PaperTable) -> str:
    """Return the table, a few lines a cell: ours, the verdict, the search, the paper's."""
    headings = [column.heading for column in table.columns]
    lines = [f"| | {' | '.join(headings)} |", f"|---|{'---|' * len(headings)}"]
    for name in table.datasets:
        row = table.row(name)
        done = [cell for cell in row if cell.state == "done"]
        common = _common_mark([cell.data_mark for cell in done])
        label = f"{name}<br>({common})" if common else name
        shown = [_cell(cell, "" if common else cell.data_mark) for cell in row]
        lines.append(f"| {label} | {' | '.join(shown)} |")
    return "\n".join(lines)


def _common_mark(marks: Sequence[str]) -> str:
    """The mark that all of some cells have; empty where they differ."""
    return marks[0] if len(set(marks)) == 1 else ""


def _cell(cell: TableCell, mark: str) -> str:
    lines = [_ours(cell)]
    if cell.state == "done":
        verdict = "not compared" if cell.verdict == "no reference" else cell.verdict
        lines.append(f"*{verdict}*{f' ({mark})' if mark else ''}")
        lines += [cell.search_summary] if cell.search_summary else []
    lines.append(f"paper: {_paper(cell.paper, cell.paper_bold)}")
    return "<br>".join(lines)


def _ours(cell: TableCell) -> str:
    """`[**17.43 ± 0.33**](#run) (sd 0.12, 3 seeds), ν 25 %`."""
    if cell.state != "done":
        link = cell.state == "failed" and cell.run
        text = NOTHING if cell.state == "no cell" else cell.state
        return f"[{text}](#{cell.run})" if link else text
    text = interval(cell.error_percent, cell.half_width_95)
    text = f"**{text}**" if cell.bold else text
    text = f"[{text}](#{cell.run})" if cell.run else text
    if cell.sd_over_seeds is not None:
        text += f" (sd {cell.sd_over_seeds:.2f}, {cell.seeds} seeds)"
    if cell.destruction_percent is not None:
        text += f", ν {cell.destruction_percent:g} %"
    return text


def _paper(number: PaperNumber | None, bold: bool) -> str:
    if number is None:
        return NOTHING
    text = interval(number.error_percent, number.half_width_95)
    text = f"**{text}**" if bold else text
    text += MARKS.get(number.certainty, "")
    level = number.destruction_percent
    return f"{text}, ν {level:g} %" if level else text


def not_shown(table: PaperTable) -> str:
    """Say where the study has more cells of a model and data set than the table can show."""
    several = [c for c in table.cells if c.others and c.state != "not run"]
    if not several:
        return ""
    names = ", ".join(f"{c.cell} ({c.others} more)" for c in several)
    return f"Of several cells, the table has the one with the lowest validation error: {names}."


def claims_markdown(found: Sequence[PaperClaim]) -> str:
    """Return the claims, one sentence each."""
    return "\n".join(f"- {claim.says}: **{claim.outcome}**; {claim.evidence}." for claim in found)


def comparisons_markdown(found: Sequence[PaperClaim]) -> str:
    """Return a row for every two models and data set that a claim rests on; empty if none."""
    lines = comparison_rows(found)
    if not lines:
        return ""
    head, rule = f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"
    return "\n".join([head, rule, *(f"| {' | '.join(line)} |" for line in lines)])


def pairs_markdown(tests: Sequence[RunComparison]) -> str:
    """Return a row for every two cells of which one is an SdA; empty if there is none."""
    pairs: dict[tuple[str, str], list[RunComparison]] = {}
    for test in tests:
        if test.model_a.startswith("SdA-") or test.model_b.startswith("SdA-"):
            pairs.setdefault((test.cell_a, test.cell_b), []).append(test)
    if not pairs:
        return ""
    lines = [
        "| a | b | seeds | error of a | error of b | only a wrong | only b wrong | p | p ≤ .05 "
        "| Holm |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [_pair(own) for own in pairs.values()]
    return "\n".join(lines)


def _pair(own: Sequence[RunComparison]) -> str:
    def each(numbers: Sequence[str]) -> str:
        return numbers[0] if len(set(numbers)) == 1 else " / ".join(numbers)

    cells = [
        f"{own[0].cell_a} ({own[0].model_a})",
        f"{own[0].cell_b} ({own[0].model_b})",
        " ".join(str(test.seed) for test in own),
        each([f"{test.error_a_percent:.2f}" for test in own]),
        each([f"{test.error_b_percent:.2f}" for test in own]),
        each([str(test.only_a_wrong) for test in own]),
        each([str(test.only_b_wrong) for test in own]),
        each([f"{test.p_value:.2g}" if test.p_value else "< 1e-300" for test in own]),
        f"{sum(test.significant for test in own)} of {len(own)}",
        f"{sum(test.p_holm <= 0.05 for test in own)} of {len(own)}",
    ]
    return f"| {' | '.join(cells)} |"
