"""A search from its plan to the selected settings: trials side by side, within a budget.

A search that was killed or stopped is continued by the same command; several commands share the
trials of one folder.
"""

from __future__ import annotations

import math
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from dae_cli.csvfile import read_rows
from dae_cli.errors import DaeError
from dae_cli.search.plan import SearchPlan
from dae_cli.search.selection import Selection, select
from dae_cli.search.trials import (
    Trial,
    as_begun,
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

MOST_FAILURES = 10
"""So many trials of a cell in succession that diverge or fail end its search in a command."""


@dataclass(frozen=True)
class SearchOutcome:
    """What a command came to."""

    rows: Mapping[str, list[TrialRow]]
    """By cell, those of earlier commands included."""
    selections: Mapping[str, Selection]
    """By cell, where a trial was completed."""
    ended: int
    """Trials that ended in this command."""
    is_late: bool
    """The time ran out."""
    minutes: float


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
    digests = {cell.cell: cell.digest for cell in plan.cells}
    before = read_rows(plan.table, TrialRow)
    outdated = [row.cell for row in before if row.search != digests.get(row.cell, row.search)]
    if outdated:
        watcher.note(
            f"{plan.table}: has trials of another space or pruning, other settings, data or "
            "numerics, which are never mixed; they go to "
            f"{EARLIER_CSV} ({', '.join(dict.fromkeys(outdated))})"
        )
    sweep_trials(plan)
    if cluster is not None:
        cluster.require(plan.trials, "optuna")
    stop = TimeLimit(lambda: watcher.note(STOPPING), hours)
    ended = _make_trials(plan, workers, watcher, stop, on_end, cluster)
    if not stop.is_late:
        shutil.rmtree(plan.pretrained, ignore_errors=True)
    with tables_lock(plan.out):
        every = write_search_csv(plan)
    if note := not_known(row.commit for row in ended):
        watcher.note(note)
    rows, selections = {}, {}
    for cell in plan.cells:
        rows[cell.cell] = [row for row in every if row.cell == cell.cell]
        if selection := select(plan.study, cell, rows[cell.cell]):
            selections[cell.cell] = selection
    minutes = (time.monotonic() - start) / 60.0
    return SearchOutcome(rows, selections, len(ended), stop.is_late, minutes)


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
    workers: int,
    watcher: Watcher,
    stop: TimeLimit,
    on_end: Callable[[TrialRow], None],
    cluster: Cluster | None,
) -> list[TrialRow]:
    """Make trials until every cell has its number, or the time is over; return their rows."""
    from dae_cli.search.trial import make_trial

    plan = replace(plan, out=plan.out.absolute())  # a worker has a folder of its own to work in
    running: set[str] = set()
    failures = Counter[str]()  # in succession, by cell
    ended: list[TrialRow] = []
    failure: DaeError | None = None
    results = distribute(
        _lacking_trials(plan, running, failures, watcher, stop),
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
                why = f"{result.why}; smaller layers need less memory"
                result = make_trial(plan, trial, watcher, stop, killed=why)
            if isinstance(result, TrialRow):
                ended.append(result)
                on_end(result)
                failures[trial.cell] = 0 if result.counts else failures[trial.cell] + 1
            elif isinstance(result, DaeError):
                failure = failure or result
                if not running:
                    break
                stop.request(signal.SIGTERM)
    if failure:
        raise failure
    if stop.signal and not stop.is_late:
        raise Interrupted(stop.signal)
    for cell in trials_of(plan):
        if cell.is_space_exhausted and cell.counted < (cell.cell.trials or math.inf):
            watcher.note(f"{cell.name}: every setting of its space has been tried")
        elif failures[cell.name] >= MOST_FAILURES:
            watcher.note(
                f"{cell.name}: given up, since its last trials all diverged or failed; narrow its "
                "space in study.yaml (search.csv has the reasons)"
            )
    return ended


def _lacking_trials(
    plan: SearchPlan,
    running: set[str],
    failures: Mapping[str, int],
    watcher: Watcher,
    stop: StopRequest,
) -> Iterator[Trial | None]:
    """Decide each trial when there is a place for it: an unfinished one, else a new one.

    None while others make the last ones, which may fail, so that more are needed. The caller takes
    a trial out of `running` when it has ended.
    """
    waits = False
    while not stop.signal:
        with tables_lock(plan.out):
            cells = trials_of(plan)
            begun = [trial for cell in cells for trial in cell.unfinished.values()]
            others = [trial for trial in begun if trial.name not in running]
            wanting = [
                cell for cell in cells if cell.wants_more and failures[cell.name] < MOST_FAILURES
            ]
            trial = next((trial for trial in others if not trial.is_held()), None)
            if trial:
                trial = as_begun(trial)
            elif wanting:
                trial = min(wanting, key=lambda cell: cell.counted).begin()
        if trial:
            running.add(trial.name)
        elif not (running or others):
            return
        elif not (running or waits):
            waits = True
            watcher.note("another dae process is making the last trials; waiting for it")
        yield trial
