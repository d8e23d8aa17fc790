"""Read strict YAML: plain values, the place of each, and all problems with the file's form.

It is stricter than PyYAML on purpose. Numbers are decimal, including `1e-3`. Only `true` and
`false` are booleans, so `no` and `on` are text. Duplicate keys, tags and merge keys are errors.
Depth, size and the expansion of aliases are limited.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from dae_cli.config.messages import KeyPath, Problem, path_label
from dae_cli.errors import shown

MAX_BYTES = 100_000
MAX_DEPTH = 10
MAX_VALUES = 5_000
_LONGEST_VALUE = 60
_SETTINGS = "a mapping of settings, such as `dataset: convex`"

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(
    r"[-+]?(([0-9]{1,40}\.[0-9]{0,40}|\.[0-9]{1,40})([eE][-+]?[0-9]{1,3})?"
    r"|[0-9]{1,40}[eE][-+]?[0-9]{1,3})"
)
_MERGE, _NOTHING = "<<", object()
_CONSTANTS = {"": None, "~": None, "null": None, "true": True, "false": False}


@dataclass(frozen=True)
class Place:
    """The place of a value in a file or an argument."""

    where: str
    """`file:line`, or `--set` and its argument."""
    line: int = 0
    """Line number from 1, or the number of the argument."""
    raw: str = ""
    """The text of a scalar."""
    argument_key: str | None = None
    """The key that an argument sets; None for a file."""


_At = Callable[[int], Place]
"""Function from a line number, from 0, to its place."""


@dataclass(frozen=True)
class Document:
    """Values of a file, of `--set` arguments or of several of these, and the place of each."""

    value: Any = field(default_factory=dict)
    """Mappings, lists and scalars, ready for the schema."""
    places: Mapping[KeyPath, Place] = field(default_factory=dict)
    prefix: str = ""
    """Prefix of keys in messages if the document is a part of another one."""

    def has(self, path: KeyPath) -> bool:
        """Whether the document has a value at a path."""
        return self.get(path, _NOTHING) is not _NOTHING

    def get(self, path: KeyPath, default: object = None) -> Any:
        """Return the value at a path, or the default if there is none."""
        value = self.value
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return default
        return value

    def items(self, path: KeyPath) -> Iterator[tuple[str | int, Any]]:
        """Yield keys and values of the mapping, or indices and items of the list, at a path."""
        value = self.get(path)
        if isinstance(value, dict):
            yield from value.items()
        elif isinstance(value, list):
            yield from enumerate(value)

    def nearest(self, path: KeyPath) -> KeyPath:
        """Return the path, or the longest part of it that has a value."""
        while path and not (path in self.places and self.has(path)):
            path = path[:-1]
        return path

    def place(self, path: KeyPath) -> Place:
        """Return the place of the value at a path, or at the nearest path above it."""
        return self.places[self.nearest(path)]

    def written(self, path: KeyPath) -> str:
        """Return the value at a path as the user wrote it, shortened."""
        value = self.get(path)
        if isinstance(value, list):
            text = f"[{', '.join(self.written((*path, k)) for k in range(len(value)))}]"
        elif isinstance(value, dict):
            pairs = (f"{key}: {self.written((*path, key))}" for key in value)
            text = f"{{{', '.join(pairs)}}}"
        else:
            text = self.places[path].raw
        return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"

    def problem(self, path: KeyPath, text: str, label: str = "") -> Problem:
        """Return a problem with the value at a path, or at the nearest path above it.

        `label`: the key for the message, if it differs from the path's.
        """
        there = self.nearest(path)
        place, key = self.places[there], label or self.prefix + path_label(path)
        if place.argument_key is None:
            written = self.written(there)
            return Problem(f"{place.where}  {shown(key)}: {written}".rstrip(), text)
        named = text if key == place.argument_key else f"{shown(key)}: {text}"
        return Problem(place.where, named)

    def part(self, path: KeyPath, under: tuple[str, ...] = (), prefix: str = "") -> Document:
        """Return the value at a path as a separate document, nested below the keys `under`."""
        value, depth = self.get(path), len(path)
        for key in reversed(under):
            value = {key: value}
        above = {under[:k]: self.place(path) for k in range(len(under))}
        inner = {(*under, *p[depth:]): at for p, at in self.places.items() if p[:depth] == path}
        return Document(value, above | inner, prefix)

    def sections(self, key: str) -> dict[str, Document]:
        """Return the mappings within the mapping at a top-level key as separate documents.

        One pass over the places is enough, because a results folder may have a thousand cells.
        """
        inner = {str(k): item for k, item in self.items((key,)) if isinstance(item, dict)}
        places: dict[str, dict[KeyPath, Place]] = {name: {} for name in inner}
        for path, place in self.places.items():
            if path[:1] == (key,) and path[1:2] and path[1] in places:
                places[str(path[1])][path[2:]] = place
        return {name: Document(inner[name], places[name]) for name in inner}

    def only(self, model: type[BaseModel]) -> Document:
        """Return the document with only the top-level keys that a model has."""
        known = {k: v for k, v in self.value.items() if k in model.model_fields}
        return Document(known, self.places)


def merge(*documents: Document) -> Document:
    """Merge documents; later ones override. Mappings are merged by key, other values replaced."""
    value: dict[str, Any] = {}
    places: dict[KeyPath, Place] = {}
    for document in documents:
        value = _merged(value, document.value)
        places |= document.places
    return Document(value, places)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _merged(below[key], value) if both else value
    return merged


def read_file(
    path: Path, label: str, *, what: str = _SETTINGS, larger: int = 1
) -> tuple[Document | None, list[Problem]]:
    """Return the mapping in a file (None if it cannot be read) and all problems with its form.

    `what`: the expected content, for messages.
    `larger`: the limit of size and number of values, as a multiple of an experiment file's.
    """
    most = larger * MAX_BYTES
    try:
        with path.open("rb") as stream:
            content = stream.read(most + 1)
    except OSError as error:
        return None, [Problem(label, f"cannot be read: {error.strerror}")]
    if len(content) > most:
        return None, [Problem(label, f"larger than {most} bytes, so not an experiment file")]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return None, [Problem(f"{label}:{line}", "not UTF-8 text; save the file as UTF-8")]
    document, problems = _read(
        text, lambda line: Place(f"{label}:{line + 1}", line + 1), larger * MAX_VALUES
    )
    if document is None:
        return None, problems
    if document.value is None:
        document = Document({}, {(): Place(label)})
    if not isinstance(document.value, dict):
        return None, [*problems, Problem(document.place(()).where, f"must be {what}")]
    return Document(document.value, {**document.places, (): Place(label)}), problems


def read_value(text: str, place: Place) -> tuple[Document | None, list[Problem]]:
    """Return the value of `--set key=text`, read like a file, and its problems, all at `place`."""
    if len(text) > MAX_BYTES:
        return None, [Problem(f"{place.where[:40]}…", f"longer than {MAX_BYTES} characters")]
    return _read(text, lambda line: place, MAX_VALUES)


class _Refused(Exception):
    """Reading cannot continue, because of `problem`."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


