"""The rows of search.csv: one a trial that has ended, with what it was computed with."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

from dae_cli.config.dump import one_line
from dae_cli.config.search_space import Choices, Domain, Value
from dae_cli.csv_rows import csv_text, parse_rows, require_possible, text_of, values_of
from dae_cli.data.dataset import Trust
from dae_cli.study.rows import NUMERICS
from dae_cli.training.version import UNRECORDED

SEARCH_CSV, EARLIER_CSV = "search.csv", "search_earlier.csv"
ROW = "row"
"""The attribute of a trial in the storage that holds its row of search.csv."""

TrialState = Literal["complete", "pruned", "diverged", "failed"]


@dataclass(frozen=True)
class TrialRow:
    """One trial; an empty field is not known. No test row has been counted for any of it."""

    cell: str
    search: str
    """Digest of what is searched: space, settings that are not searched, data, numerics."""
    trial: int
    """From 1, in the order in which trials of the search were begun."""
    sampler: str
    sampler_seed: int
    state: TrialState
    valid_error_percent: float | None = None
    """Of the network that was kept; of a trial that was pruned, of the best until then."""
    valid_wrong: int | None = None
    n_valid: int | None = None
    best_epoch: int | None = None
    """Fine-tuning epoch whose network was kept."""
    epochs: int | None = None
    """Fine-tuning epochs that were run."""
    weights: int | None = None
    """Of the network, without biases."""
    minutes: float | None = None
    dataset: str = ""
    data_origin: str = ""
    trust: Trust = ""
    """How far original data are proven; the column stands in a file where a row has something."""
    data_sha256: str = ""
    seed: int | None = None
    device: str = ""
    engine: str = ""
    versions: str = ""
    commit: str = ""
    numerics: int = UNRECORDED
    """Version of the numerics that computed it; files of earlier versions do not tell."""
    config_sha256: str = ""
    """Of the trial's whole experiment."""
    error: str = ""
    """Why it diverged or failed."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """The searched keys and their values, as an experiment file has them; a column each."""

    def plain(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "settings": dict(self.settings)}

    @property
    def counts(self) -> bool:
        """Whether the trial is one of those that a budget is given in."""
        return self.state in ("complete", "pruned")


_NAMES = [f.name for f in fields(TrialRow) if f.name != "settings"]
_BEFORE = _NAMES[: _NAMES.index("state") + 1]
_AFTER = _NAMES[len(_BEFORE) :]
TRUST = "trust"
_TYPES = {name: get_type_hints(TrialRow)[name] for name in _NAMES}


def as_text(values: Mapping[str, Value]) -> dict[str, str]:
    """Return searched values as an experiment file has them."""
    return {key: one_line(value) for key, value in values.items()}


def from_text(space: Mapping[str, Domain], settings: Mapping[str, str]) -> dict[str, Value] | None:
    """Return the values of a row's settings; None if they are not of this space."""
    if set(settings) != set(space):
        return None
    values: dict[str, Value] = {}
    for key, domain in space.items():
        value = _value(domain, settings[key])
        if value is None:
            return None
        values[key] = value
    return values


def _value(domain: Domain, text: str) -> Value | None:
    if isinstance(domain, Choices):
        return next((value for value in domain.values if one_line(value) == text), None)
    try:
        value = type(domain.low)(text)
    except ValueError:
        return None
    if not domain.low <= value <= domain.high:
        return None
    return value if value == domain.on_step(value) else None


def to_csv(rows: Sequence[TrialRow], without: Collection[str] = ()) -> str:
    """Return CSV text with a header, a column for each key that any of the rows searches."""
    keys = sorted({key for row in rows for key in row.settings})
    left_out = {*without, *([] if any(row.trust for row in rows) else [TRUST])}
    names = [name for name in _AFTER if name not in left_out]
    lines: list[list[object]] = [[*_BEFORE, *keys, *names]]
    for row in rows:
        before = [_cell(name, getattr(row, name)) for name in _BEFORE]
        after = [_cell(name, getattr(row, name)) for name in names]
        lines.append([*before, *(row.settings.get(key, "") for key in keys), *after])
    return csv_text(lines)


def digest_of(rows: Iterable[TrialRow]) -> str:
    """Return the SHA-256 of rows as a search.csv of their own would have them.

    It does not depend on what else is in the file: rows are in the order of their trials, and
    columns are those that these rows have, but for that of the numerics, which came later: each
    row's `search` and `config_sha256` hold it.
    """
    ordered = sorted(rows, key=lambda row: row.trial)
    return hashlib.sha256(to_csv(ordered, without=[NUMERICS]).encode()).hexdigest()


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


def as_written(row: TrialRow) -> TrialRow:
    """Return the row as it is read back from the file, whose percentages have two decimals."""
    return _read(to_csv([row]), "")[0]


def read_csv(path: Path) -> list[TrialRow]:
    """Read the trials of a search.csv; none if there is no such file.

    Raises:
        RunFolderError: the columns or a value are not as dae writes them.
    """
    try:
        text = text_of(path)
    except FileNotFoundError:
        return []
    return _read(text, str(path))


def _read(text: str, where: str) -> list[TrialRow]:
    return parse_rows(text, where, _columns, _row)


def _columns(found: Sequence[str]) -> list[str]:
    after = [name for name in _AFTER if name in found or name not in (TRUST, NUMERICS)]
    return [*_BEFORE, *found[len(_BEFORE) : len(found) - len(after)], *after]


def _row(found: dict[str, str]) -> TrialRow:
    known = {name: text for name, text in found.items() if name in _TYPES}
    settings = {key: text for key, text in found.items() if key not in _TYPES and text}
    values = values_of(_TYPES, known)
    require_possible(values)
    return TrialRow(**values, settings=settings)


def _cell(name: str, value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.1f}" if name == "minutes" else f"{value:.2f}"
    return value
