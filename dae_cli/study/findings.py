"""The findings of a verification: values that differ, and what could not be checked."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import ParamSpec, TypeVar

from dae_cli.errors import DaeError
from dae_cli.study.reference import Agreement
from dae_cli.study.tables.cells import NOTHING

P = ParamSpec("P")
Value = TypeVar("Value")

_MOST_VALUES = 20
"""Maximum number of differing values that are listed for one CSV file."""


@dataclass(frozen=True)
class Mismatch:
    """A recorded value that differs from the recomputed one."""

    place: str
    """The file, relative to the results folder."""
    what: str
    recorded: str
    recomputed: str


@dataclass(frozen=True)
class Unchecked:
    """Something that could not be recomputed, and why."""

    place: str
    reason: str


@dataclass
class Findings:
    """All findings of a verification, without duplicates."""

    runs: int = 0
    """Number of runs in runs.csv."""
    recomputed: int = 0
    """Number of runs that were recomputed."""
    differences: list[Mismatch] = field(default_factory=list)
    unchecked: list[Unchecked] = field(default_factory=list)
    reference: Agreement | None = None
    """How the recomputed runs compare with the study's reference rows, if it has any."""

    how = ""
    """How further values are recomputed, if not as in the run; added to each of them."""

    @property
    def agrees(self) -> bool:
        """Whether everything was checked and nothing differs."""
        return not self.differences and not self.unchecked

    def compare(self, place: str, what: str, recorded: object, recomputed: object) -> None:
        """Record a mismatch if two values differ."""
        if recorded == recomputed:
            return
        old, new = (NOTHING if v is None or v == "" else str(v) for v in (recorded, recomputed))
        mismatch = Mismatch(place, what, old, new + self.how)
        if mismatch not in self.differences:
            self.differences.append(mismatch)

    def compare_lines(self, place: str, recorded: str, recomputed: str) -> None:
        """Record the first line that differs in each section, and the number of further ones.

        A section begins with a line such as `## Data`; a text without such lines is one section.
        """
        old, new = (
            [line or "(an empty line)" for line in text.split("\n")]
            for text in (recorded, recomputed)
        )
        sections: dict[str, list[tuple[int, str | None, str | None]]] = {}
        for tag, first, last, other, end in SequenceMatcher(None, old, new).get_opcodes():
            if tag == "equal":
                continue
            for k, pair in enumerate(zip_longest(old[first:last], new[other:end])):
                above = reversed(new[: other + k + 1])
                section = next((line[3:] for line in above if line.startswith("## ")), "")
                sections.setdefault(section, []).append((first + k + 1, *pair))
        for section, lines in sections.items():
            texts = (one for one in lines if "(an empty line)" not in one)
            number, line, line_again = next(texts, lines[0])
            what = f"{section}, line {number}" if section else f"line {number}"
            what += f" and {len(lines) - 1} more" if len(lines) > 1 else ""
            self.compare(place, what, line, line_again)

    def compare_csv(self, place: str, recorded: str, recomputed: str, key: Sequence[str]) -> None:
        """Record every value that differs, and missing or unexpected rows.

        `key` names the columns that identify a row.
        """
        values: list[tuple[str, str, str]] = []
        old, new = _by_key(recorded, key), _by_key(recomputed, key)
        if recorded.partition("\n")[0] == recomputed.partition("\n")[0]:
            for name in dict.fromkeys([*old, *new]):
                row, row_again = old.get(name), new.get(name)
                if row is None or row_again is None:
                    there = "no row" if row is None else "a row"
                    values.append((name, there, "a row" if row is None else "no row"))
                    continue
                for column, value in row_again.items():
                    if row[column] != value:
                        values.append((f"{name}: {column}", row[column], value))
        if not values:
            self.compare_lines(place, recorded, recomputed)
        more = f" and {len(values) - _MOST_VALUES} more" if len(values) > _MOST_VALUES else ""
        for k, (what, value, value_again) in enumerate(values[:_MOST_VALUES], start=1):
            self.compare(place, what + more * (k == _MOST_VALUES), value, value_again)

    def add(self, others: Findings, folder: str) -> None:
        """Add the findings of one folder."""
        for mismatch in others.differences:
            self.differences.append(replace(mismatch, place=f"{folder}/{mismatch.place}"))
        for one in others.unchecked:
            self.cannot_check(f"{folder}/{one.place}".rstrip("/"), one.reason)

    def cannot_check(self, place: str, reason: str) -> None:
        """Record that something could not be checked."""
        self.unchecked.append(Unchecked(place, reason))

    def attempt(
        self, place: str, compute: Callable[P, Value], *args: P.args, **kwargs: P.kwargs
    ) -> Value | None:
        """Return a function's result; if it fails, record `place` as unchecked and return None."""
        try:
            return compute(*args, **kwargs)
        except Exception as error:  # a damaged file can cause any exception
            kind = "" if isinstance(error, DaeError) else f"{type(error).__name__}: "
            self.cannot_check(place, f"{kind}{error}")
        return None


def _by_key(text: str, key: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """Return the rows of a CSV file by their key columns, such as `rect-0, rect-25, seed 0`."""
    rows = {}
    for row in csv.DictReader(text.splitlines()):
        parts = [(name, row.get(name) or "") for name in key]
        rows[", ".join(f"{name} {text}" if text.isdigit() else text for name, text in parts)] = row
    return rows
