"""A search from its plan to the selected settings: trials side by side, within a budget.

Killed or stopped, the same command goes on; several commands share the trials of one folder.
"""

from __future__ import annotations

import math
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

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
from dae_cli.stopping import Interrupted, SignalStop, Stop
from dae_cli.study.locks import HeldError
from dae_cli.study.progress import Watcher
from dae_cli.study.results_folder import check_writable, tables_alone
from dae_cli.study.rows import TrialRow
from dae_cli.study.run.folder import sweep_runs
from dae_cli.study.run.provenance import not_known
from dae_cli.study.run.threads import one_thread_in_processes
from dae_cli.study.tables.trials import EARLIER_CSV
from dae_cli.study.workers.cluster import Cluster
from dae_cli.study.workers.files import STOPPING
from dae_cli.study.workers.pool import POLL_SECONDS, continuing
from dae_cli.study.workers.processes import Lost, Processes

if TYPE_CHECKING:
    from dae_cli.search.trial import UnfinishedTrialError

WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class CellOutcome:
    """What the search of one cell has come to, the trials of earlier commands included."""

    cell: str
    rows: tuple[TrialRow, ...]
    selection: Selection | None
    """None where no trial was completed."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, for programs."""
        states = [row.state for row in self.rows]
        counts = {s: states.count(s) for s in ("complete", "pruned", "diverged", "failed")}
        selected = self.selection.row.plain() if self.selection else None
        file = str(self.selection.path) if self.selection else None
        return {"cell": self.cell, "trials": len(states), **counts, "selected": selected} | {
            "file": file
        }


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

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, for programs."""
        return {
            "cells": [cell.as_dict() for cell in self.cells],
            "made": self.ended,
            "time_ran_out": self.is_late,
            "minutes": round(self.minutes, 4),
            "table": str(self.table),
        }


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

    Args:
        plan: the search.
        workers: trials at a time, one process each.
        hours: that the command may take; trials that are being made then keep a checkpoint.
        watcher: hears what is worth a line.
        on_end: is called with the row of each trial that ends in this command.
        cluster: whose workers make the trials, if not this machine.

    Raises:
        OutputError: results cannot be written.
        RunFolderError: search.csv is not one that dae wrote.
        Interrupted: the command was asked to stop; every trial has kept a checkpoint.
        UnfinishedTrialError: a trial cannot go on now; every trial has kept a checkpoint.
        DaeError: no worker process can be started, or the cluster cannot do it.
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
    last_before = [cell.last_number for cell in trials_of(plan)]
    ended: list[TrialRow] = []

    def end(row: TrialRow) -> None:
        ended.append(row)
        on_end(row)

    late = _make_trials(plan, last_before, workers, cluster, hours, watcher, end)
    if not late:
        shutil.rmtree(plan.pretrained, ignore_errors=True)
    with tables_alone(plan.out):
        rows = write_search_csv(plan)
    _note_what_lacks(plan, last_before, watcher)
    if note := not_known(row.commit for row in ended):
        watcher.note(note)
    outcomes = []
    for cell in plan.cells:
        own = tuple(row for row in rows if row.cell == cell.cell)
        outcomes.append(CellOutcome(cell.cell, own, select(plan.study, cell.searched, own)))
    minutes = (time.monotonic() - start) / 60.0
    return SearchOutcome(tuple(outcomes), len(ended), late, minutes, plan.table)


def _note_what_lacks(plan: SearchPlan, last_before: Sequence[int], watcher: Watcher) -> None:
    for trials, last in zip(trials_of(plan), last_before, strict=True):
        cell = trials.cell
        if trials.is_space_exhausted and trials.counted < (cell.trials or math.inf):
            watcher.note(f"{cell.cell}: every setting of its space has been tried")
        elif trials.fails_always(last):
            watcher.note(
                f"{cell.cell}: given up, since its last trials all diverged or failed; narrow its "
                "space in study.yaml (search.csv has the reasons)"
            )


class TimedStop(SignalStop):
    """Asks to stop when a signal does, or when the time is over."""

    def __init__(self, tell: Callable[[], None], hours: float | None) -> None:
        """Give the hours from now on; None for no limit."""
        super().__init__(tell)
        self._until = None if hours is None else time.monotonic() + 3600.0 * hours

    @property
    def is_late(self) -> bool:
        """Whether the time is over."""
        return self._until is not None and time.monotonic() >= self._until

    @property
    def signal(self) -> int:
        """The number of the signal that was heard; 0 for none."""
        return super().asked()

    def asked(self) -> int:
        """Return the signal's number, or SIGTERM's when the time is over, else 0."""
        return self.signal or (signal.SIGTERM if self.is_late else 0)


class _Trials:
    """The trials of one command, each decided when there is a place for it."""

    def __init__(self, plan: SearchPlan, last_before: Sequence[int]) -> None:
        self._plan, self._last_before = plan, last_before
        self.running: dict[str, Trial] = {}
        self.begun = 0
        self.rest: Literal["others'", "none"] = "none"
        """What there is, once there is no trial to be made."""

    def __iter__(self) -> Iterator[Trial]:
        while True:
            trial = next_trial(self._plan, self._last_before, self.running)
            if not isinstance(trial, Trial):
                self.rest = trial
                return
            self.running[trial.job.name] = trial
            self.begun += 1
            yield trial


def _make_trials(
    plan: SearchPlan,
    last_before: Sequence[int],
    workers: int,
    cluster: Cluster | None,
    hours: float | None,
    watcher: Watcher,
    on_end: Callable[[TrialRow], None],
) -> bool:
    """Make trials until every cell has its number; tell whether the time was over before."""
    here = cluster is None and workers == 1
    stop = TimedStop((lambda: watcher.note(STOPPING)) if here else (lambda: None), hours)
    waits = False
    while not stop.asked():
        trials = _Trials(plan, last_before)
        if cluster is not None:
            rows = _on_cluster(plan, trials, workers, cluster, stop, watcher)
        elif workers > 1:
            rows = _side_by_side(plan, trials, workers, stop, watcher)
        else:
            rows = _here(plan, trials, stop)
        for row in rows:
            on_end(row)
        if trials.begun or stop.asked():
            continue
        if trials.rest == "none":
            break
        if not waits:
            watcher.note("another dae process is making the last trials; waiting for it")
            waits = True
        time.sleep(WAIT_SECONDS)
    if stop.signal:
        raise Interrupted(stop.signal)
    return stop.is_late


def _make(plan: SearchPlan, trial: Trial, stop: Stop) -> TrialRow | UnfinishedTrialError | None:
    from dae_cli.search.trial import UnfinishedTrialError, make_trial
    from dae_cli.study.run.status import Stopped

    if stop.asked():
        return None
    try:
        return make_trial(plan, trial, stop)
    except UnfinishedTrialError as error:
        return error
    except (HeldError, Stopped):
        return None


def _here(plan: SearchPlan, trials: _Trials, stop: TimedStop) -> Iterator[TrialRow]:
    for trial in trials:
        row = _make(plan, trial, stop)
        trials.running.clear()
        if isinstance(row, Exception):
            raise row
        if row:
            yield row
        if stop.asked():
            return


def _side_by_side(
    plan: SearchPlan, trials: _Trials, workers: int, stop: TimedStop, watcher: Watcher
) -> Iterator[TrialRow]:
    from dae_cli.search.trial import fail_trial

    ahead = iter(trials)
    failure = None
    one_thread_in_processes()
    over = False
    with stop.deferred(), closing(Processes[Trial, Any]()) as processes:
        while processes or not (over or stop.asked()):
            while len(processes) < workers and not (over or stop.asked()):
                trial = next(ahead, None)
                if over := trial is None:
                    break
                processes.start(trial, partial(_make, plan, trial))
            for trial, outcome in processes.ended(POLL_SECONDS):
                trials.running.pop(trial.job.name)
                if isinstance(outcome, TrialRow):
                    yield outcome
                elif isinstance(outcome, Exception):
                    over, failure = True, failure or outcome
                elif isinstance(outcome, Lost) and not stop.asked():
                    if workers > 1:
                        workers -= 1
                        watcher.note(f"{outcome}; {continuing(workers, 'trial')}")
                    else:
                        yield fail_trial(plan, trial, f"{outcome}; smaller layers need less memory")
            if (stop.asked() or failure) and processes.ask_to_stop():
                watcher.note(STOPPING)
    sweep_runs(plan.trials)
    if failure:
        raise failure
