"""How the settings of a study were selected: its trials, and the values that they tried."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dae_cli.csvfile import read_rows
from dae_cli.errors import RunFolderError, plain
from dae_cli.study.rows import TrialRow
from dae_cli.study.tables.cells import UNVERIFIED
from dae_cli.study.tables.trials import EARLIER_CSV, SEARCH_CSV, best

SELECTION, TRIED_VALUES = "Selection", "The values that were tried"
SELECTED = """\
Trials of `dae search`, which counts validation rows alone; every one is a row of `search.csv`.
Selected was the completed trial with the fewest wrong validation rows, among equals the smallest
network, then the fewest epochs. Of the sampler *tpe* the first ten trials of a cell are drawn at
random. *Earlier trials* are of searches with another space or pruning, other settings that were
not searched, or other numerics: what was selected does not rest on them, and `search_earlier.csv`
has them. The trials of an SVM, whose grid is part of its run, are counted under *Every run*."""
TRYING = """\
The settings that were searched, with each value that a trial of the cell had, **bold** that of the
selected trial; what is not named is in *Settings*. A setting with one value was no question in the
last search of its cell."""
MOST_VALUES = 8
"""Of one setting; of more, the lowest, the selected and the highest are told."""


@dataclass(frozen=True)
class Trials:
    """What the files of a study's searches hold."""

    selecting: Sequence[TrialRow] = ()
    """The rows of search.csv, which the settings rest on."""
    earlier: Sequence[TrialRow] = ()
    """Those of search_earlier.csv."""
    unreadable: str = ""
    """Why one of the files is not as dae writes it; of neither is anything told then."""


def trials_of(out: Path) -> Trials:
    """Read the trials in a folder of results, none where there was no search."""
    try:
        selecting, earlier = (read_rows(out / f, TrialRow) for f in (SEARCH_CSV, EARLIER_CSV))
        return Trials(selecting, earlier)
    except RunFolderError as error:
        return Trials(unreadable=plain(str(error).removeprefix(f"{out}/")))


def selection_markdown(trials: Trials) -> str:
    """Return how many trials each cell's settings were selected from; empty without any.

    Beside them those of earlier searches, which the settings do not rest on.
    """
    if trials.unreadable:
        return f"Not told: {trials.unreadable}"
    if not trials.selecting:
        return ""
    lines = [
        "| cell | sampler | trials | complete | pruned | failed | minutes "
        "| earlier trials | minutes |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    mixed = len({trial.numerics for trial in trials.selecting}) > 1
    names = list(dict.fromkeys(trial.cell for trial in [*trials.selecting, *trials.earlier]))
    for name in names:
        own, before = (
            [trial for trial in rows if trial.cell == name]
            for rows in (trials.selecting, trials.earlier)
        )
        marks = [UNVERIFIED] if any(trial.trust == "unverified" for trial in own) else []
        marks += [f"numerics {n}" for n in sorted({t.numerics for t in own})] if mixed else []
        shown = f"{name} ({', '.join(marks)})" if marks else name
        lines.append(_trials_line(shown, own, before))
    if len(names) > 1:
        lines.append(_trials_line("all", trials.selecting, trials.earlier))
    return "\n".join(lines)


def _trials_line(name: str, trials: Sequence[TrialRow], earlier: Sequence[TrialRow]) -> str:
    states = [trial.state for trial in trials]
    complete, pruned = states.count("complete"), states.count("pruned")
    failed = len(states) - complete - pruned
    samplers = " ".join(dict.fromkeys(trial.sampler for trial in trials))
    counts = f"{len(trials)} | {complete} | {pruned} | {failed} | {_minutes_of(trials):.0f}"
    return f"| {name} | {samplers} | {counts} | {len(earlier)} | {_minutes_of(earlier):.0f} |"


def _minutes_of(trials: Sequence[TrialRow]) -> float:
    return sum(trial.minutes or 0.0 for trial in trials)


def tried_values_markdown(trials: Sequence[TrialRow]) -> str:
    """Return the values that each cell's settings were selected from, the selected ones in bold.

    Empty where no trial was completed.
    """
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
