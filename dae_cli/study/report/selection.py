"""How the settings of a study were selected: its trials, and the values that they tried."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from dae_cli.errors import RunFolderError, plain
from dae_cli.study.tables.trial_rows import EARLIER_CSV, SEARCH_CSV, TrialRow, best, read_csv

SELECTION, TRIED_VALUES = "Selection", "The values that were tried"
SELECTED = """\
Trials of `dae search`, which counts validation rows alone; every one is a row of `search.csv`.
Selected was the completed trial with the fewest wrong validation rows, among equals the smallest
network, then the fewest epochs. Of the sampler *tpe* the first ten trials of a cell are drawn at
random. *Earlier trials* are of searches with another space or pruning, or other settings that were
not searched: what was selected does not rest on them, and `search_earlier.csv` has them. The
trials of an SVM, whose grid is part of its run, are counted under *Every run*."""
TRYING = """\
The settings that were searched, with each value that a trial of the cell had, **bold** that of the
selected trial; what is not named is in *Settings*. A setting with one value was no question in the
last search of its cell."""
MOST_VALUES = 8
"""Of one setting; of more, the lowest, the selected and the highest are told."""


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


def tried_values_markdown(out: Path) -> str:
    """Return the values that each cell's settings were selected from, the selected ones in bold.

    Empty without trials, or where search.csv is not as dae writes it.
    """
    try:
        trials = read_csv(out / SEARCH_CSV)
    except RunFolderError:
        return ""
    lines = []
    for name in dict.fromkeys(trial.cell for trial in trials):
        own = [trial for trial in trials if trial.cell == name]
        chosen = best(own)
        if chosen is not None:
            values = "; ".join(_tried(key, own, chosen.settings[key]) for key in chosen.settings)
            lines.append(f"| {name} | {chosen.valid_error_percent:.2f} | {values} |")
    if not lines:
        return ""
    return "\n".join(["| cell | validation error | values |", "|---|---:|---|", *lines])


def _tried(key: str, trials: Iterable[TrialRow], selected: str) -> str:
    """Tell one setting: `pretrain.epochs` 100, **150**."""
    values = {trial.settings[key] for trial in trials if key in trial.settings}
    ordered = sorted(values, key=_by_size)
    told = ", ".join(f"**{value}**" if value == selected else value for value in ordered)
    if len(ordered) > MOST_VALUES:
        told = f"{ordered[0]} to {ordered[-1]}, **{selected}**"
    return f"`{key}` {told}"


def _by_size(value: str) -> tuple[float, str]:
    """Numbers by size, words after them."""
    try:
        return float(value), value
    except ValueError:
        return float("inf"), value
