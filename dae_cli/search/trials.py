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

import csv
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dae_cli.config.dump import dump_yaml, flat_settings
from dae_cli.config.experiments import load_resolved
from dae_cli.config.schema import Experiment
from dae_cli.config.search_cells import Values
from dae_cli.config.search_space import LAYERS, UNITS, Choices, Domain, Value
from dae_cli.csvfile import read_rows, write_rows
from dae_cli.errors import ConfigError, RunFolderError
from dae_cli.files import HeldError, file_lock, write_json, write_text
from dae_cli.search.plan import CellSearch, SearchPlan
from dae_cli.search.sampling import EarlierTrial, SamplerName, draw, rounded
from dae_cli.study.results_folder import tables_lock
from dae_cli.study.rows import TrialRow
from dae_cli.study.run.engine_choice import with_engines
from dae_cli.study.run.job import (
    CHECKPOINT,
    CONFIG,
    METRICS,
    PARTIAL,
    Job,
    PlannedRun,
    sweep_runs,
)
from dae_cli.study.tables.trials import EARLIER_CSV, settings_text, settings_values

MOST_FAILURES = 10
"""So many trials of a cell in succession that diverge or fail end its search in a command."""
DRAW = "draw.json"
"""How the settings in a trial's config.yaml were drawn."""


class Draw(BaseModel):
    """What draw.json of a trial has."""

    model_config = ConfigDict(frozen=True, strict=True)

    sampler: SamplerName
    sampler_seed: Annotated[int, Field(ge=0)]
    drawn: dict[str, Any]
    """With all digits; the settings are rounded."""


@dataclass(frozen=True, kw_only=True)
class Trial(Job):
    """A trial that has not ended."""

    search: CellSearch
    number: int
    """From 1."""
    values: Values
    draw: Draw


@dataclass(frozen=True)
class CellTrials:
    """All that there is of a cell's search."""

    plan: SearchPlan
    cell: CellSearch
    rows: Mapping[int, TrialRow]
    """Those that have ended, by number."""
    folders: Sequence[int]
    """The numbers of those that have not ended."""

    @property
    def count_by_state(self) -> Counter[str]:
        """How many trials are in each state, unfinished ones as well."""
        ended = Counter[str](row.state for row in self.rows.values())
        return ended + Counter(unfinished=len(self.folders))

    @property
    def counted(self) -> int:
        """How many trials count towards a budget: complete, pruned, and unfinished."""
        return sum(row.counts for row in self.rows.values()) + len(self.folders)

    @property
    def last_number(self) -> int:
        """The highest number so far; 0 without trials."""
        return max((*self.rows, *self.folders), default=0)

    @cached_property
    def unfinished(self) -> dict[int, Trial]:
        """Those that have not ended, by number."""
        trials: dict[int, Trial] = {}
        for number in self.folders:
            trials[number] = self.in_folder(number) or self.draw(number, trials)
        return trials

    @property
    def is_space_exhausted(self) -> bool:
        """Whether every setting of a space of choices has been tried.

        A trial that failed for another reason than its settings does not count, as anywhere.
        """
        domains = self.cell.searched.space.values()
        sizes = [len(domain.values) for domain in domains if isinstance(domain, Choices)]
        if len(sizes) < len(domains):
            return False
        settings = [row.settings for row in self.rows.values() if row.state != "failed"]
        settings += [settings_text(trial.values) for trial in self.unfinished.values()]
        return len({frozenset(each.items()) for each in settings}) >= prod(sizes)

    def has_too_many_failures(self, last_at_start: int) -> bool:
        """Tell whether the last trials of this command have all diverged or failed."""
        own = [row for number, row in self.rows.items() if number > last_at_start]
        last = own[-MOST_FAILURES:]
        return len(last) == MOST_FAILURES and not any(row.counts for row in last)

    def wants_more(self, last_at_start: int) -> bool:
        """Tell whether another trial is to be begun.

        Args:
            last_at_start: the last trial's number when the command began.
        """
        enough = self.cell.trials is not None and self.counted >= self.cell.trials
        failed = self.has_too_many_failures(last_at_start)
        return not (enough or failed or self.is_space_exhausted)

    def draw(self, number: int, unfinished: Mapping[int, Trial]) -> Trial:
        """Return the trial of this number with settings that are drawn now."""
        plan, cell = self.plan, self.cell
        earlier = {k: EarlierTrial("unfinished", t.draw.drawn) for k, t in unfinished.items()}
        earlier |= {k: self._ended(row) for k, row in self.rows.items()}
        space = cell.searched.space
        drawn = draw(space, plan.sampler, cell.sampler_seed, number, earlier)
        values = rounded(space, drawn)
        how = Draw(sampler=plan.sampler, sampler_seed=cell.sampler_seed, drawn=drawn)
        return self._trial(number, cell.searched.with_values(values), values, how)

    def _trial(self, number: int, experiment: Experiment, values: Values, how: Draw) -> Trial:
        job = replace(self.plan.job(self.cell, number), experiment=experiment)
        own = {field.name: getattr(job, field.name) for field in fields(job)}
        return Trial(**own, search=self.cell, number=number, values=values, draw=how)

    def _ended(self, row: TrialRow) -> EarlierTrial:
        space, job = self.cell.searched.space, self.plan.job(self.cell, row.trial)
        values = settings_values(space, row.settings) or {}
        how = _read_draw(job.folder, space, values)
        return EarlierTrial(
            row.state,
            how.drawn if how else values,
            row.valid_error_percent if row.counts else None,
            errors_by_epoch(job.folder) if row.state == "pruned" else {},
        )

    def in_folder(self, number: int) -> Trial | None:
        """Return the trial as its folder has it; None where the folder lacks its settings."""
        plan, cell = self.plan, self.cell
        job, space = plan.job(cell, number), cell.searched.space
        try:
            experiment = load_resolved(job.partial / CONFIG)
        except ConfigError:
            return None
        values = _values_in(experiment, space)
        if values is None or experiment != cell.searched.with_values(values):
            return None
        how = _read_draw(job.partial, space, values) or Draw(
            sampler=plan.sampler, sampler_seed=cell.sampler_seed, drawn=dict(values)
        )
        return self._trial(number, experiment, values, how)


