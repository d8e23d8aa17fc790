"""What a search is: its cells, their data, and where its trials and results lie."""

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
"""Below results/STUDY: the folder of what is not a result: trials and pretrained layers."""


@dataclass(frozen=True, kw_only=True)
class CellSearch(SearchedCell):
    """A cell to be searched now; `trials` and `sampler_seed` are as the command says."""

    data: Prepared

    @cached_property
    def digest(self) -> str:
        """Return the digest of all that its trials have in common."""
        return search_digest(self, self.data.sha256)


@dataclass(frozen=True)
class SearchPlan:
    """A search as a command asks for it; it travels to worker processes."""

    study: str
    cells: tuple[CellSearch, ...]
    order: tuple[str, ...]
    """Every cell of the study, for the order of the rows."""
    out: Path
    sampler: SamplerName
    engine: EngineName
    device: str
    command: str
    lacking: tuple[Lacking, ...]
    """The cells that are not searched, for want of their data."""

    @property
    def table(self) -> Path:
        """The file with the trials that have ended."""
        return self.out / SEARCH_CSV

    @property
    def trials(self) -> Path:
        """The folder of the trials' folders."""
        return self.out / SEARCH / "trials"

    @property
    def pretrained(self) -> Path:
        """The cache of pretrained layers, for trials that differ in fine-tuning only."""
        return self.out / SEARCH / "pretrained"

    def job(self, cell: CellSearch, number: int) -> Job:
        """Return the job of a trial (numbered from 1), with the settings that its cell has now."""
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

    Without `trials` or `sampler_seed` the study says them, else `usual_trials` (None for no
    limit). A `dry` plan is only shown: nothing is fetched, regenerated or written.

    Raises:
        ConfigError: the engine or device that is asked for is not here.
        DataError: the data cannot be used, or none can be had.
    """
    check_choice(engine, device)
    prepared, lacking = prepare_each([cell.resolved for cell in cells], options, watcher, dry=dry)
    searches = []
    for cell in cells:
        if (data := prepared.get(cell.experiment.dataset)) is not None:
            seed = cell.sampler_seed if sampler_seed is None else sampler_seed
            asked = {"trials": trials or cell.trials or usual_trials, "sampler_seed": seed}
            searches.append(CellSearch(**{**vars(cell), **asked}, data=data))
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
    """Return the digest of a space, the pruning, the settings that are not searched, and the data.

    All of it by one version of the numerics.
    """
    fixed = cell.with_values({key: domain.ends[0] for key, domain in cell.space.items()})
    space = {key: [type(d).__name__, asdict(d)] for key, d in sorted(cell.space.items())}
    common = {
        "space": space,
        "prune": cell.prune.model_dump(),
        "fixed": config_sha256(fixed, numerics),
        "data": data_sha256,
    }
    return hashlib.sha256(json.dumps(common, sort_keys=True).encode()).hexdigest()[:12]
