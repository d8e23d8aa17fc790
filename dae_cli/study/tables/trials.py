"""Trials of a study's searches: search.csv, and which trial is selected."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from dae_cli.config.dump import one_line
from dae_cli.config.search_space import Choices, Domain, Value
from dae_cli.csvfile import rows_to_csv
from dae_cli.study.rows import NUMERICS, TrialRow

SEARCH_CSV, EARLIER_CSV = "search.csv", "search_earlier.csv"


def settings_text(values: Mapping[str, Value]) -> dict[str, str]:
    """Return searched values in the notation of experiment files."""
    return {key: one_line(value) for key, value in values.items()}


def settings_values(space: Mapping[str, Domain], settings: Mapping[str, str]) -> dict[str, Value]:
    """Return the values of a row's settings; raise ValueError if they are not in this space."""
    if set(settings) != set(space):
        raise ValueError(f"the keys differ from {', '.join(space)}")
    return {key: _value(domain, settings[key]) for key, domain in space.items()}


def _value(domain: Domain, text: str) -> Value:
    if isinstance(domain, Choices):
        return domain.values[[one_line(value) for value in domain.values].index(text)]
    value = type(domain.low)(text)
    if not domain.low <= value <= domain.high or value != domain.on_step(value):
        raise ValueError(f"{text} is not in the range")
    return value


def digest_of(rows: Iterable[TrialRow]) -> str:
    """Return the SHA-256 of the rows as the text of a search.csv, sorted by trial.

    The column `numerics`, added later, is left out; `search` and `config_sha256` cover it.
    """
    ordered = sorted(rows, key=lambda row: row.trial)
    return hashlib.sha256(rows_to_csv(ordered, TrialRow, [NUMERICS]).encode()).hexdigest()


def best(rows: Iterable[TrialRow]) -> TrialRow | None:
    """Return the selected trial, or None if no trial was completed.

    It has the fewest wrong validation rows; ties go to the fewest weights, then to the fewest
    epochs of fine-tuning, then to the lowest number. Pruned trials are never selected.
    """
    complete = [row for row in rows if row.state == "complete" and row.valid_wrong is not None]
    return min(
        complete,
        key=lambda row: (row.valid_wrong, row.weights or 0, row.epochs or 0, row.trial),
        default=None,
    )


def tally(rows: Sequence[TrialRow]) -> str:
    """Return `24 (5 pruned, 1 diverged)`: the number of trials, and of those not completed."""
    states = [row.state for row in rows]
    named = ("pruned", "diverged", "failed")
    others = [f"{states.count(name)} {name}" for name in named if name in states]
    return f"{len(rows)} ({', '.join(others)})" if others else str(len(rows))
