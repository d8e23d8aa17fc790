"""What does not match the paper, what was tried, and how the settings were selected."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dae_cli.errors import plain
from dae_cli.study import cells
from dae_cli.study.origin import is_made_anew
from dae_cli.study.rows import TableRow

MISMATCHES, SELECTION = "What does not match, and what we tried", "Selection"
TRIED_MD, SEARCH_CSV, EARLIER_CSV = "tried.md", "search.csv", "search_earlier.csv"
MOST_BYTES = 200_000
"""Of tried.md; what is longer is cut."""


def mismatches_markdown(table: Sequence[TableRow]) -> str:
    """Return the cells that are worse than the paper's, then those that are better."""
    parts = []
    for verdict in ("worse", "better"):
        own = [row for row in table if row.verdict == verdict]
        if own:
            lines = [
                f"| {verdict} than the paper | model | ours | paper | gap | |",
                "|---|---|---:|---:|---:|---|",
                *(_line(row) for row in own),
            ]
            parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _line(row: TableRow) -> str:
    mark = cells.REGENERATED if is_made_anew(row) else ""
    return (
        f"| {row.cell} | {row.model} | {cells.ours(row)} | {cells.paper(row)} | {cells.gap(row)} "
        f"| {mark} |"
    )


def mismatches_told(table: Sequence[TableRow]) -> str:
    """Say how many cells were compared, and how many of them do not match."""
    compared = [row for row in table if row.verdict in ("better", "matches", "worse")]
    if not compared:
        return "No cell of this study is compared with a number of the paper."
    counts = {v: sum(row.verdict == v for row in compared) for v in ("worse", "better", "matches")}
    return (
        f"Cells that are compared with the paper: {len(compared)}; worse: {counts['worse']}, "
        f"better: {counts['better']}, matching: {counts['matches']}."
    )


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
        fenced ^= line.lstrip().startswith("```")
        is_heading = line.startswith("#") and not fenced
        level = len(line) - len(line.lstrip("#"))
        lines.append("#" * min(6, level + 3) + line.lstrip("#") if is_heading else line)
    return "\n".join([*lines, *(["```"] if fenced else [])]).strip()


def selection_markdown(out: Path) -> str:
    """Return how many trials each cell's settings were selected from; empty without search.csv.

    Beside them those of earlier searches, which the settings do not rest on. Only the columns
    `cell`, `sampler`, `state` and `minutes` are looked at, as far as they are there.
    """
    trials, earlier = _trials(out / SEARCH_CSV), _trials(out / EARLIER_CSV)
    if not trials:
        return ""
    lines = [
        "| cell | sampler | trials | complete | pruned | failed or unfinished | minutes "
        "| earlier trials | minutes |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    names = list(dict.fromkeys(trial.get("cell", "") for trial in [*trials, *earlier]))
    for name in names:
        own, before = ([t for t in rows if t.get("cell", "") == name] for rows in (trials, earlier))
        lines.append(_trials_line(name, own, before))
    if len(names) > 1:
        lines.append(_trials_line("all", trials, earlier))
    return "\n".join(lines)


def _trials_line(
    name: str, trials: Sequence[dict[str, str]], earlier: Sequence[dict[str, str]]
) -> str:
    states = [trial.get("state", "").strip().lower() for trial in trials]
    complete = sum(state in ("complete", "completed", "done") for state in states)
    pruned = sum(state == "pruned" for state in states)
    other = len(trials) - complete - pruned
    samplers = " ".join(dict.fromkeys(trial.get("sampler", "") for trial in trials))
    counts = f"{len(trials)} | {complete} | {pruned} | {other} | {_minutes_of(trials):.0f}"
    return f"| {name} | {samplers} | {counts} | {len(earlier)} | {_minutes_of(earlier):.0f} |"


def _minutes_of(trials: Sequence[dict[str, str]]) -> float:
    return sum(_minutes(trial.get("minutes", "")) for trial in trials)


def _minutes(text: str) -> float:
    with suppress(ValueError):
        value = float(text)
        return value if 0 <= value < 1e9 else 0.0
    return 0.0


def _trials(path: Path) -> list[dict[str, str]]:
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return []
    with suppress(csv.Error):
        rows = [*csv.DictReader(plain(text).splitlines(), restval="", restkey="more")]
        return [{k: v for k, v in row.items() if isinstance(v, str)} for row in rows]
    return []
