"""The plan of a search: its cells, their data, and the location of its trials and results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.search_cells import SearchedCell
from dae_cli.data.dataset import Prepared
from dae_cli.data.sources import DataOptions
from dae_cli.engines.names import EngineChoice, EngineName
from dae_cli.search.sampling import SamplerName
from dae_cli.study.plan import Lacking, prepare_each
from dae_cli.study.progress import Watcher
from dae_cli.study.run.engine_choice import check_choice, with_engines
from dae_cli.study.run.job import Job, PlannedRun, checkpoint_seconds, config_sha256
from dae_cli.study.tables.trials import SEARCH_CSV
from dae_cli.training.version import NUMERICS_VERSION

SEARCH = "search"
"""Folder in results/STUDY for unfinished trials and pretrained layers, which are not results."""


@dataclass(frozen=True, kw_only=True)
class CellSearch(SearchedCell):
    """A cell to search, with `trials` and `sampler_seed` of the command if it gives them."""

    data: Prepared

    @cached_property
    def digest(self) -> str:
        """Digest of everything that the trials of this search have in common."""
        return search_digest(self, self.data.sha256)


@dataclass(frozen=True)
class SearchPlan:
    """A search as requested by a command; it is pickled for worker processes."""

    study: str
    cells: tuple[CellSearch, ...]
    order: tuple[str, ...]
    """All cells of the study, which define the order of the rows."""
    out: Path
    sampler: SamplerName
    engine: EngineName
    device: str
    command: str
    lacking: tuple[Lacking, ...]
    """Data sets that are not available, with the cells that are therefore not searched."""

    @property
    def table(self) -> Path:
        """Path of search.csv, with the trials that have ended."""
        return self.out / SEARCH_CSV

    @property
    def trials(self) -> Path:
        """Folder that contains the trials' folders."""
        return self.out / SEARCH / "trials"

    @property
    def pretrained(self) -> Path:
        """Cache of pretrained layers, for trials that differ only in fine-tuning."""
        return self.out / SEARCH / "pretrained"

    def job(self, cell: CellSearch, number: int) -> Job:
        """Return the job of a trial (numbered from 1), with the current settings of its cell."""
        folder = self.trials / f"{cell.cell}-{cell.digest[:8]}-{number}"
        return Job(cell.cell, cell.experiment, cell.data, folder, self.device, self.engine)


def plan_search(
    study: ResolvedStudy,
    cells: Sequence[SearchedCell],
    *,
    out: Path,
    options: DataOptions,
    trials: int | None,
    usual_trials: int | None,
    sampler: SamplerName,
    sampler_seed: int | None,
    engine: EngineChoice,
    device: str,
    command: str,
    watcher: Watcher,
    dry: bool = False,
) -> SearchPlan:
    """Prepare the data of cells and choose the engine of new trials.

    If `trials` or `sampler_seed` is None, the study's value applies; without a number of trials
    there, `usual_trials` (None for no limit). A `dry` plan fetches, regenerates and writes nothing.

    Raises:
        ConfigError: this machine does not have the requested engine or device.
        DataError: the data cannot be used, or no data set is available.
    """
    check_choice(engine, device)
    prepared, lacking = prepare_each([cell.resolved for cell in cells], options, watcher, dry=dry)
    searches = []
    for cell in cells:
        if (data := prepared.get(cell.experiment.dataset)) is not None:
            seed = cell.sampler_seed if sampler_seed is None else sampler_seed
            budget = {"trials": trials or cell.trials or usual_trials, "sampler_seed": seed}
            searches.append(CellSearch(**{**vars(cell), **budget}, data=data))
    plan = SearchPlan(
        study=study.name,
        cells=tuple(searches),
        order=tuple(cell.cell for cell in study.all_cells),
        out=out,
        sampler=sampler,
        engine="torch",
        device=device,
        command=command,
        lacking=lacking,
    )
    if dry:
        return plan
    checkpoint_seconds()
    planned = PlannedRun(plan.job(plan.cells[0], 0), "new", engine)
    (job,), _ = with_engines([planned], watcher.note)
    return replace(plan, engine=job.engine, device=job.device)


def search_digest(cell: SearchedCell, data_sha256: str, numerics: int = NUMERICS_VERSION) -> str:
    """Return the digest of space, pruning, fixed settings, data and version of the numerics."""
    fixed = cell.with_values({key: domain.ends[0] for key, domain in cell.space.items()})
    space = {key: [type(d).__name__, asdict(d)] for key, d in sorted(cell.space.items())}
    common = {
        "space": space,
        "prune": cell.prune.model_dump(),
        "fixed": config_sha256(fixed, numerics),
        "data": data_sha256,
    }
    return hashlib.sha256(json.dumps(common, sort_keys=True).encode()).hexdigest()[:12]
