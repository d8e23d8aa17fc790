"""What a person sees while runs are made: bars on a terminal, plain lines elsewhere.

All of it goes to stderr; stdout is for results.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, RLock, Thread

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from dae_cli.commands.tables import interval, minutes
from dae_cli.study.progress import Position, Watcher
from dae_cli.study.rows import RunRow
from dae_cli.study.run.job import Job

_NARROW = 72
_GUESS_AFTER = 20.0
"""Seconds before the time left is worth guessing."""
HEARTBEAT_SECONDS = 30.0
"""After so long without a line, twice at most, a log says where the runs are."""


@contextmanager
def progress_display(*, quiet: bool = False, single: bool = False) -> Iterator[Display]:
    """The display that suits where stderr goes.

    Args:
        quiet: show nothing.
        single: one run is made. Plain lines show each epoch that is reported; its end is left to
            the command. Otherwise they show the start and end of each run.
    """
    console = Console(stderr=True, highlight=False)
    if quiet:
        yield Display()
    elif console.is_terminal and not console.is_dumb_terminal:
        bars = Bars(console, single)
        with bars.progress:
            yield bars
    else:
        lines = Lines(single)
        with lines.heartbeat():
            yield lines


class Display(Watcher):
    """Knows the runs by name and how many are over; shows nothing."""

    def __init__(self, single: bool = False) -> None:
        self._single = single
        self._labels: dict[str, str] = {}
        self._over: set[str] = set()
        self._shares: dict[str, float] = {}
        self._shares_before: dict[str, float] = {}  # that were done before this command
        self._begin = time.monotonic()
        self._lock = RLock()

    def expect(self, jobs: Sequence[Job]) -> None:
        """Set the runs that will be made, before the first begins.

        They are called by their cell, with the seed where a cell has several.
        """
        self._begin = time.monotonic()
        cells = [job.cell for job in jobs]
        for job in jobs:
            seed = f" seed {job.experiment.seed}" if cells.count(job.cell) > 1 else ""
            self._labels[job.name] = job.cell + seed

    def _label(self, run: str) -> str:
        return self._labels.get(run, run)

    def _is_over(self, run: str) -> bool:
        """Whether news of the run comes too late; that of other processes can."""
        return run in self._over

    def _total(self) -> int:
        return max(len(self._labels), len(self._over))

    def _note_share(self, run: str, position: Position) -> None:
        """Remember how far a run is."""
        self._shares[run] = position.fraction
        self._shares_before.setdefault(run, position.fraction)

    def _time_left(self) -> str:
        """`, about 3 min left` for all runs; empty where it cannot be guessed."""
        seconds, done = time.monotonic() - self._begin, sum(self._shares.values())
        share = done - sum(self._shares_before.values())
        if seconds <= _GUESS_AFTER or share <= 0 or len(self._over) >= self._total():
            return ""
        return f", about {minutes(seconds * (self._total() - done) / share / 60)} left"

    def _ending(self, row: RunRow) -> str:
        """The line that says how a run ended."""
        label, total = self._label(row.run), self._total()
        count = f" ({len(self._over)} of {total})" if total > 1 else ""
        if row.error:
            return f"failed   {label}{count}: {row.error}"
        took = f" in {minutes(row.minutes)}" if row.minutes is not None else ""
        if row.test_error_percent is None:  # trained for its filters
            return f"done     {label}{took}{count}"
        number = interval(row.test_error_percent, row.half_width_95)
        odd = " (at chance)" if row.remark else ""
        return f"done     {label}: {number} % test error{odd}{took}{count}"


class Lines(Display):
    """Plain lines, one a run, or one an epoch."""

    def __init__(self, single: bool = False) -> None:
        super().__init__(single)
        self._muted = False
        self._written = time.monotonic()
        self._positions: dict[str, Position] = {}

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Say where the runs are whenever nothing was said for a while."""
        over = Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT_SECONDS):
                self._say_where()

        thread = Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _say_where(self) -> None:
        with self._lock:
            if time.monotonic() - self._written >= HEARTBEAT_SECONDS and self._positions:
                places = [f"{self._label(r)} {_where(p)}" for r, p in self._positions.items()]
                self._write(f"running  {', '.join(places)}{self._time_left()}")

    def note(self, text: str) -> None:
        """One line."""
        self._write(text)

    def started(self, run: str, resumed: bool) -> None:
        """One line."""
        if not self._is_over(run):
            self._write(f"{'goes on' if resumed else 'started'}  {self._label(run)}")

    def moved(self, run: str, position: Position) -> None:
        """One line where epochs are wanted; nothing is known before the first epoch."""
        with self._lock:
            if self._is_over(run):
                return
            self._note_share(run, position)
            self._positions[run] = position
            if self._single and position.epoch:
                self._write(_epoch_line(position))

    def finished(self, row: RunRow) -> None:
        """One line."""
        with self._lock:
            self._over.add(row.run)
            self._shares[row.run] = 1.0
            self._positions.pop(row.run, None)
            if not self._single:
                self._write(self._ending(row))

    def _write(self, text: str) -> None:
        with self._lock:
            if self._muted:
                return
            self._written = time.monotonic()
            try:
                typer.echo(text, err=True)
                sys.stderr.flush()
            except OSError:
                self._muted = True  # nobody reads it, which is no reason to stop the runs


