"""How the settings of a study were selected: its trials, and the values that they tried."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dae_cli.csvfile import read_rows
from dae_cli.errors import RunFolderError, plain
from dae_cli.study.rows import TrialRow
from dae_cli.study.tables.cells import UNVERIFIED
from dae_cli.study.tables.trials import EARLIER_CSV, SEARCH_CSV, best

MOST_VALUES = 8
"""Of one setting; of more, the lowest, the selected and the highest are shown."""


class TrialCounts(NamedTuple):
    """The trials of one cell, or of all."""

    cell: str
    trials: Sequence[TrialRow]
    earlier: Sequence[TrialRow]

    @property
    def samplers(self) -> str:
        """What drew the settings."""
        return " ".join(dict.fromkeys(trial.sampler for trial in self.trials))

    @property
    def states(self) -> tuple[int, int, int]:
        """How many were completed, were pruned, and failed."""
        states = [trial.state for trial in self.trials]
        complete, pruned = states.count("complete"), states.count("pruned")
        return complete, pruned, len(states) - complete - pruned

    @property
    def minutes(self) -> tuple[float, float]:
        """That the trials took, and the earlier ones."""
        each = (sum(t.minutes or 0.0 for t in trials) for trials in (self.trials, self.earlier))
        return next(each), next(each)


class TriedValues(NamedTuple):
    """The values that the trials of a cell had, and those selected."""

    cell: str
    selected: TrialRow
    settings: Sequence[tuple[str, Sequence[str], str]]
    """Key, values in their order, the selected one."""


@dataclass(frozen=True)
class Trials:
    """What the files of a study's searches hold."""

    selecting: Sequence[TrialRow] = ()
    """The rows of search.csv, which the settings rest on."""
    earlier: Sequence[TrialRow] = ()
    """Those of search_earlier.csv."""
    unreadable: str = ""
    """Why one of the files is not as dae writes it; then nothing is shown of either."""

    @property
    def counts(self) -> list[TrialCounts]:
        """The trials of each cell, and of all together; none where nothing was searched."""
        if not self.selecting:
            return []
        mixed = len({trial.numerics for trial in self.selecting}) > 1
        counts = []
        for name in dict.fromkeys(trial.cell for trial in [*self.selecting, *self.earlier]):
            own = [trial for trial in self.selecting if trial.cell == name]
            before = [trial for trial in self.earlier if trial.cell == name]
            marks = [UNVERIFIED] if any(trial.trust == "unverified" for trial in own) else []
            marks += [f"numerics {n}" for n in sorted({t.numerics for t in own})] if mixed else []
            counts.append(
                TrialCounts(f"{name} ({', '.join(marks)})" if marks else name, own, before)
            )
        if len(counts) > 1:
            counts.append(TrialCounts("all", self.selecting, self.earlier))
        return counts

    @property
    def values(self) -> list[TriedValues]:
        """What each cell's settings were selected from; none where no trial was completed."""
        values = []
        for name in dict.fromkeys(trial.cell for trial in self.selecting):
            own = [trial for trial in self.selecting if trial.cell == name]
            if (selected := best(own)) is not None:
                settings = [(k, _values_of(k, own), v) for k, v in selected.settings.items()]
                values.append(TriedValues(name, selected, settings))
        return values


def read_trials(out: Path) -> Trials:
    """Read the trials in a folder of results, none where there was no search."""
    try:
        selecting, earlier = (read_rows(out / f, TrialRow) for f in (SEARCH_CSV, EARLIER_CSV))
        return Trials(selecting, earlier)
    except RunFolderError as error:
        return Trials(unreadable=plain(str(error).removeprefix(f"{out}/")))


def _values_of(key: str, trials: Iterable[TrialRow]) -> list[str]:
    """Every value of a setting: numbers by size, words after them."""

    def by_size(value: str) -> tuple[float, str]:
        try:
            return float(value), value
        except ValueError:
            return float("inf"), value

    return sorted({trial.settings[key] for trial in trials if key in trial.settings}, key=by_size)
