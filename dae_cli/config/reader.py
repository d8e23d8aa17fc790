"""Strict YAML: one document to entries that know their line, all problems told.

Narrower than PyYAML on purpose. Numbers are decimal, and `1e-3` is one; only `true` and `false`
are booleans, so `no` and `on` stay text; duplicate keys, tags and merge keys are refused; depth,
size and the expansion of aliases are bounded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from dae_cli.config.entries import Entry, Place, Scalar
from dae_cli.config.problems import Problem

MAX_BYTES = 100_000
MAX_DEPTH = 10
MAX_VALUES = 5_000

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(
    r"[-+]?(([0-9]{1,40}\.[0-9]{0,40}|\.[0-9]{1,40})([eE][-+]?[0-9]{1,3})?"
    r"|[0-9]{1,40}[eE][-+]?[0-9]{1,3})"
)
_CONSTANTS: dict[str, Scalar] = {"": None, "~": None, "null": None, "true": True, "false": False}


class _Refused(Exception):
    """Reading cannot go on; the problem says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


def read_file(path: Path, label: str, larger: int = 1) -> tuple[Entry | None, list[Problem]]:
    """The one document of a file (None if it cannot be read) and every problem with its form.

    `larger`: how many times an experiment's bounds of size it may have.
    """
    most = larger * MAX_BYTES
    try:
        with path.open("rb") as stream:
            content = stream.read(most + 1)
    except OSError as error:
        return None, [Problem(label, f"cannot be read: {error.strerror}")]
    if len(content) > most:
        return None, [Problem(label, f"larger than {most} bytes: not an experiment file")]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return None, [Problem(f"{label}:{line}", "not UTF-8 text; save the file as UTF-8")]
    return _read(text, label, most=larger * MAX_VALUES)


def read_override(text: str, place: Place) -> tuple[Entry | None, list[Problem]]:
    """The value of `--set key=text`, by the same rules as a file."""
    if len(text) > MAX_BYTES:
        return None, [Problem(f"{place.text[:40]}…", f"longer than {MAX_BYTES} characters")]
    entry, problems = _read(text, place.text, place)
    empty = entry is None and not problems
    return (Entry(None, place) if empty else entry), problems


def _read(
    text: str, label: str, fixed: Place | None = None, most: int = MAX_VALUES
) -> tuple[Entry | None, list[Problem]]:
    document = _Document(text, label, fixed, most)
    try:
        return document.read(), document.problems
    except _Refused as refused:
        return None, [*document.problems, refused.problem]
    except yaml.MarkedYAMLError as error:
        return None, [*document.problems, document.syntax_problem(error)]
    except yaml.reader.ReaderError as error:
        place = document.place(text.count("\n", 0, error.position))
        what = f"the character {error.character!r} is not allowed in YAML"
        return None, [*document.problems, Problem(place.text, what)]


