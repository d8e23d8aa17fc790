"""The trials of a study's searches: search.csv, and which trial is selected."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from dae_cli.config.dump import one_line
from dae_cli.config.search_space import Choices, Domain, Value
from dae_cli.csvfile import rows_to_csv
from dae_cli.study.rows import NUMERICS, TrialRow

SEARCH_CSV, EARLIER_CSV = "search.csv", "search_earlier.csv"


def settings_text(values: Mapping[str, Value]) -> dict[str, str]:
    """Return searched values as an experiment file has them."""
    return {key: one_line(value) for key, value in values.items()}


def settings_values(
    space: Mapping[str, Domain], settings: Mapping[str, str]
) -> dict[str, Value] | None:
    """Return the values of a row's settings; None if they are not of this space."""
    if set(settings) != set(space):
        return None
    values = {key: _value(domain, settings[key]) for key, domain in space.items()}
    known = {key: value for key, value in values.items() if value is not None}
    return known if len(known) == len(space) else None


def _value(domain: Domain, text: str) -> Value | None:
    if isinstance(domain, Choices):
        return next((value for value in domain.values if one_line(value) == text), None)
    try:
        value = type(domain.low)(text)
    except ValueError:
        return None
    within = domain.low <= value <= domain.high
    return value if within and value == domain.on_step(value) else None


def digest_of(rows: Iterable[TrialRow]) -> str:
    """Return the SHA-256 of rows as a search.csv of their own would have them.

    It does not depend on what else is in the file: rows are in the order of their trials, and
    columns are those that these rows have, but for that of the numerics, which came later: each
    row's `search` and `config_sha256` hold it.
    """
    ordered = sorted(rows, key=lambda row: row.trial)
    return hashlib.sha256(rows_to_csv(ordered, TrialRow, [NUMERICS]).encode()).hexdigest()


def best(rows: Iterable[TrialRow]) -> TrialRow | None:
    """Return the trial that is selected; None where none was completed.

    The fewest wrong validation rows; among equals the fewest weights, then the fewest epochs of
    fine-tuning, then the lowest number. A trial that was pruned is not selected.
    """
    complete = [row for row in rows if row.state == "complete" and row.valid_wrong is not None]
    return min(
        complete,
        key=lambda row: (row.valid_wrong, row.weights or 0, row.epochs or 0, row.trial),
        default=None,
    )


def tally(rows: Sequence[TrialRow]) -> str:
    """Return `24 (5 pruned, 1 diverged)`: how many trials, and what became of them."""
    states = [row.state for row in rows]
    named = ("pruned", "diverged", "failed")
    others = [f"{states.count(name)} {name}" for name in named if name in states]
    return f"{len(rows)} ({', '.join(others)})" if others else str(len(rows))