def trials_of(plan: SearchPlan) -> list[CellTrials]:
    """Return what there is of each cell's search.

    Raises:
        RunFolderError: search.csv is not as dae writes it, or was edited.
    """
    folders = _folders(plan)  # before the rows, which those that end meanwhile have
    rows = [row for name in (EARLIER_CSV, plan.table.name) for row in _rows_in(plan, name)]
    cells = []
    for cell in plan.cells:
        own = _numbered(plan, cell, rows)
        numbers = [k for k in folders if plan.job(cell, k).partial.name in folders[k]]
        cells.append(CellTrials(plan, cell, own, [k for k in numbers if k not in own]))
    return cells


def next_trial(
    plan: SearchPlan, last_at_start: Sequence[int], running: Collection[str]
) -> Trial | Literal["others", "none"]:
    """Return a trial to be made, which has a folder: an unfinished one, else a new one.

    Args:
        plan: the search.
        last_at_start: the last trial's number of each cell when the command began.
        running: the folders' names of trials that this command is making.

    Returns:
        The trial; "others" if only other commands have trials to make, "none" if nobody has.
    """
    plan.trials.mkdir(parents=True, exist_ok=True)
    with tables_lock(plan.out):
        cells, others = trials_of(plan), False
        for cell in cells:
            for trial in cell.unfinished.values():
                if trial.name in running:
                    continue
                if not trial.is_held():
                    return _begin(trial)
                others = True
        wanting = [
            cell for cell, last in zip(cells, last_at_start, strict=True) if cell.wants_more(last)
        ]
        if not wanting:
            return "others" if others else "none"
        cell = min(wanting, key=lambda cell: cell.counted)
        trial = cell.draw(cell.last_number + 1, cell.unfinished)
        for leftover in (trial.folder, trial.partial):  # of a row that was removed
            shutil.rmtree(leftover, ignore_errors=True)
        return _begin(trial)


def _begin(trial: Trial) -> Trial:
    """Write down what a trial is, and return it with the engine that it was begun with."""
    trial.partial.mkdir(parents=True, exist_ok=True)
    write_json(trial.partial / DRAW, trial.draw.model_dump(), make_folder=False)
    write_text(trial.partial / CONFIG, dump_yaml(trial.experiment), make_folder=False)
    if trial.state() != "stopped":
        return trial
    as_begun = PlannedRun(replace(trial, device="auto"), "stopped", "auto")
    jobs, unresumable = with_engines([as_begun], lambda _: None)
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
            last = cell.last_number
            for number, row in cell.rows.items():
                job = plan.job(cell.cell, number)
                if not job.partial.exists():
                    continue
                with suppress(HeldError, OSError), file_lock(job.lock):
                    trial = cell.in_folder(number)
                    if trial is None or settings_text(trial.values) == row.settings:
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
    before, earlier = _rows_in(plan, plan.table.name), _rows_in(plan, EARLIER_CSV)
    every = [*earlier, *before, *new]
    ours = [row for cell in plan.cells for row in _numbered(plan, cell, every).values()]
    cells = {cell.cell for cell in plan.cells}
    searches = {(cell.cell, cell.digest) for cell in plan.cells}
    known = {
        (row.cell, row.search, row.trial): row
        for row in [*earlier, *(row for row in before if row.cell in cells)]
        if (row.cell, row.search) not in searches
    }
    if known or earlier:
        write_rows(plan.out / EARLIER_CSV, _sorted(plan, known.values()), TrialRow)
    others = [row for row in before if row.cell not in cells]
    write_rows(plan.table, _sorted(plan, [*others, *ours]), TrialRow)
    return ours


