"""What is wrong with settings: each value alone, keys that are missing, values that disagree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import ValidationError

from dae_cli.config.entries import Entry, Layer, find, plain
from dae_cli.config.problems import Problem, did_you_mean
from dae_cli.config.schema import CorruptionSettings, Experiment, ModelSettings, Settings
from dae_cli.config.words import item_expectation, known_keys, suggestion

PIXELS = 784
"""Inputs of the first layer: every data set has images of 28 by 28."""

_Section = TypeVar("_Section", bound=Settings)


def layer_problems(layer: Layer, prefix: str = "") -> list[Problem]:
    """Unknown keys and wrong values of one file or of the overrides; missing keys are no problem.

    `prefix` ("shared.") leads the keys in messages.
    """
    try:
        Experiment.model_validate(_plain(layer))
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        broken_lists = {d["loc"][:-1] for d in details if isinstance(d["loc"][-1], int)}
        told = [
            (_place_of(layer, detail["loc"]).place.order, detail)
            for detail in details
            if detail["type"] != "missing"
            and not (detail["type"] == "too_short" and detail["loc"] in broken_lists)
        ]
        told.sort(key=lambda pair: pair[0])
        return [_problem(layer, d["type"], d["loc"], prefix) for _, d in told]
    return []


def missing_keys(layer: Layer) -> list[str]:
    """The dotted keys that merged settings lack to be an experiment."""
    try:
        Experiment.model_validate(_plain(layer))
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        return [".".join(map(str, d["loc"])) for d in details if d["type"] == "missing"]
    return []


def as_experiment(layer: Layer) -> Experiment | None:
    """The experiment that merged settings describe; None if they describe none."""
    try:
        return Experiment.model_validate(_plain(layer))
    except ValidationError:
        return None


def contradictions(layer: Layer) -> list[Problem]:
    """Values that are fine alone and wrong together, each with the reason.

    Sections that do not validate are passed over.
    """
    corruption = _valid(CorruptionSettings, layer.get("corruption"))
    if corruption is None:
        return []
    if corruption.kind == "gaussian" and corruption.destruction != 0:
        return _about(
            layer,
            "destruction",
            "gaussian noise destroys no inputs: its strength is corruption.sigma; leave "
            f"destruction out or set it to 0 {_because_of_kind(layer)}",
        )
    if corruption.kind != "gaussian" and corruption.sigma != 0:
        return _about(
            layer,
            "sigma",
            f"only gaussian noise has a sigma; the strength of {corruption.kind} is "
            f"corruption.destruction {_because_of_kind(layer)}",
        )
    if corruption.destruction == 0:
        return []
    model = _valid(ModelSettings, layer.get("model"))
    return _counts(layer, corruption.destruction, model.hidden if model else ())


def _counts(layer: Layer, destruction: float, hidden: tuple[int, ...]) -> list[Problem]:
    """round(ν·d) of d inputs are destroyed: none and all are both not what was asked for.

    The inputs of the layers are the image and every hidden layer but the last.
    """
    for name, width in [
        (f"the {PIXELS} pixels", PIXELS),
        *((f"the {units} units of hidden layer {i}", units) for i, units in enumerate(hidden, 1)),
    ][: max(len(hidden), 1)]:
        count = round(destruction * width)
        if count == 0 or count >= width:
            what = "none" if count == 0 else "all"
            return _about(
                layer,
                "destruction",
                f"would destroy {what} of {name}: round({destruction:g} x {width}) = {count}; "
                + ("use a larger fraction, or 0" if count == 0 else "use a smaller fraction"),
            )
    return []


def _about(layer: Layer, name: str, text: str) -> list[Problem]:
    entry = _place_of(layer, ("corruption", name))
    return [entry.problem(f"corruption.{name}", text)]


def _because_of_kind(layer: Layer) -> str:
    kind = layer["corruption"].items.get("kind")
    return f"(kind: {kind.place.text})" if kind else "(kind: masking, the default)"


def _valid(section: type[_Section], entry: Entry | None) -> _Section | None:
    if entry is None:
        return None
    try:
        return section.model_validate(plain(entry))
    except ValidationError:
        return None


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
