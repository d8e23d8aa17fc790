"""What a verification finds: values that differ, and what could not be checked."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from types import TracebackType

from dae_cli.errors import DaeError, RunFolderError

NOTHING = "–"


@dataclass(frozen=True)
class Difference:
    """A recorded value that is not what comes out when it is made again."""

    place: str
    """The file, from the folder of the results."""
    what: str
    recorded: str
    recomputed: str


@dataclass(frozen=True)
class Unchecked:
    """Something that could not be made again, and why."""

    place: str
    reason: str


@dataclass
class Findings:
    """All that was found, each thing once."""

    differences: list[Difference] = field(default_factory=list)
    unchecked: list[Unchecked] = field(default_factory=list)

    def compare(
        self, place: str, what: str, recorded: object, recomputed: object, how: str = ""
    ) -> None:
        """Keep two values that differ; `how` says how the second was come by."""
        if recorded != recomputed:
            found = Difference(place, what, _text(recorded), _text(recomputed) + how)
            if found not in self.differences:
                self.differences.append(found)

    def compare_lines(self, place: str, what: str, recorded: str, recomputed: str) -> None:
        """Keep the first line that differs and how many more do."""
        lines = zip_longest(recorded.split("\n"), recomputed.split("\n"))
        different = [(k, a, b) for k, (a, b) in enumerate(lines, start=1) if a != b]
        if different:
            number, ours, again = different[0]
            more = f" and {len(different) - 1} more" if len(different) > 1 else ""
            self.compare(place, f"{what}line {number}{more}", ours, again)

    def compare_csv(self, place: str, recorded: str, recomputed: str) -> None:
        """Keep every cell that differs, by its row's first column; else the lines that do."""
        if recorded == recomputed:
            return
        known = len(self.differences)
        ours, again = (list(csv.reader(text.splitlines())) for text in (recorded, recomputed))
        if [(len(row), row[:1]) for row in ours] == [(len(row), row[:1]) for row in again]:
            header = again[0]
            for row, other in zip(ours, again, strict=True):
                for name, value, made in zip(header, row, other, strict=True):
                    self.compare(place, f"{row[0]}: {name}", value, made)
        if len(self.differences) == known:
            self.compare_lines(place, "", recorded, recomputed)

    def cannot_check(self, place: str, reason: str) -> None:
        """Keep that something could not be checked."""
        self.unchecked.append(Unchecked(place, reason))

    def going_on(self, place: str) -> _GoingOn:
        """Keep what stops the checking of a part; the parts after it are checked all the same."""
        return _GoingOn(self, place)


class _GoingOn:
    """Turns an error into something that could not be checked."""

    def __init__(self, found: Findings, place: str) -> None:
        self._found, self._place = found, place

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if isinstance(error, DaeError):
            self._found.cannot_check(self._place, str(error))
        elif isinstance(error, Exception):  # files may be damaged in ways that nobody foresaw
            self._found.cannot_check(self._place, f"{type(error).__name__}: {error}")
        return isinstance(error, Exception)


def text_of(path: Path) -> str:
    """Return the text of a file, its line ends as they are."""
    return path.read_bytes().decode("utf-8", "replace")


def written_text(path: Path) -> str:
    """Return the text of a file that the last run of a study writes.

    Raises:
        RunFolderError: there is none.
    """
    if not path.exists():
        raise RunFolderError("is not written yet; it comes with the last run of the study")
    return text_of(path)


def _text(value: object) -> str:
    return NOTHING if value is None or value == "" else str(value)
