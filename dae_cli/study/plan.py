"""What there is to run of a study, and what there is of it already."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dae_cli.config.experiments import ResolvedExperiment, ResolvedStudy
from dae_cli.config.schema import AnyExperiment, SvmExperiment
from dae_cli.data.dataset import Origin
from dae_cli.data.datasets import PHOTOGRAPHS
from dae_cli.data.natural import prepare_images
from dae_cli.data.obtain import Prepared
from dae_cli.data.provide import foresee, prepare
from dae_cli.engines.names import EngineChoice
from dae_cli.errors import DownloadError
from dae_cli.study.progress import Watcher
from dae_cli.study.run.folder import RUNS, Job, PlannedRun, run_name
from dae_cli.study.run.keeper import checkpoint_seconds
from dae_cli.study.run.which_engine import check_choice


@dataclass(frozen=True)
class Lacking:
    """Cells of a data set that is not here."""

    dataset: str
    cells: tuple[str, ...]
    why: str
    """Why it cannot be had, and the remedy; of a plan that is only shown, how it would be had."""


@dataclass(frozen=True)
class Plan:
    """Every run that a command asks for, in the order of the table."""

    study: ResolvedStudy
    out: Path
    runs: tuple[PlannedRun, ...]
    replaces: bool = False
    """Whether the user gives up rows of other settings, data or numerics."""
    lacking: tuple[Lacking, ...] = ()
    """What cannot be run for want of its data."""


def default_out(study: str, overrides: Sequence[str]) -> Path:
    """Return results/STUDY, or a folder of its own for a trial with changed settings."""
    if not overrides:
        return Path("results") / study
    digest = hashlib.sha256("\n".join(sorted(overrides)).encode()).hexdigest()[:6]
    return Path("results") / f"{study}-{digest}"


def plan_study(
    study: ResolvedStudy,
    *,
    seeds: int | None,
    out: Path,
    data_dir: Path | None,
    origin: Origin | None = None,
    accept_unverified: bool = False,
    photos: Path | None = None,
    device: str = "cpu",
    engine: EngineChoice = "torch",
    replaces: bool = False,
    watcher: Watcher,
    dry: bool = False,
) -> Plan:
    """Prepare the data and lay out the runs: every cell, `seeds` times with successive seeds.

    An SVM draws nothing at random and is made once, whatever `seeds` is. A `dry` plan is only to be
    shown: nothing is fetched, regenerated or written for it.

    Raises:
        ConfigError: the device or the engine is not there.
        DataError: data files cannot be used.
        DownloadError: no data set can be had.
    """
    check_choice(engine, device)
    prepared, lacking = prepare_each(
        study.cells, data_dir, origin, photos, watcher, accept_unverified=accept_unverified, dry=dry
    )
    runs = []
    for cell in study.cells:
        if cell.experiment.dataset not in prepared:
            continue
        for experiment in _seeded(cell.experiment, seeds):
            job = make_job(cell, experiment, prepared[experiment.dataset], out / RUNS, device)
            runs.append(PlannedRun(job, job.state(), engine))
    return Plan(study, out, tuple(runs), replaces, lacking)


def prepare_each(
    cells: Sequence[ResolvedExperiment],
    data_dir: Path | None,
    origin: Origin | None,
    photos: Path | None,
    watcher: Watcher,
    *,
    accept_unverified: bool,
    dry: bool,
) -> tuple[dict[str, Prepared], tuple[Lacking, ...]]:
    """Make sure of the data sets of cells, each by its name; and tell which cells are without.

    Args:
        accept_unverified: take the user's files even if nothing shows that they are the original.
        dry: only say how they would be had.

    Raises:
        DataError: files cannot be used.
        DownloadError: there is none that can be had.
    """
    prepared: dict[str, Prepared] = {}
    reasons: dict[str, str] = {}
    for name in dict.fromkeys(cell.experiment.dataset for cell in cells):
        try:
            if not dry or name == PHOTOGRAPHS:
                prepared[name] = prepare_any(
                    name, data_dir, origin, photos, watcher, accept_unverified
                )
                continue
            foreseen = foresee(
                name,
                data_dir=data_dir,
                origin=origin,
                accept_unverified=accept_unverified,
                note=watcher.note,
            )
        except DownloadError as error:
            reasons[name] = str(error)
            watcher.note(f"{name} cannot be had; its cells are left out")
            continue
        if foreseen.prepared is None:
            reasons[name] = foreseen.told
            watcher.note(f"{name}: {foreseen.told}")
        else:
            prepared[name] = foreseen.prepared
            watcher.note(f"{name} ({foreseen.prepared.origin}): {foreseen.told}")
    if reasons and not prepared and not dry:
        raise DownloadError("\n".join(dict.fromkeys(reasons.values())))
    return prepared, tuple(
        Lacking(name, tuple(c.cell for c in cells if c.experiment.dataset == name), why)
        for name, why in reasons.items()
    )


def prepare_any(
    name: str,
    data_dir: Path | None,
    origin: Origin | None,
    photos: Path | None,
    watcher: Watcher,
    accept_unverified: bool = False,
) -> Prepared:
    """Make sure of a data set of the benchmark, of MNIST or of photographs, and tell its origin.

    Raises:
        DataError: it cannot be had.
    """
    if name == PHOTOGRAPHS:
        found = prepare_images(name, data_dir=data_dir, photos=photos, note=watcher.note)
        watcher.note(f"{name}: {found.source}")
    else:
        found = prepare(
            name,
            data_dir=data_dir,
            origin=origin,
            accept_unverified=accept_unverified,
            note=watcher.note,
        )
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
