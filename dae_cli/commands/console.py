"""What a person sees while runs are going: bars on a terminal, plain lines elsewhere.

All of it goes to stderr; stdout belongs to results.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Protocol

import typer

from dae_cli.commands.tables import interval, minutes
from dae_cli.study.progress import Position, Silent, Watcher

if TYPE_CHECKING:
    from dae_cli.study.rows import RunRow
    from dae_cli.study.run.job import Job


class RunWatcher(Watcher, Protocol):
    """A watcher that is told beforehand what will run."""

    def expect(self, jobs: Sequence[Job]) -> None:
        """These runs will be made; called once, before the first begins."""


class Quiet(Silent):
    """Watches without a word."""

    def expect(self, jobs: Sequence[Job]) -> None:
        """Ignore."""


@contextmanager
def watching(*, quiet: bool = False, single: bool = False) -> Iterator[RunWatcher]:
    """The watcher that suits where stderr goes.

    Args:
        quiet: not a word.
        single: one run is made. Plain lines tell each epoch that is reported; its end is left
            to the command. Otherwise they tell the start and end of each run.
    """
    if quiet:
        yield Quiet()
    elif _draws():
        from dae_cli.commands.bars import Bars

        with Bars(single) as bars:
            yield bars
    else:
        yield Lines(single)


def _draws() -> bool:
    from rich.console import Console

    console = Console(stderr=True)
    return console.is_terminal and not console.is_dumb_terminal


class Tally:
    """The runs by name, how they are called on the screen, and how many are over."""

    def __init__(self) -> None:
        self._labels: dict[str, str] = {}
        self._over: set[str] = set()

    def expect(self, jobs: Sequence[Job]) -> None:
        """Name the runs: by their cell, with the seed where a cell has several."""
        cells = [job.cell for job in jobs]
        for job in jobs:
            seed = f" seed {job.experiment.seed}" if cells.count(job.cell) > 1 else ""
            self._labels[job.name] = job.cell + seed

    def label(self, run: str) -> str:
        """The short name of a run."""
        return self._labels.get(run, run)

    def end(self, run: str) -> None:
        """The run is over."""
        self._over.add(run)

    def is_over(self, run: str) -> bool:
        """Whether news of the run comes too late; workers report through files."""
        return run in self._over

    @property
    def over(self) -> int:
        """Runs that are over."""
        return len(self._over)

    @property
    def total(self) -> int:
        """Runs that were expected, at least those that are over."""
        return max(len(self._labels), len(self._over))

    def ending(self, row: RunRow) -> str:
        """The line that tells how a run ended."""
        count = f" ({self.over} of {self.total})" if self.total > 1 else ""
        if row.error:
            return f"failed   {self.label(row.run)}{count}: {row.error}"
        took = f" in {minutes(row.minutes)}" if row.minutes is not None else ""
        if row.test_error_percent is None:  # trained for its filters
            return f"done     {self.label(row.run)}{took}{count}"
        number = interval(row.test_error_percent, row.half_width_95)
        return f"done     {self.label(row.run)}: {number} % test error{took}{count}"


class Lines:
    """Plain lines, one a run, or one an epoch."""

    def __init__(self, single: bool) -> None:
        self._single = single
        self._tally = Tally()
        self._lock = RLock()
        self._mute = False

    def expect(self, jobs: Sequence[Job]) -> None:
        """Take note of the runs' names."""
        self._tally.expect(jobs)

    def note(self, text: str) -> None:
        """One line."""
        self._write(text)

    def started(self, run: str, resumed: bool) -> None:
        """One line."""
        if not self._tally.is_over(run):
            self._write(f"{'goes on' if resumed else 'started'}  {self._tally.label(run)}")

    def moved(self, run: str, position: Position) -> None:
        """One line where epochs are wanted; a position before the first epoch tells nothing."""
        if self._single and position.epoch and not self._tally.is_over(run):
            self._write(epoch_line(position))

    def finished(self, row: RunRow) -> None:
        """One line."""
        with self._lock:
            self._tally.end(row.run)
            if not self._single:
                self._write(self._tally.ending(row))

    def _write(self, text: str) -> None:
        with self._lock:
            if self._mute:
                return
            try:
                typer.echo(text, err=True)
                sys.stderr.flush()
            except OSError:
                self._mute = True  # nobody reads on, which is no reason to stop the runs


def place(position: Position) -> str:
    """`pretrain layer 1  3/40`, `select trial  13`: where a run stands."""
    layer = f" layer {position.layer}" if position.layer else ""
    if position.phase in ("test", "measure"):
        return position.phase
    if position.phase == "select":
        return f"select trial {position.epoch:>3}"
    return (
        f"{position.phase}{layer} {position.epoch:>{len(str(position.epochs))}}/{position.epochs}"
    )


def measured(position: Position) -> str:
    """The validation error if there is one, else the cost, in few letters."""
    if position.valid_error_percent is not None:
        return f"valid {position.valid_error_percent:.2f} %"
    return "" if position.cost is None else f"cost {position.cost:.4g}"


def epoch_line(position: Position) -> str:
    """One line of a log: place, cost and validation error."""
    if position.phase in ("test", "measure"):
        return position.phase
    parts = [place(position)]
    if position.cost is not None:
        parts.append(f"cost {position.cost:.4g}")
    if position.valid_error_percent is not None:
        parts.append(f"validation error {position.valid_error_percent:.2f} %")
    return "  ".join(parts)
