"""Results as text: columns that fit the width there is, and the words of one run."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from dae_cli.study.tables import cells
from dae_cli.study.tables.cells import data_mark, origin
from dae_cli.study.verdict import CALIBRATED

if TYPE_CHECKING:
    from dae_cli.study.plan import Lacking
    from dae_cli.study.rows import RunRow, TableRow

DASH = "-"
_WIDE_GAPS = (3, 3, 4, 4, 2)


def text_width() -> int | None:
    """Columns of stdout: the terminal's or COLUMNS; None where lines may be as long as needed."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return max(20, shutil.get_terminal_size().columns)
    return None


def columns(rows: Sequence[Sequence[str]], gaps: Sequence[int] = ()) -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell, then its gap (default 2)."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [w + g for w, g in zip(widths, [*gaps, *[2] * len(widths)], strict=False)]
    return [
        "".join(f"{cell:<{width}}" for cell, width in zip(row, padded, strict=True)).rstrip()
        for row in rows
    ]


def results(
    rows: Sequence[TableRow], width: int | None = None, changed: Collection[str] = ()
) -> list[str]:
    """The table ours | paper | gap | verdict, in the widest form that fits `width`.

    Cells in `changed` are not what their files say.
    """
    if all(row.data_origin == "own" for row in rows):  # there is nothing to compare with
        return columns([line[:3] for line in _with_header(rows, False, changed)], _WIDE_GAPS)
    full = columns(_with_header(rows, False, changed), _WIDE_GAPS)
    if _fits(full, width):
        return full
    short = columns(_with_header(rows, True, changed))
    if any(line.endswith(" *") for line in short):
        short.append(f"* on {' or '.join(sorted({data_mark(row) for row in rows} - {''}))}")
    return short if _fits(short, width) else _stacked(rows, changed)


def not_run(lacking: Sequence[Lacking]) -> list[str]:
    """A line for each reason why data cannot be had, with the cells that were left out for it."""
    lines = []
    for why in dict.fromkeys(one.why for one in lacking):
        alike = [one for one in lacking if one.why == why]
        cells = ", ".join(cell for one in alike for cell in one.cells)
        sets = ", ".join(one.dataset for one in alike)
        lines.append(f"not run: {cells}, for want of {sets}: {why}")
    return lines


def minutes(value: float | None) -> str:
    """A duration for people: 24 min, 3.1 min, 40 s."""
    if value is None:
        return "-"
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
    known = [("test error", f"{interval(row.test_error_percent, row.half_width_95)} %")]
    if row.n_wrong is not None and row.n_test is not None:
        known[0] = ("test error", f"{known[0][1]} ({row.n_wrong:,} of {row.n_test:,} rows wrong)")
    paper = "no reference"
    if row.paper_error_percent is not None:
        number = interval(row.paper_error_percent, row.paper_half_width_95)
        paper = f"{number} % ({row.paper_model}): ours {_says(row.verdict)}"
        paper += f" ({mark})" if (mark := data_mark(row)) else ""
    if row.data_origin != "own":
        known.append(("paper", paper))
    known.append(("data", f"{row.dataset}, {origin(row)}"))
    if row.minutes is not None:
        known.append(("took", minutes(row.minutes)))
    return columns(known, [3])


def _says(verdict: str) -> str:
    return {"matches": "matches", CALIBRATED: "is calibrated to it"}.get(verdict, f"is {verdict}")


def _fits(lines: Sequence[str], width: int | None) -> bool:
    return width is None or max(map(len, lines)) <= width


def _with_header(
    rows: Sequence[TableRow], short: bool, changed: Collection[str]
) -> list[tuple[str, ...]]:
    names, destroyed = cells.names(rows, changed), _destroyed(rows)
    header = (cells.heading(rows), "destruction", "ours", "paper", "gap", "verdict")
    body = [
        (
            name,
            level,
            cells.ours(row, DASH),
            cells.paper(row, DASH),
            cells.gap(row, DASH),
            cells.verdict(row, short),
        )
        for name, level, row in zip(names, destroyed, rows, strict=True)
    ]
    return [header, *body]


def _destroyed(rows: Sequence[TableRow]) -> list[str]:
    numbers = [f"{row.destruction_percent:g}" for row in rows]
    width = max(map(len, numbers), default=0)
    return [f"{number:>{width}} %" for number in numbers]


def _stacked(rows: Sequence[TableRow], changed: Collection[str]) -> list[str]:
    """Three short lines a row, for narrow terminals."""
    lines = []
    for name, level, row in zip(cells.names(rows, changed), _destroyed(rows), rows, strict=True):
        lines.append(f"{name}, {level.strip()}: {cells.verdict(row)}")
        lines.append(f"  ours   {cells.ours(row, DASH)}")
        if row.paper_error_percent is not None:
            lines.append(f"  paper  {cells.paper(row)}, gap {cells.gap(row, DASH)}")
    return lines
