"""Progress bars: one for each run that is going, and one for all of them together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from dae_cli.commands.console import Tally, measured, place
from dae_cli.commands.tables import minutes
from dae_cli.study.progress import Position

if TYPE_CHECKING:
    from dae_cli.study.rows import RunRow
    from dae_cli.study.run.job import Job

_NARROW = 72
_GUESS_AFTER = 20.0
"""Seconds before the time left is worth guessing."""


class Bars:
    """Draws the runs on stderr; what must stay on the screen is printed above the bars."""

    def __init__(self, single: bool) -> None:
        self._single = single
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            *_columns(self._console.width), console=self._console, transient=True
        )
        self._tally = Tally()
        self._bars: dict[str, TaskID] = {}
        self._shares: dict[str, float] = {}
        self._found: dict[str, float] = {}  # shares that were done before this command
        self._begin = time.monotonic()
        self._overall: TaskID | None = None
        self._lock = RLock()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def expect(self, jobs: Sequence[Job]) -> None:
        """Draw the bar of the whole study, if there is more than one run."""
        with self._lock:
            self._tally.expect(jobs)
            self._begin = time.monotonic()
            if len(jobs) > 1:
                self._overall = self._progress.add_task("all", total=len(jobs), detail="")
                self._count()

    def note(self, text: str) -> None:
        """A line above the bars."""
        self._console.print(Text(text, "dim"))

    def started(self, run: str, resumed: bool) -> None:
        """A new bar."""
        with self._lock:
            if self._tally.is_over(run) or run in self._bars:
                return
            label, detail = self._tally.label(run), "goes on" if resumed else ""
            self._bars[run] = self._progress.add_task(label, total=1.0, detail=detail)

    def moved(self, run: str, position: Position) -> None:
        """The bar moves."""
        with self._lock:
            if self._tally.is_over(run):
                return
            self.started(run, False)
            detail = "  ".join(part for part in (place(position), measured(position)) if part)
            self._progress.update(self._bars[run], completed=position.fraction, detail=detail)
            self._shares[run] = position.fraction
            self._found.setdefault(run, position.fraction)
            self._count()

    def finished(self, row: RunRow) -> None:
        """The bar gives way to a line that stays."""
        with self._lock:
            self._tally.end(row.run)
            self._shares[row.run] = 1.0
            if (bar := self._bars.pop(row.run, None)) is not None:
                self._progress.remove_task(bar)
            if not self._single:
                self._console.print(Text(self._tally.ending(row), "red" if row.error else ""))
            self._count()

    def _count(self) -> None:
        if self._overall is None:
            return
        done = sum(self._shares.values())
        detail = f"{self._tally.over} of {self._tally.total} runs"
        if self._tally.over == self._tally.total:
            detail = "writing the report"
        seconds, made = time.monotonic() - self._begin, done - sum(self._found.values())
        if seconds > _GUESS_AFTER and made > 0 and self._tally.over < self._tally.total:
            left = seconds * (self._tally.total - done) / made
            detail += f", about {minutes(left / 60)} left"
        self._progress.update(self._overall, completed=done, detail=detail)


def _columns(width: int) -> list[BarColumn | TextColumn | TimeElapsedColumn]:
    """The columns of a bar; on a narrow terminal the clock goes first and the bar shrinks."""
    one_line = Column(no_wrap=True, overflow="ellipsis")
    name = TextColumn("{task.description}", table_column=one_line)
    detail = TextColumn("{task.fields[detail]}", table_column=one_line, style="dim")
    share = TextColumn("{task.percentage:>3.0f} %")
    if width < _NARROW:
        return [name, BarColumn(bar_width=8), share, detail]
    return [name, BarColumn(bar_width=20), share, TimeElapsedColumn(), detail]
