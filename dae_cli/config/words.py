"""The schema in plain words: what a key expects, and which key was probably meant."""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from dae_cli.config.kinds import KINDS
from dae_cli.config.schema import Settings

_BOUNDS = ("ge", "gt", "le", "lt")


@dataclass(frozen=True)
class Expectation:
    """What one key takes: `kind` (a number, one of …), `bounds` (from 0 to 1), `reason`."""

    kind: str
    bounds: str = ""
    reason: str = ""
    choices: tuple[str, ...] = ()

    def full(self) -> str:
        """Kind, bounds and reason, to follow 'must be'."""
        words = " ".join(part for part in (self.kind, self.bounds) if part)
        return f"{words}{self._because()}"

    def range(self) -> str:
        """Bounds and reason, to follow 'must be' where the kind is right already."""
        return f"{self.bounds}{self._because()}"

    def with_choices(self, more: tuple[str, ...]) -> Expectation:
        """The same with the choices that another kind of experiment has besides."""
        choices = tuple(dict.fromkeys((*self.choices, *more)))
        if choices == self.choices:
            return self
        return replace(self, kind=f"one of {', '.join(choices)}", choices=choices)

    def _because(self) -> str:
        return f": {self.reason}" if self.reason else ""


def known_keys() -> dict[str, Expectation]:
    """Every dotted key of the schema, sections included, with what it expects."""
    known: dict[str, Expectation] = {}
    for kind in KINDS:
        for key, expected in keys_of(kind).items():
            before = known.get(key)
            known[key] = expected if before is None else before.with_choices(expected.choices)
    return known


def keys_of(model: type[Settings], prefix: str = "") -> dict[str, Expectation]:
    """Every dotted key of one section, or of a kind of experiment, with what it expects."""
    known: dict[str, Expectation] = {}
    for name, field in model.model_fields.items():
        section = _section(field.annotation)
        if section is None:
            known[prefix + name] = _expectation(field)
        else:
            keys = ", ".join(section.model_fields)
            known[prefix + name] = Expectation(f"a mapping with the keys {keys}")
            known |= keys_of(section, f"{prefix}{name}.")
    return known


def item_expectation(key: str) -> Expectation:
    """What one item of the list at `key` expects; `key` is a list of the schema."""
    section, _, name = key.rpartition(".")
    fields = {field: info for kind in KINDS for field, info in kind.model_fields.items()}
    model = _section(fields[section].annotation)
    assert model is not None
    kind, metadata = _unwrap(get_args(model.model_fields[name].annotation)[0])
    return Expectation(_kind(kind)[0], _bounds(metadata))


def suggestion(key: str, known: Mapping[str, Expectation], prefix: str = "") -> str:
    """'; did you mean …?' for an unknown dotted key; names its siblings if nothing is near."""
    section, _, name = key.rpartition(".")
    siblings = {k.rpartition(".")[2]: k for k in known if k.rpartition(".")[0] == section}
    elsewhere = [k for k in known if k.rpartition(".")[2] == name]  # the word of another section
    near = [siblings[n] for n in difflib.get_close_matches(name, siblings, n=1, cutoff=0.6)]
    near = [*near, *elsewhere] if section or not elsewhere else elsewhere
    if near:
        return f"; did you mean {' or '.join(prefix + k for k in near)}?"
    return f"; the keys are {', '.join(prefix + k for k in siblings.values())}"


def _section(annotation: Any) -> type[Settings] | None:
    options = get_args(annotation) if _is_union(annotation) else (annotation,)
    return next((o for o in options if isinstance(o, type) and issubclass(o, Settings)), None)


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _expectation(field: FieldInfo) -> Expectation:
    kind, choices = _kind(field.annotation)
    if get_origin(field.annotation) is tuple:
        item, metadata = _unwrap(get_args(field.annotation)[0])
        low, high = _limit(field.metadata, "min_length"), _limit(field.metadata, "max_length")
        plural = "whole numbers" if item is int else "numbers"
        kind = f"a list of {low} to {high} {plural} {_bounds(metadata)}"
        return Expectation(kind, reason=field.description or "")
    return Expectation(kind, _bounds(field.metadata), field.description or "", choices)


def _kind(annotation: Any) -> tuple[str, tuple[str, ...]]:
    if get_origin(annotation) is Literal:
        choices = tuple(str(choice) for choice in get_args(annotation))
        return f"one of {', '.join(choices)}", choices
    return {bool: ("true or false", ()), int: ("a whole number", ()), float: ("a number", ())}.get(
        annotation, ("text", ())
    )


def _unwrap(annotation: Any) -> tuple[Any, list[Any]]:
    """The type inside Annotated, and the constraints of its FieldInfo."""
    kind, *extras = get_args(annotation) or (annotation,)
    return kind, [m for extra in extras for m in getattr(extra, "metadata", [extra])]


def _limit(metadata: list[Any], name: str) -> float | int | None:
    return next((getattr(m, name) for m in metadata if hasattr(m, name)), None)


def _bounds(metadata: list[Any]) -> str:
    ge, gt, le, lt = (_limit(metadata, name) for name in _BOUNDS)
    low = f"from {ge}" if ge is not None else f"above {gt}" if gt is not None else ""
    if le is not None:
        return f"{low} {'to' if ge is not None else 'and at most'} {le}".strip()
    if lt is not None:
        return f"{low} up to, not including, {lt}".strip()
    return f"{ge} or more" if ge is not None else low
