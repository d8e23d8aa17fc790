"""The trials of a search: rows for those that have ended, folders for the others.

`search.csv` and `search_earlier.csv` contain the trials that have ended. A running or stopped trial
is a folder `search/trials/CELL-DIGEST-NUMBER.partial` with its settings and its checkpoint. A
process holds the lock of the folder's tables while it changes the files or starts a trial, and the
lock of the trial's run while it computes the trial. So commands and machines that share the folder
share the search. The locks of a killed process are released.

After a trial has ended, its folder (without `.partial`) contains what the row lacks: the errors by
epoch, which the pruner needs for other trials, and the drawn values with all digits. The folders
are not committed; in a new clone, a search continues without them.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from dae_cli.config.search_space import Choices, Domain
from dae_cli.csvfile import read_rows, write_rows
from dae_cli.errors import RunFolderError
from dae_cli.files import HeldError, file_lock, write_json
from dae_cli.search.plan import CellSearch, SearchPlan
from dae_cli.search.sampling import SamplerName, draw, earlier_trial, rounded
from dae_cli.study.results_folder import tables_lock
from dae_cli.study.rows import EpochRow, TrialRow
from dae_cli.study.run.engine_choice import with_engines
from dae_cli.study.run.job import CHECKPOINT, METRICS, PARTIAL, Job, PlannedRun, sweep_runs
from dae_cli.study.tables.trials import EARLIER_CSV, SEARCH_CSV, settings_text, settings_values

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

DRAW = "draw.json"
"""How the settings of a trial were drawn."""


class Draw(BaseModel):
    """Content of draw.json of a trial."""

    model_config = ConfigDict(frozen=True, strict=True)

    sampler: SamplerName
    sampler_seed: Annotated[int, Field(ge=0)]
    drawn: dict[str, Any]
    """Drawn values with all digits, before rounding to settings."""

    def settings(self, space: Mapping[str, Domain]) -> dict[str, str]:
        """Return the settings in the format of an experiment file."""
        return settings_text(rounded(space, self.drawn))


def _read_draw(folder: Path, space: Mapping[str, Domain]) -> Draw | None:
    """Return the draw of a trial's folder; None if it is missing, damaged or of another space."""
    with suppress(OSError, ValueError, KeyError):
        how = Draw.model_validate_json((folder / DRAW).read_bytes())
        settings_values(space, how.settings(space))
        return how
    return None


@dataclass(frozen=True, kw_only=True)
class Trial(Job):
    """A trial that has not ended."""

    search: CellSearch
    number: int
    """Number of the trial in its cell, from 1."""
    draw: Draw

    @property
    def settings(self) -> dict[str, str]:
        """Settings of the searched keys, in the format of an experiment file."""
        return self.draw.settings(self.search.space)


