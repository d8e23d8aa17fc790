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
from dae_cli.study.progress import Position, Watcher
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
    bars = None
    if console.is_terminal and not console.is_dumb_terminal and not quiet:
        one_line = Column(no_wrap=True, overflow="ellipsis")
        bars = Progress(
            TextColumn("{task.description}", table_column=one_line),
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", table_column=one_line, style="dim"),
            console=console,
            transient=True,
        )
    display = Display(bars, quiet=quiet, single=single)
    with bars or display.heartbeat():
        yield display


class Display(Watcher):
    """A bar for each run and one for all, below lines that stay; or lines alone, or nothing."""

    def __init__(
        self, bars: Progress | None = None, *, quiet: bool = False, single: bool = False
    ) -> None:
        self._bars, self._muted, self._single = bars, quiet, single
        self._labels: dict[str, str] = {}
        self._tasks: dict[str, TaskID] = {}
        self._overall: TaskID | None = None
        self._positions: dict[str, Position] = {}
        self._over: set[str] = set()
        self._shares: dict[str, float] = {}
        self._shares_before: dict[str, float] = {}  # that were done before this command
        self._begin = self._written = time.monotonic()
        self._lock = RLock()

    def expect(self, jobs: Sequence[Job]) -> None:
        """Set the runs that will be made, before the first begins.

        They are called by their cell, with the seed where a cell has several.
        """
        with self._lock:
            self._begin = time.monotonic()
            cells = Counter(job.cell for job in jobs)
            for job in jobs:
                seed = f" seed {job.experiment.seed}" if cells[job.cell] > 1 else ""
                self._labels[job.name] = job.cell + seed
            if self._bars and len(jobs) > 1:
                self._overall = self._bars.add_task("all", total=len(jobs), detail="")
                self._count()

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Say where the runs are whenever nothing was said for a while."""
        over = Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT_SECONDS):
                with self._lock:
                    is_late = time.monotonic() - self._written >= HEARTBEAT_SECONDS
                    at = [f"{self._label(r)} {_where(p)}" for r, p in self._positions.items()]
                    if is_late and at:
                        self.note(f"running  {', '.join(at)}{self._time_left()}")

        thread = Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def note(self, text: str, style: str = "dim") -> None:
        """A line; above the bars, where there are any."""
        with self._lock:
            self._written = time.monotonic()
            if self._bars:
                self._bars.console.print(Text(text, style))
            elif not self._muted:
                try:
                    typer.echo(text, err=True)
                    sys.stderr.flush()
                except OSError:
                    self._muted = True  # nobody reads it, which is no reason to stop the runs

    def started(self, run: str, resumed: bool) -> None:
        """A bar or a line; news of another process can come when the run is over."""
        with self._lock:
            if run in self._over or run in self._tasks:
                return
            if self._bars:
                detail = "goes on" if resumed else ""
                self._tasks[run] = self._bars.add_task(self._label(run), total=1.0, detail=detail)
            else:
                self.note(f"{'goes on' if resumed else 'started'}  {self._label(run)}")

    def moved(self, run: str, position: Position) -> None:
        """The bar moves, or a line where epochs are wanted."""
        with self._lock:
            if run in self._over:
                return
            self._positions[run] = position
            self._shares[run] = position.fraction
            self._shares_before.setdefault(run, position.fraction)
            where, measured = _where(position), _measured(position)
            if self._bars:
                self.started(run, False)
                detail = "  ".join([where, *measured[-1:]])
                self._bars.update(self._tasks[run], completed=position.fraction, detail=detail)
                self._count()
            elif self._single and position.epoch:  # nothing is known before the first epoch
                self.note("  ".join([where, *measured]))

    def finished(self, row: RunRow) -> None:
        """A line that says how the run ended, unless the command does, instead of its bar."""
        with self._lock:
            self._over.add(row.run)
            self._shares[row.run] = 1.0
            self._positions.pop(row.run, None)
            if self._bars and row.run in self._tasks:
                self._bars.remove_task(self._tasks.pop(row.run))
            if not self._single:
                self.note(self._ending(row), "red" if row.error else "")
            self._count()

    def _label(self, run: str) -> str:
        return self._labels.get(run, run)

    def _total(self) -> int:
        return max(len(self._labels), len(self._over))

    def _count(self) -> None:
        """Move the bar of all runs, if there is one."""
        if self._bars and self._overall is not None:
            over, total = len(self._over), self._total()
            detail = f"{over} of {total} runs" if over < total else "writing the report"
            detail += self._time_left()
            self._bars.update(self._overall, completed=sum(self._shares.values()), detail=detail)

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
