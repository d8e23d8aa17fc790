"""What a search is: its cells, their data, and where trials and results lie."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.schema import Experiment
from dae_cli.config.search_cells import SearchedCell
from dae_cli.data.dataset import Prepared
from dae_cli.data.sources import DataOptions
from dae_cli.engines.names import EngineChoice, EngineName
from dae_cli.errors import RunFolderError
from dae_cli.files import file_lock, with_home, write_text
from dae_cli.search.sampling import SamplerName
from dae_cli.search.storage import JOURNAL, is_url
from dae_cli.study.plan import Lacking, prepare_each
from dae_cli.study.progress import Watcher
from dae_cli.study.run.checkpoints import checkpoint_seconds
from dae_cli.study.run.engine_choice import check_choice, with_engines
from dae_cli.study.run.job import Job, PlannedRun, config_sha256
from dae_cli.training.version import NUMERICS_VERSION

SEARCH, TRIALS, PRETRAINED, PLACE = "search", "trials", "pretrained", "place"
"""Below results/STUDY: the folder of a search, of its unfinished trials, of layers that trials have
pretrained, and its name."""
LOCK_SECONDS = 120.0


@dataclass(frozen=True)
class CellSearch:
    """The search of one cell."""

    searched: SearchedCell
    data: Prepared
    digest: str
    """Of the space, the pruning, the settings that are not searched, the data and the numerics."""
    study_name: str
    """Optuna's; another digest is another study, so that changed spaces do not mix."""
    trials: int | None
    """Complete and pruned ones that it is to have; None for as many as there is time for."""
    sampler_seed: int

    @property
    def cell(self) -> str:
        """The cell's name inside the study."""
        return self.searched.cell


@dataclass(frozen=True)
class SearchPlan:
    """A search as a command asks for it; it travels to worker processes."""

    study: str
    cells: tuple[CellSearch, ...]
    order: tuple[str, ...]
    """Every cell of the study, for the order of the rows."""
    out: Path
    storage: str
    """URL, or absolute path of a journal."""
    sampler: SamplerName
    engine: EngineName
    device: str
    command: str
    lacking: tuple[Lacking, ...] = ()
    """The cells that are not searched, for want of their data."""

    @property
    def folder(self) -> Path:
        """Where this search keeps what is not yet a result."""
        return self.out / SEARCH

    def job(self, cell: CellSearch, number: int, experiment: Experiment) -> Job:
        """Return the job of a trial (numbered from 0, as optuna does)."""
        folder = self.folder / TRIALS / f"{cell.cell}-{cell.digest[:8]}-{number + 1}"
        return Job(cell.cell, experiment, cell.data, folder, self.device, self.engine)


def default_search_out(study: str) -> Path:
    """Return results/STUDY."""
    return Path("results") / study


def cell_searches(
    study: ResolvedStudy,
    cells: Sequence[SearchedCell],
    *,
    options: DataOptions,
    trials: int | None,
    usual_trials: int | None,
    sampler_seed: int | None,
    watcher: Watcher,
    dry: bool = False,
) -> tuple[tuple[CellSearch, ...], tuple[Lacking, ...]]:
    """Prepare the data of cells and name their searches; and tell which cells are without data.

    Args:
        trials: that each cell is to have; None: as many as the study says.
        usual_trials: of a cell of which the study does not say; None for no limit.
        sampler_seed: None for that which the study says.
        dry: only say how data would be had; nothing is fetched, regenerated or written.

    Raises:
        DataError: data files cannot be used.
        DownloadError: no data set can be had.
    """
    resolved = [cell.resolved for cell in cells]
    prepared, lacking = prepare_each(resolved, options, watcher, dry=dry)
    found = []
    for cell in cells:
        if (data := prepared.get(cell.experiment.dataset)) is None:
            continue
        digest = search_digest(cell, data.sha256)
        name, wanted = f"{study.name}/{cell.cell}/{digest}", trials or cell.trials or usual_trials
        seed = cell.sampler_seed if sampler_seed is None else sampler_seed
        found.append(CellSearch(cell, data, digest, name, wanted, seed))
    return tuple(found), lacking


def search_digest(cell: SearchedCell, data_sha256: str, numerics: int = NUMERICS_VERSION) -> str:
    """Return the digest of all that a cell's trials have in common."""
    fixed = cell.with_values({key: domain.ends[0] for key, domain in cell.space.items()})
    space = {key: [type(d).__name__, asdict(d)] for key, d in sorted(cell.space.items())}
    common = {
        "space": space,
        "prune": cell.prune.model_dump(),
        "fixed": config_sha256(fixed, numerics),
        "data": data_sha256,
    }
    return hashlib.sha256(json.dumps(common, sort_keys=True).encode()).hexdigest()[:12]


def storage_of(given: str | None, out: Path) -> str:
    """Return the URL that is given, or the absolute path of the journal."""
    if given is None:
        return str((out / SEARCH / JOURNAL).absolute())
    return given if is_url(given) else str(with_home(given, "--storage ").absolute())


def settle_engine(
    cells: Sequence[CellSearch],
    out: Path,
    engine: EngineChoice,
    device: str,
    watcher: Watcher,
) -> tuple[EngineName, str]:
    """Return the engine and the kind of device of new trials.

    Raises:
        ConfigError: what is asked for is not here.
    """
    check_choice(engine, device)
    checkpoint_seconds()
    first = cells[0]
    nowhere = out.absolute() / SEARCH / TRIALS / "new"
    job = Job(first.cell, first.searched.experiment, first.data, nowhere, device)
    (ready,), _ = with_engines([PlannedRun(job, "new", engine)], watcher.note)
    return ready.engine, ready.device


def place_of(plan: SearchPlan) -> str:
    """Return the name of the results folder, drawn when it was first searched in.

    A trial is taken up again where its checkpoint is; the name tells, on every machine that
    shares the storage, where that is.
    """
    path = plan.folder / PLACE
    with file_lock(plan.folder / ".place.lock", wait=LOCK_SECONDS):
        if not path.exists():
            write_text(path, f"{secrets.token_hex(8)}\n")
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise RunFolderError(f"{path}: cannot be read ({error}); remove it") from error
