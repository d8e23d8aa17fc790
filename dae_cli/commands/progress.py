"""Progress of runs: bars on a terminal, plain lines elsewhere.

Everything goes to stderr; stdout is for results.
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
from dae_cli.study.estimate import reference_minutes
from dae_cli.study.progress import Position, Watcher
from dae_cli.study.rows import RunRow
from dae_cli.study.run.job import Job

_GUESS_AFTER = 20.0
"""Seconds before the remaining time is estimated."""
HEARTBEAT_SECONDS = 30.0
"""After this time without a line (at most twice) a log reports where the runs are."""


@contextmanager
def progress_display(*, quiet: bool = False, single: bool = False) -> Iterator[Display]:
    """Yield the display that suits stderr.

    Args:
        quiet: show nothing.
        single: there is one run, whose result the command prints. Plain lines show each reported
            epoch. Otherwise they show the start and end of each run.
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
    """A bar for each run and one for all, below permanent lines; or only lines; or nothing."""

    def __init__(
        self, bars: Progress | None = None, *, quiet: bool = False, single: bool = False
    ) -> None:
        self._bars, self._muted, self._single = bars, quiet, single
        self._labels: dict[str, str] = {}
        self._work: dict[str, float] = {}  # estimated minutes of each run
        self._tasks: dict[str, TaskID] = {}
        self._overall: TaskID | None = None
        self._positions: dict[str, Position] = {}
        self._over: set[str] = set()
        self._shares: dict[str, float] = {}
        self._shares_before: dict[str, float] = {}  # done before this command
        self._begin = self._written = time.monotonic()
        self._lock = RLock()

    def expect(self, jobs: Sequence[Job]) -> None:
        """Announce the runs before the first begins.

        A run is labelled by its cell, with the seed if the cell has several runs.
        """
        with self._lock:
            self._begin = time.monotonic()
            cells = Counter(job.cell for job in jobs)
            for job in jobs:
                seed = f" seed {job.experiment.seed}" if cells[job.cell] > 1 else ""
                self._labels[job.name] = job.cell + seed
                self._work[job.name] = reference_minutes(job.experiment)
            if self._bars and len(jobs) > 1:
                self._overall = self._bars.add_task("all", total=len(jobs), detail="")
                self._count()

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Report where the runs are when there was no line for a while."""
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
        """Print a line, above the bars if there are any."""
        with self._lock:
            self._written = time.monotonic()
            if self._bars:
                self._bars.console.print(Text(text, style))
            elif not self._muted:
                try:
                    typer.echo(text, err=True)
                    sys.stderr.flush()
                except OSError:
                    self._muted = True  # nobody reads stderr; the runs continue

    def started(self, run: str, resumed: bool) -> None:
        """Add a bar or a line; a message from another process may arrive after the end."""
        with self._lock:
            if run in self._over or run in self._tasks:
                return
            if self._bars:
                detail = "resumed" if resumed else ""
                self._tasks[run] = self._bars.add_task(self._label(run), total=1.0, detail=detail)
            else:
                self.note(f"{'resumed' if resumed else 'started'}  {self._label(run)}")

    def moved(self, run: str, position: Position) -> None:
        """Move the bar, or print a line for the epoch of a single run."""
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
                detail += self._time_left() if self._overall is None else ""
                self._bars.update(self._tasks[run], completed=position.fraction, detail=detail)
                self._count()
            elif self._single and position.epoch:  # there are no measures before the first epoch
                self.note("  ".join([where, *measured]))

    def finished(self, row: RunRow) -> None:
        """Replace the bar by a line about the end of the run, unless the command prints it."""
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
        """Return `, about 3 min left` for all runs; empty if there is no estimate."""
        seconds = time.monotonic() - self._begin
        ahead = sum(work * (1 - self._shares.get(run, 0)) for run, work in self._work.items())
        done = sum(
            work * (self._shares.get(run, 0) - self._shares_before.get(run, 0))
            for run, work in self._work.items()
        )
        if seconds <= _GUESS_AFTER or done <= 0 or ahead <= 0:
            return ""
        return f", about {minutes(seconds * ahead / done / 60)} left"

    def _ending(self, row: RunRow) -> str:
        """Return the line about the end of a run."""
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
    """Return where a run is: `pretrain layer 1  3/40`, `select trial  13`."""
    if position.phase in ("test", "measure"):
        return position.phase
    if position.phase == "select":
        return f"select trial {position.epoch:>3}"
    layer = f" layer {position.layer}" if position.layer else ""
    width = len(str(position.epochs))
    return f"{position.phase}{layer} {position.epoch:>{width}}/{position.epochs}"


def _measured(position: Position) -> list[str]:
    """Return the cost and the validation error, if there are any."""
    if position.phase in ("test", "measure"):
        return []
    parts = [] if position.cost is None else [f"cost {position.cost:.4g}"]
    if position.valid_error_percent is not None:
        parts.append(f"valid {position.valid_error_percent:.2f} %")
    return parts