def _read(text: str, at: _At, most: int) -> tuple[Document | None, list[Problem]]:
    problems: list[Problem] = []
    try:
        return _Loader(text, at, problems, most).document(), problems
    except _Refused as refused:
        problems.append(refused.problem)
    except yaml.MarkedYAMLError as error:
        problems.append(_syntax_problem(error, text, at))
    except yaml.reader.ReaderError as error:
        what = f"the character {error.character!r} is not allowed in YAML"
        problems.append(Problem(at(text.count("\n", 0, error.position)).where, what))
    return None, problems


class _Loader(yaml.BaseLoader):
    """PyYAML's composer with limits of size and depth; it collects problems."""

    def __init__(self, text: str, at: _At, problems: list[Problem], most: int) -> None:
        super().__init__(text)
        self._at, self._problems, self._most = at, problems, most
        self._values = self._depth = 0
        self._sizes: dict[str, int] = {}
        """Number of values below each anchor whose node is complete."""
        self._lines: dict[tuple[int, str], int] = {}
        """First line of each key of each mapping."""
        self._places: dict[KeyPath, Place] = {(): at(0)}

    def document(self) -> Document:
        """Return the only document; its value is None if the file is empty."""
        self.get_event()  # type: ignore[no-untyped-call]
        node = None if self.check_event(yaml.StreamEndEvent) else self.compose_document()
        if not self.check_event(yaml.StreamEndEvent):
            raise self._refused("a second document starts here; write one document per file")
        return Document(None if node is None else self._plain(node, (), self._at(0)), self._places)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose the node that starts with the next event."""
        if isinstance(parent, yaml.MappingNode) and isinstance(index, yaml.Node):
            self._note_key(parent, index)
        event, before = self._next(), self._values
        anchor: str | None = event.anchor
        self._count(1)
        if self._depth > MAX_DEPTH:
            raise self._refused(f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._sizes:
                raise self._refused(f"*{event.anchor} has no anchor above it")
            self._count(self._sizes[event.anchor])
            return super().compose_node(parent, index)
        if event.tag is not None:
            text = f"the tag {event.tag!r} is not supported; write the plain value"
            self._note(event.start_mark.line, text)
        if anchor is not None:  # a later anchor of the same name replaces the earlier one
            self.anchors.pop(anchor, None)
            self._sizes.pop(anchor, None)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if anchor is not None:
            self._sizes[anchor] = self._values - before
        return node

    def _note_key(self, mapping: yaml.MappingNode, key: yaml.Node) -> None:
        """Report problems with a key before its value is read."""
        line = key.start_mark.line
        if not isinstance(key, yaml.ScalarNode):
            self._note(line, "a key must be a single word")
        elif key.value == _MERGE:
            self._note(line, "merge keys (<<) are not supported; write the keys out")
        elif (id(mapping), key.value) in self._lines:
            first = self._lines[id(mapping), key.value]
            where = "" if self._at(0).argument_key is not None else f"; first on line {first}"
            self._note(line, f"the key {_printable(key.value)} is given twice{where}")
        else:
            self._lines[id(mapping), key.value] = line + 1

    def _note(self, line: int, text: str) -> None:
        self._problems.append(Problem(self._at(line).where, text))

    def _count(self, values: int) -> None:
        self._values += values
        if self._values > self._most:
            raise self._refused(f"more than {self._most} values, including those of aliases")

    def _refused(self, text: str) -> _Refused:
        return _Refused(Problem(self._at(self._next().start_mark.line).where, text))

    def _next(self) -> Any:
        return self.peek_event()  # type: ignore[no-untyped-call]

    def _plain(self, node: yaml.Node, path: KeyPath, place: Place) -> Any:
        """Return the node's value, and store its place and the places of all values in it."""
        if len(path) > MAX_DEPTH:  # because an alias refers to nested values
            raise _Refused(Problem(place.where, f"nested deeper than {MAX_DEPTH} levels"))
        self._places[path] = place
        if isinstance(node, yaml.ScalarNode):
            value, raw = _scalar(node)
            self._places[path] = replace(place, raw=raw)
            return value
        if isinstance(node, yaml.SequenceNode):
            return [
                self._plain(item, (*path, k), self._at(item.start_mark.line))
                for k, item in enumerate(node.value)
            ]
        mapping: dict[str, Any] = {}
        for key, item in node.value:
            name = _printable(key.value) if isinstance(key, yaml.ScalarNode) else _MERGE
            if name != _MERGE and name not in mapping:
                # The key's line, because the value may start on a later one.
                mapping[name] = self._plain(item, (*path, name), self._at(key.start_mark.line))
        return mapping


def _scalar(node: yaml.ScalarNode) -> tuple[str | int | float | bool | None, str]:
    """Return the value and the text of a scalar."""
    text: str = node.value
    if node.style is not None:
        return text, json.dumps(text, ensure_ascii=not text.isprintable())
    if text in _CONSTANTS:
        return _CONSTANTS[text], text
    if _INTEGER.fullmatch(text):
        return int(text), text
    if _DECIMAL.fullmatch(text):
        return float(text), text
    return text, _printable(text)


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, at: _At) -> Problem:
    """Return the parser's error with the line and a mark below the column."""
    mark = error.problem_mark or error.context_mark
    why = ", ".join(part for part in (error.context, error.problem) if part)
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = text.splitlines()
    excerpt = lines[line][:200].replace("\t", " ") if line < len(lines) else ""
    message = f"not valid YAML: {why} (column {column + 1})"
    if excerpt and at(line).argument_key is None:
        message += f"\n{excerpt}\n{' ' * min(column, 200)}^"
    return Problem(at(line).where, message)


def _printable(text: str) -> str:
    """Return the text with control characters escaped, which are unsafe on a terminal."""
    return text if text.isprintable() else json.dumps(text)