@dataclass(frozen=True)
class CellTrials:
    """All trials of a cell's search."""

    plan: SearchPlan
    cell: CellSearch
    rows: Mapping[int, TrialRow]
    """Trials that have ended, by number."""
    unfinished: Mapping[int, Trial]
    """Trials that have not ended, by number."""

    @property
    def name(self) -> str:
        """Name of the cell in its study."""
        return self.cell.cell

    @property
    def counted(self) -> int:
        """Number of trials that count towards the budget: complete, pruned and unfinished."""
        return sum(row.counts for row in self.rows.values()) + len(self.unfinished)

    @property
    def is_space_exhausted(self) -> bool:
        """Whether all settings of a space that only has choices have been tried.

        A failed trial does not count as tried; a diverged one does.
        """
        domains = self.cell.space.values()
        sizes = [len(domain.values) for domain in domains if isinstance(domain, Choices)]
        if len(sizes) < len(domains):
            return False
        settings = [row.settings for row in self.rows.values() if row.state != "failed"]
        settings += [trial.settings for trial in self.unfinished.values()]
        return len({frozenset(each.items()) for each in settings}) >= prod(sizes)

    @property
    def wants_more(self) -> bool:
        """Whether the cell needs another trial."""
        enough = self.cell.trials is not None and self.counted >= self.cell.trials
        return not (enough or self.is_space_exhausted)

    def start(self) -> Trial:
        """Draw the settings of the next trial and create its folder."""
        sampler, seed, space = self.plan.sampler, self.cell.sampler_seed, self.cell.space
        number = max((*self.rows, *self.unfinished), default=0) + 1
        earlier = {
            k: earlier_trial(space, "unfinished", trial.draw.drawn)
            for k, trial in self.unfinished.items()
        }
        earlier |= {k: self._earlier_trial(row) for k, row in self.rows.items()}
        drawn = draw(space, sampler, seed, number, earlier)
        how = Draw(sampler=sampler, sampler_seed=seed, drawn=drawn)
        trial = _trial(self.plan, self.cell, number, how)
        for leftover in (trial.folder, trial.partial):  # from a removed row or a killed process
            shutil.rmtree(leftover, ignore_errors=True)
        write_json(trial.partial / DRAW, how.model_dump())
        return trial

    def _earlier_trial(self, row: TrialRow) -> FrozenTrial:
        """Return an ended trial for the sampler; its folder may be missing or another trial's."""
        space, folder = self.cell.space, self.plan.job(self.cell, row.trial).folder
        how, drawn = _read_draw(folder, space), settings_values(space, row.settings)
        if how and how.settings(space) == row.settings:
            drawn = how.drawn
        error = row.valid_error_percent if row.counts else None
        errors = errors_by_epoch(folder) if row.state == "pruned" else None
        return earlier_trial(space, row.state, drawn, error, errors)


def _trial(plan: SearchPlan, cell: CellSearch, number: int, how: Draw) -> Trial:
    experiment = cell.with_values(rounded(cell.space, how.drawn))
    own = {**vars(plan.job(cell, number)), "experiment": experiment}
    return Trial(**own, search=cell, number=number, draw=how)


def trials_of(plan: SearchPlan) -> list[CellTrials]:
    """Return the trials of each cell's search.

    Raises:
        RunFolderError: search.csv was not written by dae, or was damaged.
    """
    # List folders before reading the rows, so that a trial that ends in between is in the rows.
    names = [path.parent.name for path in plan.trials.glob(f"*{PARTIAL}/{DRAW}")]
    rows = [r for name in (EARLIER_CSV, SEARCH_CSV) for r in read_rows(plan.out / name, TrialRow)]
    cells = []
    for cell in plan.cells:
        name = re.compile(rf"{re.escape(f'{cell.cell}-{cell.digest[:8]}')}-([1-9]\d*){PARTIAL}")
        numbers = sorted(int(match[1]) for match in map(name.fullmatch, names) if match)
        own = _numbered(plan, cell, rows)
        draws = {k: _read_draw(plan.job(cell, k).partial, cell.space) for k in numbers}
        unfinished = {
            k: _trial(plan, cell, k, how) for k, how in draws.items() if how and k not in own
        }
        cells.append(CellTrials(plan, cell, own, unfinished))
    return cells


def with_original_engine(trial: Trial) -> Trial:
    """Return an unfinished trial with the engine and the device that it was started with.

    Raises:
        RunFolderError: they are not available on this machine.
    """
    if trial.state() != "stopped":
        return trial
    planned = PlannedRun(replace(trial, device="auto"), "stopped", "auto")
    jobs, unresumable = with_engines([planned], lambda _: None)
    for why in unresumable.values():
        raise RunFolderError(f"{trial.cell} trial {trial.number}: {why}")
    return replace(trial, engine=jobs[0].engine, device=jobs[0].device)


def end_trial(plan: SearchPlan, trial: Trial, row: TrialRow) -> None:
    """Add the row of a trial that has ended to search.csv, then remove its checkpoint.

    If the process is killed in between, the next command removes the checkpoint.

    Raises:
        OutputError: search.csv cannot be written; the trial has not ended.
    """
    with tables_lock(plan.out):
        write_search_csv(plan, [row])
        _clean_up(trial, row)


