"""Values with the place they were written at, and how layers of them are merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dae_cli.config.problems import Problem
from dae_cli.errors import shown

Scalar = str | int | float | bool | None
Plain = Scalar | list["Plain"] | dict[str, "Plain"]
_LONGEST_VALUE = 60


@dataclass(frozen=True)
class Place:
    """Where a value was written: `file:line`, or the --set argument and the key it names."""

    text: str
    order: int
    """The line in the file, or the position among the --set arguments."""
    set_key: str | None = None


@dataclass(frozen=True)
class Entry:
    """One value as written by the user: a scalar, a list or a mapping of further entries."""

    value: Scalar | tuple[Entry, ...] | dict[str, Entry]
    place: Place
    raw: str = ""

    @property
    def items(self) -> dict[str, Entry]:
        """The entries of a mapping; empty for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    def written(self) -> str:
        """The value as the user wrote it, shortened."""
        if isinstance(self.value, tuple):
            text = f"[{', '.join(item.written() for item in self.value)}]"
        elif isinstance(self.value, dict):
            pairs = (f"{key}: {entry.written()}" for key, entry in self.value.items())
            text = f"{{{', '.join(pairs)}}}"
        else:
            text = self.raw
        return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"

    def problem(self, key: str, text: str) -> Problem:
        """The problem `text` with this value, which stands at the dotted `key`."""
        if self.place.set_key is None:
            return Problem(f"{self.place.text}  {shown(key)}: {self.written()}".rstrip(), text)
        named = text if key == self.place.set_key else f"{shown(key)}: {text}"
        return Problem(self.place.text, named)


Layer = Mapping[str, Entry]
"""The settings of one file (or of all --set arguments), by their first key."""


def plain(entry: Entry) -> Plain:
    """The value without its places, as the schema takes it."""
    if isinstance(entry.value, tuple):
        return [plain(item) for item in entry.value]
    if isinstance(entry.value, dict):
        return {key: plain(item) for key, item in entry.value.items()}
    return entry.value


def merge(*layers: Layer) -> dict[str, Entry]:
    """Later layers win; mappings are merged key by key, everything else is replaced whole."""
    merged: dict[str, Entry] = {}
    for layer in layers:
        for key, entry in layer.items():
            below = merged.get(key)
            if below is not None and below.items and isinstance(entry.value, dict):
                merged[key] = Entry(merge(below.items, entry.value), entry.place)
            else:
                merged[key] = entry
    return merged


def find(layer: Layer, path: tuple[str | int, ...]) -> Entry | None:
    """The entry at `path`, or the nearest one above it; None if even its first key is absent."""
    found: Entry | None = None
    level: Layer = layer
    for step in path:
        if found is not None and isinstance(found.value, tuple) and isinstance(step, int):
            found, level = found.value[step], {}
            continue
        below = level.get(str(step))
        if below is None:
            return found
        found, level = below, below.items
    return found
