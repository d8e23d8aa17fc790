"""What a person sees while runs are made: bars on a terminal, plain lines elsewhere.

All of it goes to stderr; stdout is for results.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, RLock, Thread

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from dae_cli.commands.tables import interval, minutes
from dae_cli.study.progress import Position, Silent
from dae_cli.study.rows import RunRow
from dae_cli.study.run.job import Job

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


class Display(Silent):
    """Knows the runs by name and how far they are; shows nothing."""

    def __init__(self, single: bool = False) -> None:
        self._single = single
        self._labels: dict[str, str] = {}
        self._positions: dict[str, Position] = {}
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
        cells = Counter(job.cell for job in jobs)
        for job in jobs:
            seed = f" seed {job.experiment.seed}" if cells[job.cell] > 1 else ""
            self._labels[job.name] = job.cell + seed

    def moved(self, run: str, position: Position) -> None:
        """Show where a run is; news of another process can come when the run is over."""
        with self._lock:
            if run not in self._over:
                self._positions[run] = position
                self._shares[run] = position.fraction
                self._shares_before.setdefault(run, position.fraction)
                self._show(run, position)

    def finished(self, row: RunRow) -> None:
        """Show how a run ended, unless the command does."""
        with self._lock:
            self._over.add(row.run)
            self._shares[row.run] = 1.0
            self._positions.pop(row.run, None)
            self._remove(row.run, "" if self._single else self._ending(row), bool(row.error))

    def _show(self, run: str, position: Position) -> None:
        """Where a run is."""

    def _remove(self, run: str, ending: str, is_failed: bool) -> None:
        """A run that is over, and what is to be said of it, if anything."""

    def _label(self, run: str) -> str:
        return self._labels.get(run, run)

    def _total(self) -> int:
        return max(len(self._labels), len(self._over))

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

    _muted = False
    _written = 0.0

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Say where the runs are whenever nothing was said for a while."""
        over = Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT_SECONDS):
                self._say_where()

        self._written = time.monotonic()
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
                self.note(f"running  {', '.join(places)}{self._time_left()}")

    def note(self, text: str) -> None:
        """One line."""
        with self._lock:
            self._written = time.monotonic()
            try:
                if not self._muted:
                    typer.echo(text, err=True)
                    sys.stderr.flush()
            except OSError:
                self._muted = True  # nobody reads it, which is no reason to stop the runs

    def started(self, run: str, resumed: bool) -> None:
        """One line."""
        if run not in self._over:
            self.note(f"{'goes on' if resumed else 'started'}  {self._label(run)}")

    def _show(self, run: str, position: Position) -> None:
        if self._single and position.epoch:  # nothing is known before the first epoch
            self.note("  ".join([_where(position), *_measured(position)]))

    def _remove(self, run: str, ending: str, is_failed: bool) -> None:
        if ending:
            self.note(ending)


class Bars(Display):
    """A bar for each run and one for all; what must stay on the screen is printed above them."""

    def __init__(self, console: Console, single: bool) -> None:
        super().__init__(single)
        one_line = Column(no_wrap=True, overflow="ellipsis")
        self.progress = Progress(
            TextColumn("{task.description}", table_column=one_line),
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", table_column=one_line, style="dim"),
            console=console,
            transient=True,
        )
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
            if run not in self._over and run not in self._bars:
                detail = "goes on" if resumed else ""
                self._bars[run] = self.progress.add_task(self._label(run), total=1.0, detail=detail)

    def _show(self, run: str, position: Position) -> None:
        self.started(run, False)
        detail = "  ".join([_where(position), *_measured(position)[-1:]])
        self.progress.update(self._bars[run], completed=position.fraction, detail=detail)
        self._count()

    def _remove(self, run: str, ending: str, is_failed: bool) -> None:
        if (bar := self._bars.pop(run, None)) is not None:
            self.progress.remove_task(bar)
        if ending:
            self.progress.console.print(Text(ending, "red" if is_failed else ""))
        self._count()

    def _count(self) -> None:
        if self._overall is None:
            return
        over, total = len(self._over), self._total()
        detail = f"{over} of {total} runs" if over < total else "writing the report"
        detail += self._time_left()
        self.progress.update(self._overall, completed=sum(self._shares.values()), detail=detail)


def _where(position: Position) -> str:
    """`pretrain layer 1  3/40`, `select trial  13`: where a run is."""
    if position.phase in ("test", "measure"):
        return position.phase
    if position.phase == "select":
        return f"select trial {position.epoch:>3}"
    layer = f" layer {position.layer}" if position.layer else ""
    width = len(str(position.epochs))
    return f"{position.phase}{layer} {position.epoch:>{width}}/{position.epochs}"


def _measured(position: Position) -> list[str]:
    """The cost and the validation error, as far as there are any."""
    if position.phase in ("test", "measure"):
        return []
    parts = [] if position.cost is None else [f"cost {position.cost:.4g}"]
    if position.valid_error_percent is not None:
        parts.append(f"valid {position.valid_error_percent:.2f} %")
    return parts
