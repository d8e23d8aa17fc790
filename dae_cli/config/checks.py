"""What is wrong with settings: each value alone, and keys that are missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dae_cli.config.entries import Entry, Layer, find, plain
from dae_cli.config.kinds import FILTER_DATASETS, SVM, kind_of
from dae_cli.config.problems import Problem, did_you_mean
from dae_cli.config.schema import AnyExperiment, Experiment, FilterExperiment, SvmExperiment
from dae_cli.config.words import item_expectation, known_keys, suggestion

_OF_FILTERS = [key for key in FilterExperiment.model_fields if key not in Experiment.model_fields]
"""The sections that only experiments on filters have."""


def layer_problems(layer: Layer, prefix: str = "") -> list[Problem]:
    """Unknown keys and wrong values of one file or of the overrides; missing keys are no problem.

    The file may be shared by several kinds of experiments: it may have the sections of all.
    `prefix` ("shared.") leads the keys in messages.
    """
    values = _plain(layer)
    svm = {key: values.pop(key) for key in (SVM,) if key in values}
    filters = {key: values.pop(key) for key in _OF_FILTERS if key in values}
    if values.get("dataset") in FILTER_DATASETS:
        del values["dataset"]
    details = [
        *_complaints(Experiment, values),
        *(_complaints(SvmExperiment, svm) if svm else []),
        *(_complaints(FilterExperiment, filters) if filters else []),
    ]
    broken_lists = {d["loc"][:-1] for d in details if isinstance(d["loc"][-1], int)}
    told = [
        (_place_of(layer, detail["loc"]).place.order, detail)
        for detail in details
        if detail["type"] != "missing"
        and not (detail["type"] == "too_short" and detail["loc"] in broken_lists)
    ]
    told.sort(key=lambda pair: pair[0])
    return [_problem(layer, d["type"], d["loc"], prefix) for _, d in told]


def missing_keys(layer: Layer) -> list[str]:
    """The dotted keys that merged settings lack to be an experiment."""
    details = _complaints(kind_of(layer), _plain(layer))
    return [".".join(map(str, d["loc"])) for d in details if d["type"] == "missing"]


def as_experiment(layer: Layer) -> AnyExperiment | None:
    """The experiment that merged settings describe; None if they describe none."""
    try:
        return kind_of(layer).model_validate(_plain(layer))
    except ValidationError:
        return None


def _complaints(kind: type[BaseModel], values: dict[str, Any]) -> list[ErrorDetails]:
    """What pydantic says of settings; nothing if they are sound."""
    try:
        kind.model_validate(values)
    except ValidationError as error:
        return error.errors(include_url=False, include_context=False)
    return []


def _problem(layer: Layer, kind: str, loc: tuple[int | str, ...], prefix: str) -> Problem:
    """One complaint of pydantic in plain words, at the place of the value."""
    known = known_keys()
    names = [str(step) for step in loc if isinstance(step, str)]
    key = ".".join(names)
    entry = _place_of(layer, loc)
    if kind == "extra_forbidden":
        return entry.problem(prefix + key, f"unknown key{suggestion(key, known, prefix)}")
    if isinstance(loc[-1], int):
        expected = item_expectation(key)
        words = expected.bounds if _in_range_error(kind) else expected.full()
        whole = _place_of(layer, tuple(names))
        item = f"item {loc[-1] + 1} ({entry.written()})"
        return whole.problem(prefix + key, f"{item} must be {words}")
    expected = known[key]
    if _in_range_error(kind):
        return entry.problem(prefix + key, f"must be {expected.range()}")
    hint = _choice_hint(entry, expected.choices or _constants(expected.kind))
    return entry.problem(prefix + key, f"must be {expected.full()}{hint}")


def _place_of(layer: Layer, loc: tuple[int | str, ...]) -> Entry:
    entry = find(layer, loc)
    assert entry is not None, loc  # only values that are there are complained about
    return entry


def _in_range_error(kind: str) -> bool:
    return kind in {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}


def _constants(kind: str) -> tuple[str, ...]:
    return ("true", "false") if kind == "true or false" else ()


def _choice_hint(entry: Entry, choices: Iterable[str]) -> str:
    if not isinstance(entry.value, str):
        return ""
    word = {"yes": "true", "on": "true", "no": "false", "off": "false"}
    choices = tuple(choices)
    text = entry.value
    if "true" in choices:
        text = word.get(text.casefold(), text)
    return did_you_mean(text, choices)


def _plain(layer: Layer) -> dict[str, Any]:
    return {key: plain(entry) for key, entry in layer.items()}
