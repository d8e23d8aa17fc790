"""The `search` section of a study.yaml: which settings of which cells are searched, and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field

from dae_cli.config.messages import (
    KeyPath,
    Problem,
    errors_of,
    kind_of_value,
    known_keys,
    path_label,
    problems_with,
)
from dae_cli.config.reader import Document
from dae_cli.config.schema import MOST_LAYERS, LayerWidth, Settings, SettingsFile, expects
from dae_cli.errors import did_you_mean

UNITS, LAYERS = "units", "layers"
"""Keys of a space that together make model.hidden: so many layers of so many units each."""
_NEVER = {
    "dataset": "a cell is of one data set",
    "seed": "a seed is no setting to be selected",
    "model.hidden": f"search {UNITS} (of each hidden layer) and {LAYERS} (their number)",
    "subset": "all rows count",
    "svm": "an SVM selects within its own run",
    "patches": "what is trained for its filters alone has no error to select by",
    "rows": "what is trained for its filters alone has no error to select by",
}
"""By dotted key or section."""
_FORMS = "{low: …, high: …} with log: true or step: …, or {choices: […]}"
_WHOLE, _NUMBER = "a whole number", "a number"

Value = str | int | float | bool


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`, both included; whole ones if both are whole."""

    low: int | float
    high: int | float
    log: bool = False
    """Drawn evenly on a logarithmic scale."""
    step: int | float | None = None
    """Only low, low + step, …, high."""

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values that a range must be legal at."""
        return (self.low, self.high)

    def on_step(self, value: float) -> float:
        """Return the nearest of low, low + step, …, with no more digits than it has."""
        if self.step is None:
            return value
        first, apart = Decimal(repr(self.low)), Decimal(repr(self.step))
        return float(first + round((Decimal(value) - first) / apart) * apart)


@dataclass(frozen=True)
class Choices:
    """A few values, in no order."""

    values: tuple[Value, ...]

    @property
    def ends(self) -> tuple[Value, ...]:
        """Every one of them must be legal."""
        return self.values


Domain = Range | Choices
"""What a searched setting may be."""


class DomainSettings(Settings):
    """A range or a few values, as a file has them; the searched setting says which are allowed."""

    model_config = ConfigDict(json_schema_extra=expects(f"a range: {_FORMS}"))

    low: Any = None
    high: Any = None
    log: bool = False
    step: Any = None
    choices: tuple[Any, ...] = Field(
        (), min_length=1, strict=False, json_schema_extra=expects("a list of values")
    )

    def domain(self, key: str) -> Domain:
        """The domain of a searched setting, whose numbers are of the setting's type."""
        values = [*(self.choices or (self.low, self.high, self.step))]
        if kind_of_value(_searched_keys()[key]) == _NUMBER:
            values = [None if value is None else float(value) for value in values]
        if self.choices:
            return Choices(tuple(values))
        low, high, step = values
        return Range(low, high, self.log, step)


class PruneSettings(Settings):
    """When a trial is given up: its best validation error so far is above the median's.

    The median is that of the completed trials at the same epoch of fine-tuning.
    """

    after_trials: int = Field(5, ge=1)
    """Completed trials that there must be, of the cell and at the epoch."""
    from_epoch: int = Field(10, ge=1)
    """The first epoch of fine-tuning that can be the last."""


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_ONE = "a cell's name or glob such as convex-*"
_Glob = Annotated[str, Field(min_length=1, json_schema_extra=expects(_ONE))]


class Search(Settings):
    """One item of the section: what is searched in some cells."""

    cells: Annotated[tuple[_Glob, ...], BeforeValidator(_listed)] = Field(
        min_length=1, strict=False, json_schema_extra=expects(f"{_ONE}, or a list of them")
    )
    """Globs over the names of the study's cells."""
    space: dict[str, DomainSettings] = Field(
        min_length=1, json_schema_extra=expects(f"a mapping of dotted keys to ranges: {_FORMS}")
    )
    trials: Annotated[int, Field(ge=1)] = 0
    """That each cell is to have, unless the command says; 0 where the study does not say."""
    sampler_seed: int = Field(0, ge=0)
    """That draws start from, unless the command says."""
    prune: PruneSettings = PruneSettings()

    @property
    def domains(self) -> dict[str, Domain]:
        """What each searched setting may be."""
        return {key: entry.domain(key) for key, entry in self.space.items()}


