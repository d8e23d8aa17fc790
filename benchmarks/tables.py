"""The Markdown tables of RESULTS.md and docs/performance.md, made from a run's figures."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from benchmarks import parts
from benchmarks.bars import (
    Bar,
    bars,
    best_peer,
    limit,
    plan_of,
    shares,
)
from benchmarks.figures import Table, ratios
from benchmarks.plan import PROFILE, SGEMM, ours


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a column whose head ends with a colon is aligned to the right."""
    names = [name.rstrip(":") for name in head]
    rules = ["---:" if name.endswith(":") else "---" for name in head]
    lines = [names, rules, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bar_table(table: Table) -> str:
    """Every bar: what was reached, in the median and over the rounds, and the verdict."""
    head = ("measure", "bar:", "aim:", "median:", "rounds from … to:", "rounds:", "")
    return markdown(head, [_bar_row(bar) for bar in bars(table)])


def _bar_row(bar: Bar) -> tuple[str, ...]:
    sign = "≤" if bar.at_most else "≥"
    bound, aim = f"{sign} {_with_unit(bar.bound, bar)}", ""
    if bar.aim is not None:
        aim = _with_unit(bar.aim, bar) + (" (reached)" if bar.aim_reached else "")
    verdict = bar.verdict if bar.verdict == "met" else f"**{bar.verdict}**"
    if bar.reached is None:
        return bar.what, bound, aim, "", "", "", verdict
    median = _with_unit(bar.reached, bar)
    return bar.what, bound, aim, median, _range(bar.values), str(len(bar.values)), verdict


def _with_unit(value: float, bar: Bar) -> str:
    digits = {"times": f"{value:.2f}", "%": f"{value:.1f} %", "MiB": f"{value:.0f} MiB"}
    return digits[bar.unit].replace(".0 %", " %") if value == bar.bound else digits[bar.unit]


def _range(values: Sequence[float]) -> str:
    return f"{short(min(values))} … {short(max(values))}" if len(values) > 1 else ""


def short(number: float) -> str:
    """Return a number with three digits, or all before the point."""
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:#.3g}".rstrip(".")


def epoch_table(table: Table, measure: str, operations: float) -> str:
    """Contenders of a measure: seconds an epoch, against ours, and of sgemm.

    Args:
        table: a run's figures.
        measure: an epoch of pretraining or of fine-tuning.
        operations: of its products.
    """
    own = table.get(measure, ours(table.about.engine))
    lowest = limit(table, measure, operations)
    rows = []
    for figure in [*table.of(measure), *([lowest] if lowest else [])]:
        if figure.unit != "s":
            continue
        if not figure.values:
            rows.append((figure.contender, figure.note, "", "", ""))
            continue
        mark = {own: "**", lowest: "*"}.get(figure, "")
        times = f"{statistics.median(ratios(figure, own)):.2f}" if own else ""
        share = statistics.median(ratios(lowest, figure)) if lowest else float("nan")
        name = f"{mark}{figure.contender}{mark}"
        range_ = _range(figure.values)
        rows.append((name, short(figure.median), range_, times, f"{100 * share:.0f} %"))
    head = ("contender", "seconds an epoch:", "rounds from … to:", "times ours:", "of sgemm:")
    return markdown(head, rows)


def headroom(table: Table, measure: str, operations: float) -> str:
    """One sentence on how much faster than the best peer anything could be."""
    peer, lowest = best_peer(table, measure), limit(table, measure, operations)
    if peer is None or lowest is None:
        return ""
    times = statistics.median(ratios(peer, lowest))
    return (
        f"With the products alone, at the rate of the best sgemm, an epoch would be {times:.2f} "
        f"times as fast as {peer.contender} here."
    )


def plain_table(table: Table, measure: str, first: str) -> str:
    """Contenders of any measure as they are."""
    rows = []
    for figure in table.of(measure):
        if figure.values:
            reached = f"{short(figure.median)} {figure.unit}", _range(figure.values)
        else:
            reached = figure.note, ""
        rows.append((figure.contender, *reached, str(len(figure.values)), figure.threads))
    return markdown((first, "median:", "rounds from … to:", "rounds:", "threads"), rows)


def sgemm_line(table: Table, measure: str) -> str:
    """One line on what each library's sgemm reached in the rounds of a measure."""
    figures = [figure for name in SGEMM if (figure := table.get(measure, name))]
    rates = ", ".join(f"{f.contender.split(', ')[1]} {f.median:.0f}" for f in figures)
    return f"sgemm in the same rounds, GFLOP/s: {rates}." if figures else ""


def profile_table(table: Table) -> str:
    """The parts of a pretraining step: of the step, and for products of sgemm."""
    plan, step = plan_of(table), table.get(PROFILE, parts.STEP)
    single = parts.operations(plan.inputs, plan.units, parts.BATCH) / 5
    rows = []
    for figure in table.of(PROFILE):
        if figure.unit != "µs" or step is None:
            continue
        share = 100 * statistics.median(ratios(figure, step))
        count = 5 if figure is step else parts.PRODUCTS.get(figure.contender, 0)
        of_peak = shares(table, PROFILE, figure.contender, count * single) if count else ()
        rate = f"{count * single / figure.median / 1e3:.0f}" if count else ""
        reached = f"{statistics.median(of_peak):.0f} %" if of_peak else ""
        name = f"**{figure.contender}**" if figure is step else figure.contender
        rows.append((name, short(figure.median), f"{share:.1f} %", rate, reached))
    head = ("part", "µs a step:", "of the step:", "GFLOP/s:", "of sgemm:")
    return markdown(head, rows)


def growth_table(table: Table, measure: str, first: str) -> str:
    """Seconds against a size, and how much more than the size before it."""
    rows, before = [], None
    for figure in table.of(measure):
        x = float(figure.contender)
        more = ("", "")
        if before is not None:
            more = f"{x / float(before.contender):.2f}", f"{figure.median / before.median:.2f}"
        rows.append((figure.contender, short(figure.median), *more))
        before = figure
    return markdown((first, "seconds:", "size, times the one before:", "time, likewise:"), rows)


def workers_table(table: Table, measure: str) -> str:
    """Steps a second of so many workers, and against one."""
    one = table.get(measure, "1")
    rows = []
    for figure in table.of(measure):
        times = statistics.median(ratios(figure, one)) if one else float("nan")
        rows.append((figure.contender, short(figure.median), f"{times:.2f}"))
    return markdown(("workers", "steps a second, all together:", "times one worker:"), rows)