class _Document:
    """Composes entries from the parser's events, which carry lines, anchors and tags."""

    def __init__(self, text: str, label: str, fixed: Place | None, most: int) -> None:
        self.problems: list[Problem] = []
        self._text = text
        self._label = label
        self._fixed = fixed
        self._anchors: dict[str, tuple[Entry, int]] = {}
        self._values, self._most = 0, most

    def read(self) -> Entry | None:
        """The document's value; None if there is none."""
        events: Iterator[yaml.Event] = iter(yaml.parse(self._text, Loader=yaml.SafeLoader))
        found: Entry | None = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._refuse(event, "a second document starts here; keep one per file")
            elif isinstance(event, yaml.NodeEvent):
                found = self._entry(event, events, 0)
        return found

    def place(self, line: int) -> Place:
        """The place of a line counted from 0; of an override, always the override."""
        return self._fixed or Place(f"{self._label}:{line + 1}", line + 1)

    def syntax_problem(self, error: yaml.MarkedYAMLError) -> Problem:
        """What the parser found, with the line and a mark below the column."""
        mark = error.problem_mark or error.context_mark
        why = ", ".join(part for part in (error.context, error.problem) if part)
        line, column = (mark.line, mark.column) if mark else (0, 0)
        lines = self._text.splitlines()
        excerpt = lines[line][:200].replace("\t", " ") if line < len(lines) else ""
        text = f"not valid YAML: {why} (column {column + 1})"
        if excerpt and self._fixed is None:
            text += f"\n{excerpt}\n{' ' * min(column, 200)}^"
        return Problem(self.place(line).text, text)

    def _entry(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Entry:
        """The value that starts with `event`; consumes its events."""
        self._count(event, 1)
        if depth > MAX_DEPTH:
            raise self._refuse(event, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if getattr(event, "tag", None) is not None:
            shown = str(getattr(event, "tag", ""))
            self._note(event, f"the tag {shown!r} is not allowed here; write the plain value")
        values_before = self._values
        place = self.place(_line(event))
        if isinstance(event, yaml.ScalarEvent):
            entry = _scalar(event, place)
        elif isinstance(event, yaml.SequenceStartEvent):
            items: list[Entry] = []
            while not isinstance(item := next(events), yaml.SequenceEndEvent):
                items.append(self._entry(item, events, depth + 1))
            entry = Entry(tuple(items), place)
        else:
            entry = Entry(self._mapping(events, depth), place)
        anchor: str | None = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = (entry, self._values - values_before + 1)
        return entry

    def _mapping(self, events: Iterator[yaml.Event], depth: int) -> dict[str, Entry]:
        mapping: dict[str, Entry] = {}
        first_lines: dict[str, int] = {}
        while not isinstance(key_event := next(events), yaml.MappingEndEvent):
            key_entry = self._entry(key_event, events, depth + 1)
            value = self._entry(next(events), events, depth + 1)
            if isinstance(key_entry.value, tuple | dict):
                self._note(key_event, "a key must be one word")
                continue
            key = key_event.value if isinstance(key_event, yaml.ScalarEvent) else key_entry.raw
            if key == "<<":
                self._note(key_event, "merge keys (<<) are not supported; write the keys out")
            elif key in first_lines:
                first = "" if self._fixed else f"; first on line {first_lines[key]}"
                self._note(key_event, f"the key {_printable(key)} is given twice{first}")
            else:
                # The key's line, not the value's: the value may stand below it.
                line = _line(key_event)
                mapping[_printable(key)] = Entry(value.value, self.place(line), value.raw)
                first_lines[key] = line + 1
        return mapping

    def _alias(self, event: yaml.AliasEvent) -> Entry:
        if event.anchor not in self._anchors:
            raise self._refuse(event, f"*{event.anchor} refers to nothing above it")
        entry, size = self._anchors[event.anchor]
        self._count(event, size)
        return entry

    def _count(self, event: yaml.Event, values: int) -> None:
        self._values += values
        if self._values > self._most:
            raise self._refuse(event, f"more than {self._most} values, aliases written out")

    def _note(self, event: yaml.Event, text: str) -> None:
        self.problems.append(Problem(self.place(_line(event)).text, text))

    def _refuse(self, event: yaml.Event, text: str) -> _Refused:
        return _Refused(Problem(self.place(_line(event)).text, text))


def _line(event: yaml.Event) -> int:
    return event.start_mark.line if event.start_mark else 0


def _scalar(event: yaml.ScalarEvent, place: Place) -> Entry:
    text: str = event.value
    if event.style is not None:
        return Entry(text, place, json.dumps(text, ensure_ascii=not text.isprintable()))
    if text in _CONSTANTS:
        return Entry(_CONSTANTS[text], place, text)
    if _INTEGER.fullmatch(text):
        return Entry(int(text), place, text)
    if _DECIMAL.fullmatch(text):
        return Entry(float(text), place, text)
    return Entry(text, place, _printable(text))


def _printable(text: str) -> str:
    """The text with control characters escaped, so that no message can drive a terminal."""
    return text if text.isprintable() else json.dumps(text)
