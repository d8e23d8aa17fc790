"""The `search` section of a study.yaml: cells, the settings to search in them, and their ranges."""

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
"""Keys of a space that define model.hidden: units per layer, and the number of layers."""
_NEVER = {
    "dataset": "each cell has one data set",
    "seed": "a seed is not a hyperparameter",
    "model.hidden": f"search {UNITS} (per hidden layer) and {LAYERS} (their number) instead",
    "subset": "the number of rows is not a hyperparameter",
    "svm": "an SVM selects its settings in its own run",
    "patches": "experiments on filters have no validation error",
    "rows": "experiments on filters have no validation error",
}
"""Reasons why keys and sections cannot be searched."""
_FORMS = "{low: …, high: …} with log: true or step: …, or {choices: […]}"
_WHOLE, _NUMBER = "a whole number", "a number"

Value = str | int | float | bool


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`, both included; only integers if both are integers."""

    low: int | float
    high: int | float
    log: bool = False
    """Whether values are uniform on a logarithmic scale."""
    step: int | float | None = None
    """If set, only low, low + step, …, high."""

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values at which the setting is checked."""
        return (self.low, self.high)

    def on_step(self, value: float) -> float:
        """Return the nearest of low, low + step, …, without rounding errors in its digits."""
        if self.step is None:
            return value
        first, apart = Decimal(repr(self.low)), Decimal(repr(self.step))
        return float(first + round((Decimal(value) - first) / apart) * apart)


@dataclass(frozen=True)
class Choices:
    """A set of values without an order."""

    values: tuple[Value, ...]

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values at which the setting is checked: all of them."""
        return self.values


Domain = Range | Choices
"""The possible values of a searched setting."""


class DomainSettings(Settings):
    """A range or choices in a file; the searched setting's own schema checks their values."""

    model_config = ConfigDict(json_schema_extra=expects(f"a range: {_FORMS}"))

    low: Any = None
    high: Any = None
    log: bool = False
    step: Any = None
    choices: tuple[Any, ...] = Field(
        (), min_length=1, strict=False, json_schema_extra=expects("a list of values")
    )

    def domain(self, key: str) -> Domain:
        """Return the domain of a searched setting, with numbers of the setting's type."""
        values = [*(self.choices or (self.low, self.high, self.step))]
        if kind_of_value(_searched_keys()[key]) == _NUMBER:
            values = [None if value is None else float(value) for value in values]
        if self.choices:
            return Choices(tuple(values))
        low, high, step = values
        return Range(low, high, self.log, step)


class PruneSettings(Settings):
    """When to prune a trial: if its best validation error so far is above the median.

    The median is over the completed trials at the same epoch of fine-tuning.
    """

    after_trials: int = Field(5, ge=1)
    """Minimum number of completed trials of the cell that reached the epoch."""
    from_epoch: int = Field(10, ge=1)
    """First epoch of fine-tuning at which a trial can be pruned."""


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_ONE = "a cell's name or a glob such as convex-*"
_Glob = Annotated[str, Field(min_length=1, json_schema_extra=expects(_ONE))]


class Search(Settings):
    """One item of the section: some cells and their search space."""

    cells: Annotated[tuple[_Glob, ...], BeforeValidator(_listed)] = Field(
        min_length=1, strict=False, json_schema_extra=expects(f"{_ONE}, or a list of them")
    )
    """Names of cells, or globs that match them."""
    space: dict[str, DomainSettings] = Field(
        min_length=1, json_schema_extra=expects(f"a mapping of dotted keys to ranges: {_FORMS}")
    )
    trials: Annotated[int, Field(ge=1)] = 0
    """Number of trials per cell, unless the command sets it; 0 if not set here."""
    sampler_seed: int = Field(0, ge=0)
    """Seed of the sampler, unless the command sets it."""
    prune: PruneSettings = PruneSettings()

    @property
    def domains(self) -> dict[str, Domain]:
        """The domain of each searched setting."""
        return {key: entry.domain(key) for key, entry in self.space.items()}


class _Layers(Settings):
    """The keys that are searched instead of `model.hidden`."""

    model_config = ConfigDict(json_schema_extra={"partial": True})

    units: LayerWidth
    layers: Annotated[int, Field(ge=1, le=MOST_LAYERS)]


@cache
def _searched_keys() -> dict[str, dict[str, Any]]:
    """Return the keys that a space can have, each with the schema of its values."""
    known = {**known_keys(_Layers), **known_keys(SettingsFile)}
    return {
        key: node
        for key, node in known.items()
        if node.get("type") != "object" and not {key, key.partition(".")[0]} & _NEVER.keys()
    }


def space_problems(document: Document) -> Iterator[tuple[KeyPath, Problem]]:
    """Report ranges in a study.yaml that do not fit their settings."""
    for number, _ in document.items(("search",)):
        for key, given in document.items(("search", number, "space")):
            path: KeyPath = ("search", number, "space", key)
            known = {k: v for k, v in document.items(path) if k in DomainSettings.model_fields}
            if isinstance(given, dict) and not errors_of(DomainSettings, known):
                entry = DomainSettings.model_validate(known)
                yield from ((path, problem) for problem in _wrong_entry(document, path, entry))


def _wrong_entry(document: Document, path: KeyPath, entry: DomainSettings) -> Iterator[Problem]:
    """Report problems of a range that has valid keys."""
    key, known = str(path[-1]), _searched_keys()
    kind = kind_of_value(known[key]) if key in known else ""
    if reason := _NEVER.get(key) or _NEVER.get(key.partition(".")[0]):
        yield document.problem(path, f"cannot be searched: {reason}")
    elif not kind:
        near = did_you_mean(key, known) or f"; the keys are {', '.join(known)}"
        yield document.problem(path, f"unknown key{near}")
    elif not entry.choices and kind not in (_WHOLE, _NUMBER):
        text = f"must be {kind}, so it cannot have a range; write choices: […]"
        yield document.problem(path, text)
    elif wrong := list(_wrong_values(document, path, entry)):
        yield from wrong
    else:
        for step, text in _contradictions(key, kind, entry):
            yield document.problem((*path, *step), text)


def _wrong_values(document: Document, path: KeyPath, entry: DomainSettings) -> Iterator[Problem]:
    """Report values of a range that are invalid for the searched setting."""
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
    """Yield keys of a range whose values are valid alone but not together, with the reason."""
    if entry.choices:
        for other in sorted(entry.model_fields_set - {"choices"}):
            yield (other,), "cannot be combined with choices; remove one of the two"
        if len(set(entry.domain(key).ends)) < len(entry.choices):
            yield ("choices",), "contains the same value twice"
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
        yield (), "low must be below high; write a single value into the cell's file instead"
    elif entry.log and step is not None:
        yield (), "has both log and step; choose one"
    elif entry.log and low <= 0:
        yield (), "low must be above 0 on a logarithmic scale"
    elif step is not None:
        steps = (high - low) / step
        if abs(steps - round(steps)) > 1e-9 * max(1.0, steps) or round(steps) < 1:
            yield (), "high must be low plus a whole number of steps"