class _Layers(Settings):
    """What is searched in place of `model.hidden`."""

    model_config = ConfigDict(json_schema_extra={"partial": True})

    units: LayerWidth
    layers: Annotated[int, Field(ge=1, le=MOST_LAYERS)]


@cache
def _searched_keys() -> dict[str, dict[str, Any]]:
    """The keys that a space may have, each with the schema of one of its values."""
    known = {**known_keys(_Layers), **known_keys(SettingsFile)}
    return {
        key: node
        for key, node in known.items()
        if node.get("type") != "object" and not {key, key.partition(".")[0]} & _NEVER.keys()
    }


def space_problems(document: Document) -> Iterator[tuple[KeyPath, Problem]]:
    """What is wrong with the ranges of a study.yaml for the settings that they are of."""
    for number, _ in document.items(("search",)):
        for key, given in document.items(("search", number, "space")):
            path: KeyPath = ("search", number, "space", key)
            known = {k: v for k, v in document.items(path) if k in DomainSettings.model_fields}
            if isinstance(given, dict) and not errors_of(DomainSettings, known):
                entry = DomainSettings.model_validate(known)
                yield from ((path, problem) for problem in _wrong_entry(document, path, entry))


def _wrong_entry(document: Document, path: KeyPath, entry: DomainSettings) -> Iterator[Problem]:
    """What is wrong with a range whose keys are right."""
    key, known = str(path[-1]), _searched_keys()
    kind = kind_of_value(known[key]) if key in known else ""
    if reason := _NEVER.get(key) or _NEVER.get(key.partition(".")[0]):
        yield document.problem(path, f"cannot be searched: {reason}")
    elif not kind:
        near = did_you_mean(key, known) or f"; the keys are {', '.join(known)}"
        yield document.problem(path, f"unknown key{near}")
    elif not entry.choices and kind not in (_WHOLE, _NUMBER):
        text = f"is {kind}, no range of numbers: give choices: […]"
        yield document.problem(path, text)
    elif wrong := list(_wrong_values(document, path, entry)):
        yield from wrong
    else:
        for step, text in _contradictions(key, kind, entry):
            yield document.problem((*path, *step), text)


def _wrong_values(document: Document, path: KeyPath, entry: DomainSettings) -> Iterator[Problem]:
    """What the searched setting has against the values of a range."""
    key = str(path[-1])
    model = _Layers if key in (UNITS, LAYERS) else SettingsFile
    steps: list[KeyPath] = [(end,) for end in ("low", "high") if end in entry.model_fields_set]
    if entry.choices:
        steps = [("choices", k) for k in range(len(entry.choices))]
    for step in steps:
        above = f"{path_label(path[:-1])}."
        value = document.part((*path, *step), tuple(key.split(".")), above)
        yield from problems_with(model, value)


def _contradictions(key: str, kind: str, entry: DomainSettings) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong with sound values together, at which of their keys."""
    if entry.choices:
        for other in sorted(entry.model_fields_set - {"choices"}):
            yield (other,), "unknown key beside choices; give one of the two"
        if len(set(entry.domain(key).ends)) < len(entry.choices):
            yield ("choices",), "has the same value twice"
        return
    missing = [end for end in ("low", "high") if getattr(entry, end) is None]
    for end in missing:
        yield (), f"has no {end}; write {_FORMS}"
    low, high, step = entry.low, entry.high, entry.step
    fits = isinstance(step, int if kind == _WHOLE else int | float)
    if "step" in entry.model_fields_set and (not fits or isinstance(step, bool) or step <= 0):
        yield ("step",), f"must be {kind} above 0"
    elif missing:
        return
    elif low >= high:
        yield (), "low must be below high; a setting of one value belongs into the cell's file"
    elif entry.log and step is not None:
        yield (), "has both log and step; choose one"
    elif entry.log and low <= 0:
        yield (), "low must be above 0 on a logarithmic scale"
    elif step is not None:
        steps = (high - low) / step
        if abs(steps - round(steps)) > 1e-9 * max(1.0, steps) or round(steps) < 1:
            yield (), "high must be low and a whole number of steps"
