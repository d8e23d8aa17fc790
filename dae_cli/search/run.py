"""Run a search from its plan to the selected settings: parallel trials within a budget.

The same command resumes a search that was killed or stopped. Several commands can share a folder.
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
    sweep_trials,
    trials_of,
    with_original_engine,
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
"""Number of consecutive diverged or failed trials after which a command gives up a cell."""


@dataclass(frozen=True)
class SearchOutcome:
    """The result of a search command."""

    rows: Mapping[str, list[TrialRow]]
    """Trials by cell, those of earlier commands included."""
    selections: Mapping[str, Selection]
    """Selection by cell, for cells with a completed trial."""
    ended: int
    """Number of trials that ended in this command."""
    is_late: bool
    """Whether the time limit ended the command."""
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
    """Run the missing trials, here or on a cluster, then select settings for each cell.

    `on_end` is called with the row of each trial that ends in this command.

    Raises:
        Interrupted: the command was asked to stop; every trial has saved a checkpoint.
        DaeError: search.csv was edited or cannot be written, trials cannot be run, or a trial
            cannot continue now; the other trials have saved a checkpoint.
    """
    start = time.monotonic()
    for folder in (plan.out, plan.trials):
        check_writable(folder)
    digests = {cell.cell: cell.digest for cell in plan.cells}
    before = read_rows(plan.table, TrialRow)
    outdated = [row.cell for row in before if row.search != digests.get(row.cell, row.search)]
    if outdated:
        watcher.note(
            f"{plan.table} has trials with another space, pruning, settings, data or numerics, "
            "which are not comparable with new ones; moving them to "
            f"{EARLIER_CSV} ({', '.join(dict.fromkeys(outdated))})"
        )
    sweep_trials(plan)
    if cluster is not None:
        cluster.require(plan.trials, "optuna")
    stop = TimeLimit(lambda: watcher.note(STOPPING), hours)
    ended = _run_trials(plan, workers, watcher, stop, on_end, cluster)
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
    """A stop request that comes from a signal or from a time limit."""

    def __init__(self, on_request: Callable[[], None], hours: float | None) -> None:
        """Start the time limit now; `hours` is None for no limit."""
        super().__init__(on_request)
        self._end = math.inf if hours is None else time.monotonic() + 3600.0 * hours
        self.is_late = False
        """Whether the time limit was reached before a signal."""

    @property
    def signal(self) -> int:
        """Number of the signal that asked to stop, SIGTERM after the time limit, else 0."""
        if not super().signal and time.monotonic() >= self._end:
            self.is_late = True
            self.request(signal.SIGTERM)
        return super().signal


def _run_trials(
    plan: SearchPlan,
    workers: int,
    watcher: Watcher,
    stop: TimeLimit,
    on_end: Callable[[TrialRow], None],
    cluster: Cluster | None,
) -> list[TrialRow]:
    """Run trials until every cell has enough or the time is over; return their rows."""
    from dae_cli.search.trial import run_trial

    plan = replace(plan, out=plan.out.absolute())  # workers have another working directory
    running: set[str] = set()
    failures = Counter[str]()  # consecutive ones, by cell
    ended: list[TrialRow] = []
    failure: DaeError | None = None
    results = distribute(
        _lacking_trials(plan, running, failures, watcher, stop),
        partial(run_trial, plan),
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
                why = f"{result.why}; use smaller layers to need less memory"
                result = run_trial(plan, trial, watcher, stop, killed=why)
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
            watcher.note(f"{cell.name}: all settings of its space have been tried")
        elif failures[cell.name] >= MOST_FAILURES:
            watcher.note(
                f"{cell.name}: giving up because its last {MOST_FAILURES} trials diverged or "
                "failed (search.csv has the reasons); narrow its space in study.yaml"
            )
    return ended


def _lacking_trials(
    plan: SearchPlan,
    running: set[str],
    failures: Mapping[str, int],
    watcher: Watcher,
    stop: StopRequest,
) -> Iterator[Trial | None]:
    """Yield the next trial whenever a worker is free: an unfinished one, else a new one.

    Yields None while other processes run the last trials, since more are needed if those fail. The
    caller removes a trial from `running` when it has ended.
    """
    waits = False
    while not stop.signal:
        with tables_lock(plan.out):
            cells = trials_of(plan)
            unfinished = [trial for cell in cells for trial in cell.unfinished.values()]
            others = [trial for trial in unfinished if trial.name not in running]
            incomplete = [
                cell for cell in cells if cell.wants_more and failures[cell.name] < MOST_FAILURES
            ]
            trial = next((trial for trial in others if not trial.is_held()), None)
            if trial:
                trial = with_original_engine(trial)
            elif incomplete:
                trial = min(incomplete, key=lambda cell: cell.counted).start()
        if trial:
            running.add(trial.name)
        elif not (running or others):
            return
        elif not (running or waits):
            waits = True
            watcher.note("another dae process is running the last trials; waiting for it")
        yield trial
