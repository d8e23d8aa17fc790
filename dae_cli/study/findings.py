"""What comparing files finds: values that differ, and what could not be checked."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import ParamSpec, TypeVar

from dae_cli.errors import DaeError

P = ParamSpec("P")
Value = TypeVar("Value")

NOTHING = "–"
_LONGEST = 160
"""Characters of a value; of a longer one, those around the first that differs."""
_MOST_VALUES = 20
"""Of one CSV file that are listed one by one."""
_EMPTY = "(an empty line)"


@dataclass(frozen=True)
class Difference:
    """A recorded value that is not what comes out when it is computed again."""

    place: str
    """The file, from the folder of the results."""
    what: str
    recorded: str
    recomputed: str


@dataclass(frozen=True)
class Unchecked:
    """Something that could not be computed again, and why."""

    place: str
    reason: str


@dataclass
class Findings:
    """All that a verification finds, each thing once."""

    differences: list[Difference] = field(default_factory=list)
    unchecked: list[Unchecked] = field(default_factory=list)

    def compare(
        self, place: str, what: str, recorded: object, recomputed: object, how: str = ""
    ) -> None:
        """Record two values that differ; `how` says how the second was computed."""
        if recorded == recomputed:
            return
        ours, again = (NOTHING if v is None or v == "" else str(v) for v in (recorded, recomputed))
        ours, again = excerpts(ours, again, _LONGEST)
        difference = Difference(place, what, ours, again + how)
        if difference not in self.differences:
            self.differences.append(difference)

    def compare_lines(self, place: str, recorded: str, recomputed: str) -> None:
        """Record the first line that differs in each section, and how many more do.

        A section begins with a line such as `## Data`; a text without any is one section.
        """
        if recorded == recomputed:
            return
        ours, again = recorded.split("\n"), recomputed.split("\n")
        matcher = SequenceMatcher(None, ours, again)
        sections: dict[str, list[tuple[int, str | None, str | None]]] = {}
        for tag, first, last, other, other_last in matcher.get_opcodes():
            if tag == "equal":
                continue
            for k in range(max(last - first, other_last - other)):
                line = ours[first + k] or _EMPTY if first + k < last else None
                line_again = again[other + k] or _EMPTY if other + k < other_last else None
                section = _section(again, min(other + k, len(again) - 1))
                sections.setdefault(section, []).append((first + k + 1, line, line_again))
        for section, lines in sections.items():
            informative = (one for one in lines if _EMPTY not in one)
            number, line, line_again = next(informative, lines[0])
            more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
            what = f"{section}, line {number}{more}" if section else f"line {number}{more}"
            self.compare(place, what, line, line_again)

    def compare_csv(self, place: str, recorded: str, recomputed: str, key: Sequence[str]) -> None:
        """Record every value that differs, and rows that are missing or should not be there.

        Args:
            key: the columns that tell rows apart.
        """
        if recorded == recomputed:
            return
        header, ours = _by_key(recorded, key)
        header_again, again = _by_key(recomputed, key)
        values: list[tuple[str, str, str]] = []
        if ours is not None and again is not None and (header == header_again or not recorded):
            for name in dict.fromkeys([*ours, *again]):
                row, row_again = ours.get(name), again.get(name)
                if row is None or row_again is None:
                    values.append((name, _row_or_none(row), _row_or_none(row_again)))
                    continue
                for column, value in row_again.items():
                    if row[column] != value:
                        values.append((f"{name}: {column}", row[column], value))
        if not values:
            self.compare_lines(place, recorded, recomputed)
        shown, more = values[:_MOST_VALUES], len(values) - _MOST_VALUES
        for k, (what, value, value_again) in enumerate(shown, start=1):
            is_last = more > 0 and k == len(shown)
            self.compare(place, f"{what} and {more} more" if is_last else what, value, value_again)

    def cannot_check(self, place: str, reason: str) -> None:
        """Record that something could not be checked."""
        self.unchecked.append(Unchecked(place, reason))

    def attempt(
        self, place: str, compute: Callable[P, Value], *args: P.args, **kwargs: P.kwargs
    ) -> Value | None:
        """Return what a function returns; where it fails, record that as unchecked: None."""
        try:
            return compute(*args, **kwargs)
        except Exception as error:  # files may be damaged in ways that nobody foresaw
            self.cannot_check(place, reason(error))
        return None


def _section(lines: Sequence[str], k: int) -> str:
    """The heading above a line, or on it."""
    headings = (line for line in reversed(lines[: k + 1]) if line.startswith("## "))
    return next(headings, "").removeprefix("## ")


def _by_key(
    text: str, key: Sequence[str]
) -> tuple[list[str], Mapping[str, Mapping[str, str]] | None]:
    """The header of a CSV file and its rows by their key; no rows where two have one key.

    The key `rect-0, rect-25, seed 0` names the columns of numbers.
    """
    header, *lines = csv.reader(text.splitlines()) if text else [[]]
    rows = {}
    for line in lines:
        if len(line) != len(header):
            return header, None
        row = dict(zip(header, line, strict=True))
        parts = [(name, row.get(name, "")) for name in key]
        rows[", ".join(f"{name} {text}" if text.isdigit() else text for name, text in parts)] = row
    return header, rows if len(rows) == len(lines) else None


def _row_or_none(row: object) -> str:
    return "no row" if row is None else "a row"


def excerpts(text: str, other: str, most: int) -> tuple[str, str]:
    """Two texts, cut to so many characters from a little before the first in which they differ."""
    if max(len(text), len(other)) <= most:
        return text, other
    pairs = enumerate(zip(text, other, strict=False))
    first = next((k for k, (a, b) in pairs if a != b), min(len(text), len(other)))
    start = max(0, first - most // 4)
    cut = (
        one if len(one) <= most else f"{one[: most - 1]}…" for one in (text[start:], other[start:])
    )
    ours, theirs = (f"{'…' * (start > 0)}{one}" for one in cut)
    return ours, theirs


def reason(error: Exception) -> str:
    """Return why something failed; of what nobody foresaw, its kind as well."""
    return str(error) if isinstance(error, DaeError) else f"{type(error).__name__}: {error}"


def text_of(path: Path) -> str:
    """Return the text of a file, its line ends as they are."""
    return path.read_bytes().decode("utf-8", "replace")
