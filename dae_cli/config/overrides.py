"""The `--set key=value` arguments of a command as one layer of settings."""

from __future__ import annotations

from collections.abc import Sequence

from dae_cli.config.checks import layer_problems
from dae_cli.config.entries import Entry, Layer, Place, merge
from dae_cli.config.problems import Problem
from dae_cli.config.reader import MAX_DEPTH, read_override
from dae_cli.errors import shown

_EXAMPLE = "write key=value, for example pretrain.epochs=10"


def parse_overrides(arguments: Sequence[str]) -> tuple[Layer, list[Problem]]:
    """The merged arguments, and all that is wrong with them in the order they were given.

    Each is a dotted key, `=`, and a value read by the rules of a file. A value may set a whole
    section (`model={tied: false}`); it is merged key by key, like a section of a file. Setting the
    same key twice, directly or through its section, is a problem.
    """
    layer: Layer = {}
    problems: list[Problem] = []
    seen: dict[str, Place] = {}
    for order, argument in enumerate(arguments):
        key, place = argument.partition("=")[0].strip(), _place(argument, order)
        found = _form_problems(argument, key, place, seen)
        if not found:
            seen[key] = place
            entry, found = read_override(argument.partition("=")[2], place)
            if entry is not None:
                nested = _nested(key.split("."), entry, place)
                found += layer_problems(nested)
                layer = merge(layer, nested)
        problems += found
    return layer, problems


def _place(argument: str, order: int) -> Place:
    return Place(f"--set {shown(argument)}", order, argument.partition("=")[0].strip())


def _form_problems(argument: str, key: str, place: Place, seen: dict[str, Place]) -> list[Problem]:
    if any("\ud800" <= character <= "\udfff" for character in argument):  # bytes of no text
        return [Problem(place.text, "is not UTF-8 text")]
    if "=" not in argument:
        return [Problem(place.text, f"has no =; {_EXAMPLE}")]
    if not all(key.split(".")) or key.count(".") > MAX_DEPTH:
        return [Problem(place.text, f"names no key; {_EXAMPLE}")]
    for other, earlier in seen.items():
        if f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}."):
            return [Problem(place.text, f"given twice: {earlier.text} sets {shown(other)} already")]
    return []


def _nested(parts: list[str], entry: Entry, place: Place) -> dict[str, Entry]:
    for part in reversed(parts[1:]):
        entry = Entry({part: entry}, place)
    return {parts[0]: entry}
