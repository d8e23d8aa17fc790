"""Results as text: aligned columns, the table beside the paper's, and what one run came to."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Collection, Sequence
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
_WIDE_GAPS = (3, 3, 4, 4, 2)


def as_json(value: object) -> str:
    """JSON as every command prints it."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def row_facts(row: RunRow | TableRow) -> dict[str, object]:
    """A row for JSON, its numbers with the decimals that the CSV files have."""
    texts = column_texts(row)
    return {
        name: float(texts[name]) if isinstance(value, float) else value
        for name, value in asdict(row).items()
    }


def text_width() -> int | None:
    """Columns of stdout: the terminal's or COLUMNS; None where lines may be as long as needed."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return max(20, shutil.get_terminal_size().columns)
    return None


def fits(lines: Sequence[str]) -> bool:
    """Whether no line is longer than stdout is wide."""
    width = text_width()
    return width is None or max(map(len, lines)) <= width


def columns(rows: Sequence[Sequence[str]], gaps: Sequence[int] = ()) -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell, then its gap (default 2)."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [w + g for w, g in zip(widths, [*gaps, *[2] * len(widths)], strict=False)]
    return [
        "".join(f"{cell:<{width}}" for cell, width in zip(row, padded, strict=True)).rstrip()
        for row in rows
    ]


def results(rows: Sequence[TableRow], changed: Collection[str] = ()) -> list[str]:
    """The table ours | paper | gap | verdict; a shorter form where it does not fit stdout.

    Cells in `changed` are marked as not what their files say.
    """
    if rows and all(row.data_origin == "own" for row in rows):  # there is nothing to compare with
        return columns([line[:3] for line in _with_header(rows, False, changed)], _WIDE_GAPS)
    full = columns(_with_header(rows, False, changed), _WIDE_GAPS)
    if fits(full):
        return full
    short = columns(_with_header(rows, True, changed))
    if any(line.endswith(" *") for line in short):
        short.append(f"* on {' or '.join(sorted({data_mark(row) for row in rows} - {''}))}")
    return short


def _with_header(
    rows: Sequence[TableRow], short: bool, changed: Collection[str]
) -> list[tuple[str, ...]]:
    levels = [f"{row.destruction_percent:g}" for row in rows]
    width = max(map(len, levels), default=0)
    header = (cells.heading(rows), "destruction", "ours", "paper", "gap", "verdict")
    return [
        header,
        *(
            (
                name,
                f"{level:>{width}} %",
                cells.ours(row, DASH),
                cells.paper(row, DASH),
                cells.gap(row, DASH),
                cells.verdict(row, short),
            )
            for name, level, row in zip(cells.names(rows, changed), levels, rows, strict=True)
        ),
    ]


def not_run(lacking: Sequence[Lacking]) -> list[str]:
    """A line for each reason why data are not available, with the cells left out for it."""
    lines = []
    for why in dict.fromkeys(one.why for one in lacking):
        alike = [one for one in lacking if one.why == why]
        left_out = ", ".join(cell for one in alike for cell in one.cells)
        sets = ", ".join(one.dataset for one in alike)
        lines.append(f"not run: {left_out}, for want of {sets}: {why}")
    return lines


def minutes(value: float | None) -> str:
    """A duration for people: 24 min, 3.1 min, 40 s."""
    if value is None:
        return DASH
    if value < 1:
        return f"{round(60 * value)} s"
    return f"{value:.1f} min" if value < 9.95 else f"{value:.0f} min"


def interval(error: float | None, half_width: float | None) -> str:
    """`17.43 ± 0.33`, in percent; - where there is no number."""
    return cells.interval(error, half_width, DASH)


def run_summary(row: RunRow) -> list[str]:
    """What one finished run came to, line by line."""
    if row.n_test is None:  # trained for its filters: there is no error
        return columns([("data", row.dataset), ("took", minutes(row.minutes))], [3])
    error = f"{interval(row.test_error_percent, row.half_width_95)} %"
    if row.n_wrong is not None:
        error += f" ({row.n_wrong:,} of {row.n_test:,} rows wrong)"
    if row.remark:
        error += f"; at chance: {row.remark}"
    paper = "no reference"
    if row.paper_error_percent is not None:
        number = interval(row.paper_error_percent, row.paper_half_width_95)
        verdict = {"matches": "matches", CALIBRATED: "is calibrated to it"}
        paper = f"{number} % ({row.paper_model}): ours "
        paper += verdict.get(row.verdict, f"is {row.verdict}")
        paper += f" ({mark})" if (mark := data_mark(row)) else ""
    lines = [("test error", error), ("paper", paper), ("data", f"{row.dataset}, {origin(row)}")]
    if row.data_origin == "own":
        del lines[1]
    if row.minutes is not None:
        lines.append(("took", minutes(row.minutes)))
    return columns(lines, [3])
