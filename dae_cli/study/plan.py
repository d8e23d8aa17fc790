"""What there is to run of a study, and what there is of it already."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dae_cli.config.experiments import ResolvedExperiment, ResolvedStudy
from dae_cli.config.schema import AnyExperiment, SvmExperiment
from dae_cli.data.dataset import Origin
from dae_cli.data.filter_images import prepare_images
from dae_cli.data.obtain import Prepared
from dae_cli.data.provide import prepare
from dae_cli.engines.names import EngineChoice
from dae_cli.study.progress import Watcher
from dae_cli.study.run.folder import RUNS, Job, PlannedRun, run_name
from dae_cli.study.run.keeper import checkpoint_seconds
from dae_cli.study.run.which_engine import check_choice


@dataclass(frozen=True)
class Plan:
    """Every run that a command asks for, in the order of the table."""

    study: ResolvedStudy
    out: Path
    runs: tuple[PlannedRun, ...]


def default_out(study: ResolvedStudy, overrides: Sequence[str]) -> Path:
    """Return results/STUDY, or a folder of its own for a trial with changed settings."""
    if not overrides:
        return Path("results") / study.name
    digest = hashlib.sha256("\n".join(sorted(overrides)).encode()).hexdigest()[:6]
    return Path("results") / f"{study.name}-{digest}"


def plan_study(
    study: ResolvedStudy,
    *,
    seeds: int | None,
    out: Path,
    data_dir: Path | None,
    origin: Origin | None = None,
    photos: Path | None = None,
    device: str = "cpu",
    engine: EngineChoice = "torch",
    watcher: Watcher,
) -> Plan:
    """Prepare the data and lay out the runs: every cell, `seeds` times with successive seeds.

    An SVM draws nothing at random and is made once, whatever `seeds` is.

    Raises:
        ConfigError: the device or the engine is not there.
        DataError: a data set cannot be had.
    """
    check_choice(engine, device)
    prepared: dict[str, Prepared] = {}
    for cell in study.cells:
        name = cell.experiment.dataset
        if name not in prepared:
            prepared[name] = prepare_any(name, data_dir, origin, photos, watcher)
    runs = []
    for cell in study.cells:
        for experiment in _seeded(cell.experiment, seeds):
            job = make_job(cell, experiment, prepared[experiment.dataset], out / RUNS, device)
            runs.append(PlannedRun(job, job.state(), engine))
    return Plan(study, out, tuple(runs))


def prepare_any(
    name: str,
    data_dir: Path | None,
    origin: Origin | None,
    photos: Path | None,
    watcher: Watcher,
) -> Prepared:
    """Make sure of a data set of the benchmark, of MNIST or of photographs, and tell its origin.

    Raises:
        DataError: it cannot be had.
    """
    if name == "photographs":
        found = prepare_images(name, data_dir=data_dir, photos=photos, note=watcher.note)
        watcher.note(f"{name}: {found.source}")
    else:
        found = prepare(name, data_dir=data_dir, origin=origin, note=watcher.note)
        watcher.note(f"{name} ({found.origin}): {found.source}")
    return found


def make_job(
    cell: ResolvedExperiment, experiment: AnyExperiment, data: Prepared, runs: Path, device: str
) -> Job:
    """Return the job of one experiment in a folder of runs.

    Raises:
        ConfigError: DAE_CHECKPOINT_SECONDS is no number; raised before anything is computed.
    """
    checkpoint_seconds()
    folder = runs.absolute() / run_name(experiment, data.sha256)
    return Job(cell.cell, experiment, data, folder, device, reference=cell.reference)


def _seeded(experiment: AnyExperiment, seeds: int | None) -> list[AnyExperiment]:
    if isinstance(experiment, SvmExperiment):
        return [experiment]  # nothing in it is drawn at random
    return [with_seed(experiment, experiment.seed + k) for k in range(seeds or 1)]


def with_seed(experiment: AnyExperiment, seed: int) -> AnyExperiment:
    """Return the experiment with another seed."""
    return experiment.model_copy(update={"seed": seed})
