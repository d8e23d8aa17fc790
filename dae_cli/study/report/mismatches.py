"""What does not match the paper, and what was tried."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from dae_cli.errors import plain
from dae_cli.study.rows import TableRow
from dae_cli.study.tables import cells
from dae_cli.study.tables.cells import data_mark
from dae_cli.study.verdict import CALIBRATED

MISMATCHES, TRIED_MD = "What does not match, and what we tried", "tried.md"
TRIED, FENCE = "### What we tried", "```"
MOST_BYTES = 200_000
"""Of tried.md; what is longer is cut."""


def mismatches_markdown(table: Sequence[TableRow], changed: Collection[str]) -> str:
    """Return the cells that are worse than the paper's, then those that are better."""
    parts = []
    for verdict in ("worse", "better"):
        own = [row for row in table if row.verdict == verdict]
        if own:
            lines = [
                f"| {verdict} than the paper | model | ours | paper | gap | |",
                "|---|---|---:|---:|---:|---|",
                *(_line(row, changed) for row in own),
            ]
            parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _line(row: TableRow, changed: Collection[str]) -> str:
    return (
        f"| {cells.named(row.cell, changed)} | {row.model} | {cells.ours(row)} "
        f"| {cells.paper_marked(row)} | {cells.gap(row)} | {data_mark(row)} |"
    )


def mismatches_told(table: Sequence[TableRow]) -> str:
    """Say how many cells were compared, and how many of them do not match."""
    compared = [row for row in table if row.verdict in ("better", "matches", "worse")]
    if not compared:
        return "No cell of this study is compared with a number of the paper."
    counts = {v: sum(row.verdict == v for row in compared) for v in ("worse", "better", "matches")}
    told = (
        f"Cells that are compared with the paper: {len(compared)}; worse: {counts['worse']}, "
        f"better: {counts['better']}, matching: {counts['matches']}."
    )
    calibrated = [row.cell for row in table if row.verdict == CALIBRATED]
    return f"{told} Calibrated, so not counted: {', '.join(calibrated)}." if calibrated else told


def tried_markdown(study_folder: Path) -> str:
    """Return the text of the study's tried.md, its headings below those of the report.

    People write that file: what was tried where a cell does not match. Empty if there is none.
    """
    try:
        with (study_folder / TRIED_MD).open("rb") as file:
            text = file.read(MOST_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return ""
    lines, fenced = [], False
    for line in plain(text.replace("\r\n", "\n").replace("\t", "    ")).split("\n"):
        fenced ^= line.lstrip().startswith(FENCE)
        is_heading = line.startswith("#") and not fenced
        level = len(line) - len(line.lstrip("#"))
        lines.append("#" * min(6, level + 3) + line.lstrip("#") if is_heading else line)
    return "\n".join([*lines, *([FENCE] if fenced else [])]).strip()


def tried_before(report: Path) -> str:
    """Return the text of tried.md as a report has it, where the study's folder is not here."""
    try:
        text = report.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    lines, fenced = [], False
    for line in text.partition(f"\n{TRIED}\n")[2].split("\n"):
        fenced ^= line.lstrip().startswith(FENCE)
        if line.startswith("## ") and not fenced:
            break
        lines.append(line)
    return "\n".join(lines).strip()