def _clean_up(job: Job, row: TrialRow) -> None:
    with suppress(OSError):
        (job.partial / CHECKPOINT).unlink(missing_ok=True)
        if row.counts:
            job.partial.rename(job.folder)
        else:
            shutil.rmtree(job.partial)


def sweep_trials(plan: SearchPlan) -> None:
    """Clean up the folders of ended trials that killed processes left.

    If search.csv has another trial with the number of an unfinished one, for example after a git
    pull, the unfinished trial gets the next free number.
    """
    sweep_runs(plan.trials)
    with tables_lock(plan.out):
        for cell in trials_of(plan):
            last = max((*cell.rows, *cell.unfinished), default=0)
            for number, row in cell.rows.items():
                job = plan.job(cell.cell, number)
                if not job.partial.exists():
                    continue
                with suppress(HeldError, OSError), file_lock(job.lock):
                    how = _read_draw(job.partial, cell.cell.space)
                    if how is None or how.settings(cell.cell.space) == row.settings:
                        _clean_up(job, row)
                    else:
                        last += 1
                        job.partial.rename(plan.job(cell.cell, last).partial)


# search.csv and search_earlier.csv


def write_search_csv(plan: SearchPlan, new: Sequence[TrialRow] = ()) -> list[TrialRow]:
    """Add rows to search.csv and return all rows of the plan's searches; the caller has the lock.

    Rows of cells outside the plan stay. Rows of the plan's cells with another space, pruning,
    settings, data or numerics move to search_earlier.csv, and back if such a search is repeated.

    Raises:
        RunFolderError: the existing search.csv was not written by dae, or was damaged.
        OutputError: it cannot be written.
    """
    before, earlier = (read_rows(plan.out / name, TrialRow) for name in (SEARCH_CSV, EARLIER_CSV))
    every = [*earlier, *before, *new]
    ours = [row for cell in plan.cells for row in _numbered(plan, cell, every).values()]
    digests = {cell.cell: cell.digest for cell in plan.cells}
    others = [row for row in before if row.cell not in digests]
    old = {
        (row.cell, row.search, row.trial): row
        for row in [*earlier, *(row for row in before if row.cell in digests)]
        if row.search != digests.get(row.cell)
    }
    order = {cell: k for k, cell in enumerate(plan.order)}

    def place(row: TrialRow) -> tuple[int, str, str, int]:
        return order.get(row.cell, len(order)), row.cell, row.search, row.trial

    if old or earlier:
        write_rows(plan.out / EARLIER_CSV, sorted(old.values(), key=place), TrialRow)
    write_rows(plan.table, sorted([*others, *ours], key=place), TrialRow)
    return ours


def _numbered(plan: SearchPlan, cell: CellSearch, rows: Iterable[TrialRow]) -> dict[int, TrialRow]:
    """Return the rows of a cell's search by number, without duplicates.

    If two different trials have the same number, for example from two clones, the second one gets
    the next free number.

    Raises:
        RunFolderError: settings of a row are not in the cell's space.
    """
    own = [row for row in rows if (row.cell, row.search) == (cell.cell, cell.digest)]
    numbered: dict[int, TrialRow] = {}
    last = max((row.trial for row in own), default=0)
    for row in own:
        try:
            settings_values(cell.space, row.settings)
        except ValueError as error:
            settings = ", ".join(f"{key}={value}" for key, value in row.settings.items())
            raise RunFolderError(
                f"{plan.table}: trial {row.trial} of {cell.cell} ({settings}) is not in the space "
                f"of its search ({error}); restore the file, or remove the line to repeat the trial"
            ) from None
        if numbered.setdefault(row.trial, row).settings != row.settings:
            last += 1
            numbered[last] = replace(row, trial=last)
    return dict(sorted(numbered.items()))


def errors_by_epoch(folder: Path) -> dict[int, float]:
    """Return the validation errors of a trial in percent; empty if its folder has none."""
    with suppress(RunFolderError):
        return {
            row.epoch: row.valid_error_percent
            for row in read_rows(folder / METRICS, EpochRow)
            if row.valid_error_percent is not None
        }
    return {}
