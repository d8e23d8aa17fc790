"""A search from its plan to the selected settings: trials side by side, within a budget.

A search that was killed or stopped is continued by the same command; several commands share the
trials of one folder.
"""

from __future__ import annotations

import math
import shutil
import signal
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dae_cli.search.plan import SearchPlan
from dae_cli.search.selection import Selection, select
from dae_cli.search.trials import (
    Trial,
    next_trial,
    outdated_rows,
    sweep_trials,
    trials_of,
    write_search_csv,
)
from dae_cli.stopping import Interrupted, StopRequest
from dae_cli.study.distribute import STOPPING, distribute
from dae_cli.study.processes import Killed
from dae_cli.study.progress import Watcher
from dae_cli.study.results_folder import check_writable, tables_lock
from dae_cli.study.rows import TrialRow
from dae_cli.study.run.provenance import not_known
from dae_cli.study.tables.trials import EARLIER_CSV

if TYPE_CHECKING:
    from dae_cli.study.cluster import Cluster


@dataclass(frozen=True)
class CellOutcome:
    """What the search of one cell has come to, the trials of earlier commands included."""

    cell: str
    rows: tuple[TrialRow, ...]
    selection: Selection | None
    """None where no trial was completed."""


@dataclass(frozen=True)
class SearchOutcome:
    """What a command came to."""

    cells: tuple[CellOutcome, ...]
    ended: int
    """Trials that ended in this command."""
    is_late: bool
    """The time ran out."""
    minutes: float
    table: Path

    @property
    def selections(self) -> list[Selection]:
        """What is selected, of the cells that something is selected for."""
        return [cell.selection for cell in self.cells if cell.selection]


def run_search(
    plan: SearchPlan,
    *,
    workers: int,
    hours: float | None,
    watcher: Watcher,
    on_end: Callable[[TrialRow], None],
    cluster: Cluster | None = None,
) -> SearchOutcome:
    """Make the trials that are lacking, here or on a cluster, then select for each cell.

    `on_end` is called with the row of each trial that ends in this command.

    Raises:
        Interrupted: the command was asked to stop; every trial has saved a checkpoint.
        DaeError: search.csv was edited or cannot be written, trials cannot be made, or one of them
            cannot be continued now; the others have saved a checkpoint.
    """
    start = time.monotonic()
    for folder in (plan.out, plan.trials):
        check_writable(folder)
    if outdated := outdated_rows(plan):
        cells = ", ".join(dict.fromkeys(row.cell for row in outdated))
        watcher.note(
            f"{plan.table}: has trials of another space or pruning, other settings, data or "
            f"numerics, which are never mixed; they go to {EARLIER_CSV} ({cells})"
        )
    sweep_trials(plan)
    last_at_start = [cell.last_number for cell in trials_of(plan)]
    if cluster is not None:
        cluster.require(plan.trials, "optuna")
    stop = TimeLimit(lambda: watcher.note(STOPPING), hours)
    ended: list[TrialRow] = []
    with closing(_make_trials(plan, last_at_start, workers, watcher, stop, cluster)) as new:
        for row in new:
            ended.append(row)
            on_end(row)
    if not stop.is_late:
        shutil.rmtree(plan.pretrained, ignore_errors=True)
    with tables_lock(plan.out):
        rows = write_search_csv(plan)
    _note_what_lacks(plan, last_at_start, watcher)
    if note := not_known(row.commit for row in ended):
        watcher.note(note)
    outcomes = []
    for cell in plan.cells:
        own = tuple(row for row in rows if row.cell == cell.cell)
        outcomes.append(CellOutcome(cell.cell, own, select(plan.study, cell.searched, own)))
    minutes = (time.monotonic() - start) / 60.0
    return SearchOutcome(tuple(outcomes), len(ended), stop.is_late, minutes, plan.table)


def _note_what_lacks(plan: SearchPlan, last_at_start: Sequence[int], watcher: Watcher) -> None:
    for trials, last in zip(trials_of(plan), last_at_start, strict=True):
        cell = trials.cell
        if trials.is_space_exhausted and trials.counted < (cell.trials or math.inf):
            watcher.note(f"{cell.cell}: every setting of its space has been tried")
        elif trials.has_too_many_failures(last):
            watcher.note(
                f"{cell.cell}: given up, since its last trials all diverged or failed; narrow its "
                "space in study.yaml (search.csv has the reasons)"
            )


class TimeLimit(StopRequest):
    """Asks to stop when a signal does, or when the time is over."""

    def __init__(self, on_request: Callable[[], None], hours: float | None) -> None:
        """Give the hours from now on; None for no limit."""
        super().__init__(on_request)
        self._end = math.inf if hours is None else time.monotonic() + 3600.0 * hours
        self.is_late = False
        """Whether the time was over before a signal came."""

    @property
    def signal(self) -> int:
        """The number of the signal that asked to stop, SIGTERM when the time is over; else 0."""
        if not super().signal and time.monotonic() >= self._end:
            self.is_late = True
            self.request(signal.SIGTERM)
        return super().signal


def _make_trials(
    plan: SearchPlan,
    last_at_start: Sequence[int],
    workers: int,
    watcher: Watcher,
    stop: TimeLimit,
    cluster: Cluster | None,
) -> Generator[TrialRow, None, None]:
    """Make trials until every cell has its number, or the time is over; yield their rows.

    Raises:
        Interrupted: the command was asked to stop; every trial has saved a checkpoint.
        UnfinishedTrialError: a trial cannot be continued; the others have saved a checkpoint.
    """
    from dae_cli.search.trial import UnfinishedTrialError, fail_trial, make_trial

    plan = replace(plan, out=plan.out.absolute())  # a worker has a folder of its own to work in
    running: set[str] = set()
    failure: UnfinishedTrialError | None = None
    results = distribute(
        _trials(plan, last_at_start, running, watcher, stop),
        partial(make_trial, plan),
        workers=workers,
        watcher=watcher,
        stop=stop,
        cluster=cluster,
    )
    with closing(results):
        for trial, result in results:
            assert isinstance(trial, Trial)
            running.discard(trial.name)
            if isinstance(result, Killed):
                result = fail_trial(plan, trial, f"{result.why}; smaller layers need less memory")
            if isinstance(result, TrialRow):
                yield result
            elif isinstance(result, UnfinishedTrialError):
                failure = failure or result
                if not running:
                    break
                stop.request(signal.SIGTERM)
    if failure:
        raise failure
    if stop.signal and not stop.is_late:
        raise Interrupted(stop.signal)


def _trials(
    plan: SearchPlan,
    last_at_start: Sequence[int],
    running: set[str],
    watcher: Watcher,
    stop: StopRequest,
) -> Iterator[Trial | None]:
    """Decide each trial when there is a place for it; None while others make the last ones.

    The caller takes a trial out of `running` when it has ended.
    """
    waits = False
    while not stop.signal:
        trial = next_trial(plan, last_at_start, running)
        if isinstance(trial, Trial):
            running.add(trial.name)
            yield trial
        elif running:  # which may fail, so that others take their places
            yield None
        elif trial == "none":
            return
        else:
            if not waits:
                watcher.note("another dae process is making the last trials; waiting for it")
            waits = True
            yield None