def outdated_rows(plan: SearchPlan) -> list[TrialRow]:
    """Return the rows of search.csv that will go to search_earlier.csv.

    Raises:
        RunFolderError: what is there is not a search.csv that dae wrote.
    """
    digests = {cell.cell: cell.digest for cell in plan.cells}
    rows = _rows_in(plan, plan.table.name)
    return [row for row in rows if digests.get(row.cell, row.search) != row.search]


def _rows_in(plan: SearchPlan, name: str) -> list[TrialRow]:
    return read_rows(plan.out / name, TrialRow)


def _sorted(plan: SearchPlan, rows: Iterable[TrialRow]) -> list[TrialRow]:
    order = {cell: k for k, cell in enumerate(plan.order)}
    return sorted(
        rows, key=lambda row: (order.get(row.cell, len(order)), row.cell, row.search, row.trial)
    )


def _numbered(plan: SearchPlan, cell: CellSearch, rows: Iterable[TrialRow]) -> dict[int, TrialRow]:
    """The rows of a cell's search by number; one that is there twice is one trial.

    Another trial of the same number, as two clones may have made it, becomes the last.

    Raises:
        RunFolderError: settings are not of the cell's space, or a number is below 1.
    """
    own = [row for row in rows if (row.cell, row.search) == (cell.cell, cell.digest)]
    numbered: dict[int, TrialRow] = {}
    last = max((row.trial for row in own), default=0)
    for row in own:
        if row.trial < 1 or settings_values(cell.searched.space, row.settings) is None:
            settings = ", ".join(f"{key}={value}" for key, value in row.settings.items())
            raise RunFolderError(
                f"{plan.table}: trial {row.trial} of {cell.cell} ({settings or 'no settings'}) is "
                f"not of the space of its search, {cell.digest}; the line was edited: bring back "
                "the file, or take the line out to make the trial again"
            )
        if numbered.setdefault(row.trial, row).settings != row.settings:
            last += 1
            numbered[last] = replace(row, trial=last)
    return dict(sorted(numbered.items()))


# The folders of trials


def errors_by_epoch(folder: Path) -> dict[int, float]:
    """Return the validation errors (in percent) of a trial; none where the folder has none."""
    try:
        with (folder / METRICS).open(newline="", encoding="utf-8") as file:
            return {
                int(record["epoch"]): float(record["valid_error_percent"])
                for record in csv.DictReader(file, strict=True)
                if record["valid_error_percent"]
            }
    except (OSError, KeyError, TypeError, ValueError, csv.Error):
        return {}


def _folders(plan: SearchPlan) -> dict[int, set[str]]:
    """The names of unfinished trials' folders, by the number at their end."""
    folders: dict[int, set[str]] = {}
    for path in sorted(plan.trials.glob(f"*-*{PARTIAL}")):
        number = path.name.removesuffix(PARTIAL).rpartition("-")[2]
        if number.isascii() and number.isdecimal() and int(number) > 0:
            folders.setdefault(int(number), set()).add(path.name)
    return dict(sorted(folders.items()))


def _values_in(experiment: object, space: Mapping[str, Domain]) -> dict[str, Value] | None:
    """What an experiment has of the keys of a space; None if a value is not of the space."""
    if not isinstance(experiment, Experiment):
        return None
    hidden = experiment.model.hidden
    settings = {**flat_settings(experiment), UNITS: hidden[0], LAYERS: len(hidden)}
    return settings_values(space, settings_text({key: settings[key] for key in space}))


def _read_draw(folder: Path, space: Mapping[str, Domain], values: Values) -> Draw | None:
    """How a trial's settings were drawn; None if its folder lacks that."""
    try:
        how = Draw.model_validate_json((folder / DRAW).read_bytes())
    except (OSError, ValueError):
        return None
    if how.drawn.keys() != space.keys() or rounded(space, how.drawn) != values:
        return None
    ranges = {key: domain for key, domain in space.items() if not isinstance(domain, Choices)}
    inside = all(domain.low <= how.drawn[key] <= domain.high for key, domain in ranges.items())
    return how if inside else None
