"""Sections of merged settings, looked at one by one, whatever is wrong with the others."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from dae_cli.config.entries import Entry, Layer, find, plain
from dae_cli.config.problems import Problem
from dae_cli.config.schema import Settings

Section = TypeVar("Section", bound=Settings)


def entry_at(layer: Layer, key: str) -> Entry | None:
    """What is written at a key `section.name`; None where nothing is."""
    section, _, name = key.partition(".")
    return layer[section].items.get(name) if section in layer else None


def sound_number(settings: type[Settings], layer: Layer, key: str) -> int | None:
    """Return a whole number that its section takes, whatever is wrong beside it; else None."""
    entry = entry_at(layer, key)
    if entry is None or not isinstance(entry.value, int):
        return None
    name = key.rpartition(".")[2]
    try:
        settings.model_validate({name: entry.value})
    except ValidationError as error:
        if any(detail["loc"] == (name,) for detail in error.errors()):
            return None
    return entry.value


def about(layer: Layer, key: str, text: str) -> list[Problem]:
    """The problem `text` with what is written at a dotted key."""
    entry = find(layer, tuple(key.split(".")))
    assert entry is not None, key  # only what is written contradicts
    return [entry.problem(key, text)]


def valid_section(section: type[Section], entry: Entry | None) -> Section | None:
    """Return the section as the schema takes it; None where it is absent or does not validate."""
    if entry is None:
        return None
    try:
        return section.model_validate(plain(entry))
    except ValidationError:
        return None
