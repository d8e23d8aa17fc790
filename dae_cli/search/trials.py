"""The trials of a search: rows of those that have ended, folders of those that have not.

`search.csv` and `search_earlier.csv` have the trials that have ended. A trial that is being made,
or was stopped, is a folder `search/trials/CELL-DIGEST-NUMBER.partial` with its settings and its
checkpoint. Whoever changes the files, or begins a trial, holds the lock of the folder's tables; who
makes a trial holds the lock of its run. So commands and machines that share the folder share the
search, and a process that is killed leaves nothing locked.

Once a trial has ended, its folder (without `.partial`) has what the row lacks: the errors by epoch,
from which the pruner judges others, and all digits of what was drawn. Neither is committed; after a
clone, a search continues without them.
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
from dae_cli.study.rows import TrialRow
from dae_cli.study.run.engine_choice import with_engines
from dae_cli.study.run.job import CHECKPOINT, METRICS, PARTIAL, Job, PlannedRun, sweep_runs
from dae_cli.study.tables.trials import EARLIER_CSV, SEARCH_CSV, settings_text, settings_values

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

DRAW = "draw.json"
"""How the settings of a trial were drawn."""


class Draw(BaseModel):
    """What draw.json of a trial has."""

    model_config = ConfigDict(frozen=True, strict=True)

    sampler: SamplerName
    sampler_seed: Annotated[int, Field(ge=0)]
    drawn: dict[str, Any]
    """With all digits; the settings are rounded."""

    def settings(self, space: Mapping[str, Domain]) -> dict[str, str]:
        """Return the settings, as an experiment file has them."""
        return settings_text(rounded(space, self.drawn))


def _read_draw(folder: Path, space: Mapping[str, Domain]) -> Draw | None:
    """None where the folder has none of this space."""
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
    """From 1."""
    draw: Draw

    @property
    def settings(self) -> dict[str, str]:
        """Of the searched keys, as an experiment file has them."""
        return self.draw.settings(self.search.space)


@dataclass(frozen=True)
class CellTrials:
    """All that there is of a cell's search."""

    plan: SearchPlan
    cell: CellSearch
    rows: Mapping[int, TrialRow]
    """Those that have ended, by number."""
    unfinished: Mapping[int, Trial]
    """Those that have not ended, by number."""

    @property
    def name(self) -> str:
        """The cell's name inside the study."""
        return self.cell.cell

    @property
    def counted(self) -> int:
        """How many trials count towards a budget: complete, pruned, and unfinished."""
        return sum(row.counts for row in self.rows.values()) + len(self.unfinished)

    @property
    def is_space_exhausted(self) -> bool:
        """Whether every setting of a space of choices has been tried.

        A trial that failed for another reason than its settings does not count, as anywhere.
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
        """Whether another trial is to be begun."""
        enough = self.cell.trials is not None and self.counted >= self.cell.trials
        return not (enough or self.is_space_exhausted)

    def begin(self) -> Trial:
        """Draw the settings of the next trial, and make its folder."""
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
        for leftover in (trial.folder, trial.partial):  # of a row that was removed, or of a kill
            shutil.rmtree(leftover, ignore_errors=True)
        write_json(trial.partial / DRAW, how.model_dump())
        return trial

    def _earlier_trial(self, row: TrialRow) -> FrozenTrial:
        """What is known of a trial that has ended; its folder may be another's, or gone."""
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
    """Return what there is of each cell's search.

    Raises:
        RunFolderError: search.csv is not as dae writes it.
    """
    # Before the rows, which those that end meanwhile have.
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


def as_begun(trial: Trial) -> Trial:
    """Return an unfinished trial with the engine and the device that it was begun with.

    Raises:
        RunFolderError: they cannot be had here.
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

    Killed in between, the next command removes it.

    Raises:
        OutputError: search.csv cannot be written; the trial has not ended.
    """
    with tables_lock(plan.out):
        write_search_csv(plan, [row])
        _put_away(trial, row)


def _put_away(job: Job, row: TrialRow) -> None:
    with suppress(OSError):
        (job.partial / CHECKPOINT).unlink(missing_ok=True)
        if row.counts:
            job.partial.rename(job.folder)
        else:
            shutil.rmtree(job.partial)


def sweep_trials(plan: SearchPlan) -> None:
    """Put away the folders of trials that have ended, which killed processes left.

    An unfinished trial whose number another one has in search.csv, as after a pull, becomes the
    last.
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
                        _put_away(job, row)
                    else:
                        last += 1
                        job.partial.rename(plan.job(cell.cell, last).partial)


# search.csv and search_earlier.csv


def write_search_csv(plan: SearchPlan, new: Sequence[TrialRow] = ()) -> list[TrialRow]:
    """Add rows to search.csv, and return all rows of the plan's searches; the caller has the lock.

    Rows of cells that are not searched now stay as they are. Of the others, those that another
    space, pruning, data or numerics made go to search_earlier.csv; those of a search that is made
    again come back.

    Raises:
        RunFolderError: what is there is not a search.csv that dae wrote.
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
    """The rows of a cell's search by number; one that is there twice is one trial.

    Another trial of the same number, as two clones may have made it, becomes the last.

    Raises:
        RunFolderError: settings are not of the cell's space.
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
                f"{plan.table}: trial {row.trial} of {cell.cell} ({settings}) is not of the space "
                f"of its search ({error}); bring back the file as it was, or take the line out to "
                "make the trial again"
            ) from None
        if numbered.setdefault(row.trial, row).settings != row.settings:
            last += 1
            numbered[last] = replace(row, trial=last)
    return dict(sorted(numbered.items()))


def errors_by_epoch(folder: Path) -> dict[int, float]:
    """Return the validation errors (in percent) of a trial; none where the folder has none."""
    from dae_cli.training.state import EpochRecord  # torch, which --dry-run does without

    with suppress(RunFolderError):
        errors = (
            (r.epoch, r.valid_error_percent) for r in read_rows(folder / METRICS, EpochRecord)
        )
        return {epoch: error for epoch, error in errors if error is not None}
    return {}
