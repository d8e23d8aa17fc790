"""The `search` section of a study.yaml: which settings of which cells are searched, and where.

A list; each item names cells by globs, the ranges of dotted keys, how many
trials each cell is to have, drawn from which seed, and when they are pruned:

    search:
      - cells: convex-*
        space:
          units: {low: 500, high: 3000, step: 500}
          layers: {choices: [1, 2, 3]}
          pretrain.learning_rate: {low: 0.005, high: 0.2, log: true}
        trials: 8
        sampler_seed: 0
        prune: {after_trials: 5, from_epoch: 10}
"""

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
    did_you_mean,
    errors_of,
    kind_of_value,
    known_keys,
    problems_with,
)
from dae_cli.config.reader import Document
from dae_cli.config.schema import MOST_LAYERS, LayerWidth, Settings, SettingsFile

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

    model_config = ConfigDict(json_schema_extra={"expected": f"a range: {_FORMS}"})

    low: Any = None
    high: Any = None
    log: bool = False
    step: Any = None
    choices: Annotated[
        tuple[Any, ...],
        Field(min_length=1, strict=False, json_schema_extra={"expected": "a list of values"}),
    ] = ()

    def domain(self, key: str) -> Domain:
        """The domain of a searched setting, whose numbers are of the setting's type."""
        number = float if kind_of_value(_searched_keys()[key]) == _NUMBER else _as_it_is
        if self.choices:
            return Choices(tuple(number(value) for value in self.choices))
        step = None if self.step is None else number(self.step)
        return Range(number(self.low), number(self.high), self.log, step)


class PruneSettings(Settings):
    """When a trial is given up: its best validation error so far is above the median's.

    The median is that of the completed trials at the same epoch of fine-tuning.
    """

    after_trials: Annotated[int, Field(ge=1)] = 5
    """Completed trials that there must be, of the cell and at the epoch."""
    from_epoch: Annotated[int, Field(ge=1)] = 10
    """The first epoch of fine-tuning that can be the last."""


_Glob = Annotated[
    str,
    Field(
        min_length=1,
        json_schema_extra={"expected": "a cell's name or glob such as convex-*"},
    ),
]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Search(Settings):
    """One item of the section: what is searched in some cells."""

    cells: Annotated[
        tuple[_Glob, ...],
        BeforeValidator(_listed),
        Field(
            min_length=1,
            strict=False,
            json_schema_extra={
                "expected": "a cell's name or glob such as convex-*, or a list of them"
            },
        ),
    ]
    """Globs over the names of the study's cells."""
    space: Annotated[
        dict[str, DomainSettings],
        Field(
            min_length=1,
            json_schema_extra={"expected": f"a mapping of dotted keys to ranges: {_FORMS}"},
        ),
    ]
    trials: Annotated[int | None, Field(ge=1)] = None
    """That each cell is to have, unless the command says; None where the study does not say."""
    sampler_seed: Annotated[int, Field(ge=0)] = 0
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
        if node.get("type") != "object" and not _why_never(key)
    }


def _why_never(key: str) -> str:
    """Why a key cannot be searched; empty if it can."""
    return _NEVER.get(key) or _NEVER.get(key.partition(".")[0], "")


def space_problems(document: Document) -> Iterator[tuple[KeyPath, Problem]]:
    """What is wrong with ranges of a study.yaml that have the right keys: for their settings."""
    for number, item in enumerate(document.get(("search",)) or ()):
        space = item.get("space") if isinstance(item, dict) else None
        for key, given in space.items() if isinstance(space, dict) else ():
            path: KeyPath = ("search", number, "space", key)
            if not isinstance(given, dict):
                continue
            known = {k: v for k, v in given.items() if k in DomainSettings.model_fields}
            if not errors_of(DomainSettings, known):
                entry = DomainSettings.model_validate(known)
                values = list(_wrong_values(document, path, entry))
                yield from ((path, problem) for problem in values)
                for step, text in () if values else _findings(key, entry):
                    yield path, document.problem((*path, step) if step else path, text)


def _findings(key: str, entry: DomainSettings) -> Iterator[tuple[str, str]]:
    """What is wrong with a range, at which of its keys."""
    known = _searched_keys()
    if reason := _why_never(key):
        yield "", f"cannot be searched: {reason}"
    elif key not in known:
        near = did_you_mean(key, known) or f"; the keys are {', '.join(known)}"
        yield "", f"unknown key{near}"
    elif entry.choices:
        for other in sorted(entry.model_fields_set - {"choices"}):
            yield other, "unknown key beside choices; give one of the two"
        if len(set(entry.domain(key).ends)) < len(entry.choices):
            yield "choices", "has the same value twice"
    elif (kind := kind_of_value(known[key])) not in (_WHOLE, _NUMBER):
        yield "", f"is {kind}, no range of numbers: give choices: […]"
    else:
        lacking = [end for end in ("low", "high") if getattr(entry, end) is None]
        for end in lacking:
            yield "", f"has no {end}; write {_FORMS}"
        if entry.step is not None and not (_is_number(entry.step, kind) and entry.step > 0):
            yield "step", f"must be {kind} above 0"
        elif not lacking and (text := _wrong_ends(entry.domain(key))):
            yield "", text


def _wrong_ends(found: Domain) -> str:
    """What is wrong with the ends of a range together; empty if nothing is."""
    assert isinstance(found, Range)
    if found.low >= found.high:
        return "low must be below high; a setting of one value belongs into the cell's file"
    if found.log and found.step is not None:
        return "has both log and step; choose one"
    if found.log and found.low <= 0:
        return "low must be above 0 on a logarithmic scale"
    if found.step is not None:
        steps = (found.high - found.low) / found.step
        if abs(steps - round(steps)) > 1e-9 * max(1.0, steps) or round(steps) < 1:
            return "high must be low and a whole number of steps"
    return ""


def _wrong_values(document: Document, path: KeyPath, entry: DomainSettings) -> Iterator[Problem]:
    """What the searched setting has against the values of a range; told as if a file had them."""
    key, given = str(path[-1]), entry.model_fields_set & {"low", "high"}
    if key not in _searched_keys():
        return
    if not entry.choices and kind_of_value(_searched_keys()[key]) not in (_WHOLE, _NUMBER):
        return
    steps: list[KeyPath] = [(end,) for end in ("low", "high") if end in given]
    if entry.choices:
        steps = [("choices", k) for k in range(len(entry.choices))]
    for step in steps:
        value = document.part((*path, *step), under=tuple(key.split(".")))
        yield from problems_with(_Layers if key in (UNITS, LAYERS) else SettingsFile, value)


def _is_number(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (kind == _NUMBER and isinstance(value, float))


def _as_it_is(value: Any) -> Any:
    return value
