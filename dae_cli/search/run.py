"""A search from its plan to the selected settings."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dae_cli.search.chosen import Chosen, choose
from dae_cli.search.claim import begun, counted, elsewhere, gives_up, trials_of, used_up
from dae_cli.search.cluster_storage import require_storage
from dae_cli.search.plan import PRETRAINED, TRIALS, SearchPlan
from dae_cli.search.storage import known_studies
from dae_cli.search.table import rows_that_go, sweep_trials, write_search_csv
from dae_cli.search.taken_over import take_over
from dae_cli.search.workers import run_trials
from dae_cli.study.progress import Watcher
from dae_cli.study.results_folder import check_writable
from dae_cli.study.rows import TrialRow
from dae_cli.study.run.job import sweep_runs
from dae_cli.study.run.provenance import not_known
from dae_cli.study.tables.trials import EARLIER_CSV, SEARCH_CSV
from dae_cli.study.workers.cluster import Cluster


@dataclass(frozen=True)
class CellOutcome:
    """What the search of one cell has come to, the trials of earlier commands included."""

    cell: str
    rows: tuple[TrialRow, ...]
    chosen: Chosen | None
    """None where no trial was completed."""


@dataclass(frozen=True)
class SearchOutcome:
    """What a command came to."""

    cells: tuple[CellOutcome, ...]
    made: int
    """Trials that ended in this command."""
    late: bool
    """The time ran out."""
    minutes: float
    table: Path


def run_search(
    plan: SearchPlan,
    *,
    workers: int,
    hours: float | None,
    watcher: Watcher,
    ended: Callable[[TrialRow], None],
    cluster: Cluster | None = None,
) -> SearchOutcome:
    """Make the trials that are lacking, here or on a cluster, then select for each cell.

    Raises:
        OutputError: results cannot be written.
        RunFolderError: search.csv is not one that dae wrote.
        Interrupted: the command was asked to stop; every trial has kept a checkpoint.
        TrialLeftError: a trial cannot go on now; every trial has kept a checkpoint.
        UnfitWorkerError: a worker of the cluster cannot take part.
        ClusterError: the cluster is gone.
    """
    start = time.monotonic()
    for folder in (plan.out, plan.folder / TRIALS):
        check_writable(folder)
    sweep_runs(plan.folder / TRIALS)
    if gone := rows_that_go(plan):
        cells = ", ".join(dict.fromkeys(row.cell for row in gone))
        watcher.note(
            f"{plan.out / SEARCH_CSV}: has trials of another space or pruning, other settings, "
            f"data or numerics, which are never mixed; they go to {EARLIER_CSV} ({cells})"
        )
    if taken := take_over(plan):
        told = ", ".join(f"{cell} {count}" for cell, count in taken.items())
        watcher.note(f"{plan.out / SEARCH_CSV}: trials taken over into the storage: {told}")
    since = begun(plan)
    if cluster is not None:
        require_storage(plan, cluster)
    sweep_trials(plan)
    made: list[TrialRow] = []

    def count(row: TrialRow) -> None:
        made.append(row)
        ended(row)

    seconds = None if hours is None else 3600.0 * hours
    late = run_trials(
        plan,
        workers=workers,
        cluster=cluster,
        seconds=seconds,
        since=since,
        watcher=watcher,
        ended=count,
    )
    if not late:
        shutil.rmtree(plan.folder / PRETRAINED, ignore_errors=True)
    rows = write_search_csv(plan)
    _tell_what_lacks(plan, since, watcher)
    if told := not_known(row.commit for row in made):
        watcher.note(told)
    found = []
    for cell in plan.cells:
        own = tuple(row for row in rows if row.cell == cell.cell)
        found.append(CellOutcome(cell.cell, own, choose(plan.study, cell.searched, own)))
    minutes = (time.monotonic() - start) / 60.0
    return SearchOutcome(tuple(found), len(made), late, minutes, plan.out / SEARCH_CSV)


def _tell_what_lacks(plan: SearchPlan, since: list[int], watcher: Watcher) -> None:
    for cell, known in zip(plan.cells, since, strict=True):
        made = trials_of(plan, cell)
        if used_up(cell, made) and counted(made) < (cell.trials or math.inf):
            watcher.note(f"{cell.cell}: every setting of its space has been tried")
        elif gives_up(made, known):
            watcher.note(
                f"{cell.cell}: given up, since its last trials all diverged or failed; narrow its "
                "space in study.yaml (search.csv has the reasons)"
            )
    if count := elsewhere(plan):
        trials = "1 trial is" if count == 1 else f"{count} trials are"
        watcher.note(
            f"{trials} being made, or stopped, in other results folders that share the storage; "
            "not waited for: the same command, given here again, takes their results in"
        )


def so_far(plan: SearchPlan) -> list[dict[str, int]]:
    """Return how many trials of each state every cell has; nothing is written by asking."""
    known = known_studies(plan.storage)
    counts = []
    for cell in plan.cells:
        trials = trials_of(plan, cell) if cell.study_name in known else []
        states = [trial.state.name for trial in trials]
        counts.append({state: states.count(state) for state in dict.fromkeys(states)})
    return counts
