"""Plan the runs that a command asks for, with the current state of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dae_cli.config.experiments import ResolvedExperiment, ResolvedStudy
from dae_cli.config.grid import variant_name
from dae_cli.config.schema import AnyExperiment, SvmExperiment
from dae_cli.data.dataset import Prepared
from dae_cli.data.datasets import PHOTOGRAPHS
from dae_cli.data.sources import DataOptions, foresee, prepare
from dae_cli.engines.names import EngineChoice
from dae_cli.errors import DownloadError
from dae_cli.study.progress import Watcher
from dae_cli.study.run.engine_choice import check_choice
from dae_cli.study.run.job import (
    RUNS,
    Job,
    PlannedRun,
    checkpoint_seconds,
    default_runs,
    run_name,
    with_seed,
)


@dataclass(frozen=True)
class Lacking:
    """A data set that is not available, and its cells."""

    dataset: str
    cells: tuple[str, ...]
    why: str
    """The reason and the remedy; in a dry plan, how the data would be obtained."""


@dataclass(frozen=True)
class Plan:
    """All runs that a command asks for, in the order of the table."""

    study: ResolvedStudy
    out: Path
    runs: tuple[PlannedRun, ...]
    replaces: bool = False
    """Whether rows with other settings, data or numerics may be removed from the tables."""
    lacking: tuple[Lacking, ...] = ()
    """Data sets that are not available; their cells are skipped."""

    def ahead(self, force: bool) -> list[PlannedRun]:
        """Return the runs that are not done yet; with `force`, all."""
        return [run for run in self.runs if force or run.state != "done"]


def with_seeds(cell: ResolvedExperiment, seeds: int | None) -> list[AnyExperiment]:
    """Return the experiments of a cell, with successive seeds.

    An SVM uses no random numbers, so it runs only once.
    """
    count = 1 if isinstance(cell.experiment, SvmExperiment) else seeds or 1
    first = cell.experiment.seed
    return [with_seed(cell.experiment, seed) for seed in range(first, first + count)]


def plan_study(
    study: ResolvedStudy,
    *,
    seeds: int | None,
    out: Path,
    options: DataOptions,
    device: str = "cpu",
    engine: EngineChoice = "torch",
    replaces: bool = False,
    watcher: Watcher,
    dry: bool = False,
) -> Plan:
    """Prepare the data and plan the runs of every cell, for all seeds.

    With `dry`, nothing is downloaded, regenerated or written.

    Raises:
        ConfigError: the device or the engine is not available.
        DataError, DownloadError: data files cannot be used, or no data set is available.
    """
    check_choice(engine, device)
    prepared, lacking = prepare_each(study.cells, options, watcher, dry=dry)
    runs = []
    for cell in study.cells:
        if cell.experiment.dataset not in prepared:
            continue
        data = prepared[cell.experiment.dataset]
        for experiment in with_seeds(cell, seeds):
            runs.append(_planned(cell, experiment, data, out / RUNS, device, engine))
    return Plan(study, out, tuple(runs), replaces, lacking)


def plan_run(
    resolved: ResolvedExperiment,
    *,
    seed: int | None,
    device: str,
    engine: EngineChoice = "torch",
    out: Path | None,
    options: DataOptions,
    watcher: Watcher,
    dry: bool = False,
) -> Plan:
    """Prepare the data of one experiment and plan its run, named after the `--set` options.

    The plan's folder is that of the runs. With `dry`, see `plan_study`.
    """
    check_choice(engine, device)
    experiment = resolved.experiment if seed is None else with_seed(resolved.experiment, seed)
    values = [setting.replace(" ", "=", 1) for setting in resolved.changed]
    name, dataset = variant_name(resolved.cell, experiment.dataset, values), experiment.dataset
    cell, runs = replace(resolved, name=name, experiment=experiment), out or default_runs(resolved)
    lacking: tuple[Lacking, ...] = ()
    if dry:
        prepared, lacking = prepare_each([cell], options, watcher, dry=True)
    else:
        prepared = {dataset: prepare_any(dataset, options, watcher)}
    planned = [_planned(cell, experiment, d, runs, device, engine) for d in prepared.values()]
    name, folder = resolved.name.rpartition("/")[0], resolved.source.parent
    study = ResolvedStudy(name, title="", source=folder, cells=(cell,), all_cells=(cell,))
    return Plan(study, runs, tuple(planned), lacking=lacking)


def prepare_each(
    cells: Sequence[ResolvedExperiment], options: DataOptions, watcher: Watcher, *, dry: bool
) -> tuple[dict[str, Prepared], tuple[Lacking, ...]]:
    """Prepare the data sets of cells; with `dry`, only find out how they would be obtained.

    Returns the data sets by name, and those that are not available; raises like `plan_study`.
    """
    prepared: dict[str, Prepared] = {}
    reasons: dict[str, str] = {}
    for name in dict.fromkeys(cell.experiment.dataset for cell in cells):
        try:
            if not dry:
                prepared[name] = prepare_any(name, options, watcher)
                continue
            foreseen = foresee(name, options, watcher.note)
        except DownloadError as error:
            reasons[name] = str(error)
            watcher.note(f"{name} is not available; skipping its cells")
            continue
        if isinstance(foreseen, str):
            reasons[name] = foreseen
            watcher.note(f"{name}: {foreseen}")
        else:
            prepared[name] = foreseen
            _note_source(foreseen, watcher)
    if reasons and not prepared and not dry:
        raise DownloadError("\n".join(dict.fromkeys(reasons.values())))
    return prepared, tuple(
        Lacking(name, tuple(c.cell for c in cells if c.experiment.dataset == name), why)
        for name, why in reasons.items()
    )


def prepare_any(name: str, options: DataOptions, watcher: Watcher) -> Prepared:
    """Prepare a data set or photographs, and report their source."""
    prepared = prepare(name, options, watcher.note)
    _note_source(prepared, watcher)
    return prepared


def _note_source(data: Prepared, watcher: Watcher) -> None:
    origin = "" if data.name == PHOTOGRAPHS else f" ({data.origin})"
    watcher.note(f"{data.name}{origin}: {data.source}")


def _planned(
    cell: ResolvedExperiment,
    experiment: AnyExperiment,
    data: Prepared,
    runs: Path,
    device: str,
    engine: EngineChoice,
) -> PlannedRun:
    checkpoint_seconds()  # raises ConfigError early if the environment variable is wrong
    folder = runs.absolute() / run_name(experiment, data.sha256)
    job = Job(cell.cell, experiment, data, folder, device, reference=cell.reference)
    return PlannedRun(job, job.state(), engine)
