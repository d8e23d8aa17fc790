"""Results as text: aligned columns, the table with the paper's numbers, the summary of a run."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from dae_cli.csvfile import column_texts
from dae_cli.study.paper import CALIBRATED
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.tables import cells
from dae_cli.study.tables.cells import data_mark, origin

if TYPE_CHECKING:
    from dae_cli.study.plan import Lacking

DASH = "-"


def as_json(value: object) -> str:
    """Return JSON as every command prints it, with paths as text."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def row_facts(row: RunRow | TableRow) -> dict[str, object]:
    """Return a row for JSON, its numbers with as many decimals as in the CSV files."""
    texts, facts = column_texts(row), dict[str, object]()
    for name, value in asdict(row).items():
        if name == "settings":
            facts |= setting_values(value)
        else:
            facts[name] = float(texts[name]) if isinstance(value, float) else value
    return facts


def setting_values(settings: Mapping[str, str]) -> dict[str, object]:
    """Return settings for JSON: numbers, lists and booleans as such; null if empty."""
    return {key: setting_value(text) for key, text in settings.items()}


def setting_value(text: str) -> object:
    """Return the value of a setting for JSON."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


def columns(rows: Sequence[Sequence[str]], gaps: Sequence[int] = ()) -> list[str]:
    """Return rows as aligned lines; `gaps` are the spaces after each column (default 2)."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [w + g for w, g in zip(widths, [*gaps, *[2] * len(widths)], strict=False)]
    return [
        "".join(f"{cell:<{width}}" for cell, width in zip(row, padded, strict=True)).rstrip()
        for row in rows
    ]


def cut(lines: Sequence[str]) -> list[str]:
    """Return the lines, cut at the width of the terminal if stdout is one."""
    if not sys.stdout.isatty():
        return list(lines)
    width = shutil.get_terminal_size().columns
    return [line if len(line) <= width else f"{line[: width - 1]}…" for line in lines]


def results(rows: Sequence[TableRow], changed: Collection[str] = ()) -> list[str]:
    """Return the table ours | paper | gap | verdict; `changed` are cells with changed settings."""
    width = max((len(f"{row.destruction_percent:g}") for row in rows), default=0)
    lines: list[tuple[str, ...]] = [
        (cells.heading(rows), "destruction", "ours", "paper", "gap", "verdict")
    ]
    for name, row in zip(cells.names(rows, changed), rows, strict=True):
        level = f"{row.destruction_percent:>{width}g} %"
        comparison = (cells.paper(row, DASH), cells.gap(row, DASH), cells.verdict(row))
        lines.append((name, level, cells.ours(row, DASH), *comparison))
    if rows and all(row.data_origin == "own" for row in rows):  # no paper to compare with
        lines = [line[:3] for line in lines]
    return columns(lines, (3, 3, 4, 4, 2))


def not_run(lacking: Sequence[Lacking]) -> list[str]:
    """Return a line for each reason why data are not available, with the cells not run."""
    lines = []
    for why in dict.fromkeys(one.why for one in lacking):
        alike = [one for one in lacking if one.why == why]
        left_out = ", ".join(cell for one in alike for cell in one.cells)
        sets = ", ".join(one.dataset for one in alike)
        lines.append(f"not run: {left_out} (no data for {sets}): {why}")
    return lines


def minutes(value: float | None) -> str:
    """Return a duration such as 24 min, 3.1 min or 40 s."""
    if value is None:
        return DASH
    if value < 1:
        return f"{round(60 * value)} s"
    return f"{value:.1f} min" if value < 9.95 else f"{value:.0f} min"


def interval(error: float | None, half_width: float | None) -> str:
    """Return `17.43 ± 0.33`, in percent, or a dash."""
    return cells.interval(error, half_width, DASH)


def run_summary(row: RunRow, measures: Sequence[tuple[str, str]] = ()) -> list[str]:
    """Return the result of a finished run, line by line; `measures` are those of its filters."""
    took = [("took", minutes(row.minutes))] if row.minutes is not None else []
    if row.n_test is None:  # trained for its filters, so there is no test error
        return columns([*measures, ("data", row.dataset), *took], [3])
    error = f"{interval(row.test_error_percent, row.half_width_95)} %"
    if row.n_wrong is not None:
        error += f" ({row.n_wrong:,} of {row.n_test:,} rows wrong)"
    if row.remark:
        error += f"; at chance: {row.remark}"
    lines = [("test error", error)]
    if row.paper_error_percent is not None:
        number = interval(row.paper_error_percent, row.paper_half_width_95)
        verdict = {"matches": "matches", CALIBRATED: "is calibrated to it"}
        paper = f"{number} % ({row.paper_model}): ours "
        paper += verdict.get(row.verdict, f"is {row.verdict}")
        paper += f" ({mark})" if (mark := data_mark(row)) else ""
        lines.append(("paper", paper))
    elif row.data_origin != "own":
        lines.append(("paper", "no reference"))
    return columns([*lines, ("data", f"{row.dataset}, {origin(row)}"), *took], [3])