class Bars(Display):
    """A bar for each run and one for all; what must stay on the screen is printed above them."""

    def __init__(self, console: Console, single: bool) -> None:
        super().__init__(single)
        self.progress = Progress(*_columns(console.width), console=console, transient=True)
        self._bars: dict[str, TaskID] = {}
        self._overall: TaskID | None = None

    def expect(self, jobs: Sequence[Job]) -> None:
        """Draw the bar of the whole study, if there is more than one run."""
        with self._lock:
            super().expect(jobs)
            if len(jobs) > 1:
                self._overall = self.progress.add_task("all", total=len(jobs), detail="")
                self._count()

    def note(self, text: str) -> None:
        """A line above the bars."""
        self.progress.console.print(Text(text, "dim"))

    def started(self, run: str, resumed: bool) -> None:
        """A new bar."""
        with self._lock:
            if self._is_over(run) or run in self._bars:
                return
            detail = "goes on" if resumed else ""
            self._bars[run] = self.progress.add_task(self._label(run), total=1.0, detail=detail)

    def moved(self, run: str, position: Position) -> None:
        """The bar moves."""
        with self._lock:
            if self._is_over(run):
                return
            self.started(run, False)
            detail = "  ".join(filter(None, (_where(position), _measured(position))))
            self.progress.update(self._bars[run], completed=position.fraction, detail=detail)
            self._note_share(run, position)
            self._count()

    def finished(self, row: RunRow) -> None:
        """The bar is replaced by a line that stays."""
        with self._lock:
            self._over.add(row.run)
            self._shares[row.run] = 1.0
            if (bar := self._bars.pop(row.run, None)) is not None:
                self.progress.remove_task(bar)
            if not self._single:
                self.progress.console.print(Text(self._ending(row), "red" if row.error else ""))
            self._count()

    def _count(self) -> None:
        if self._overall is None:
            return
        over, total = len(self._over), self._total()
        detail = f"{over} of {total} runs" if over < total else "writing the report"
        detail += self._time_left()
        self.progress.update(self._overall, completed=sum(self._shares.values()), detail=detail)


def _columns(width: int) -> list[BarColumn | TextColumn | TimeElapsedColumn]:
    """The columns of a bar; on a narrow terminal the clock goes first and the bar shrinks."""
    one_line = Column(no_wrap=True, overflow="ellipsis")
    name = TextColumn("{task.description}", table_column=one_line)
    detail = TextColumn("{task.fields[detail]}", table_column=one_line, style="dim")
    share = TextColumn("{task.percentage:>3.0f} %")
    if width < _NARROW:
        return [name, BarColumn(bar_width=8), share, detail]
    return [name, BarColumn(bar_width=20), share, TimeElapsedColumn(), detail]


def _where(position: Position) -> str:
    """`pretrain layer 1  3/40`, `select trial  13`: where a run is."""
    if position.phase in ("test", "measure"):
        return position.phase
    if position.phase == "select":
        return f"select trial {position.epoch:>3}"
    layer = f" layer {position.layer}" if position.layer else ""
    width = len(str(position.epochs))
    return f"{position.phase}{layer} {position.epoch:>{width}}/{position.epochs}"


def _measured(position: Position) -> str:
    """The validation error if there is one, else the cost, in few letters."""
    if position.valid_error_percent is not None:
        return f"valid {position.valid_error_percent:.2f} %"
    return "" if position.cost is None else f"cost {position.cost:.4g}"


def _epoch_line(position: Position) -> str:
    """One line of a log: where the run is, cost and validation error."""
    parts = [_where(position)]
    if position.phase not in ("test", "measure"):
        if position.cost is not None:
            parts.append(f"cost {position.cost:.4g}")
        if position.valid_error_percent is not None:
            parts.append(f"validation error {position.valid_error_percent:.2f} %")
    return "  ".join(parts)
