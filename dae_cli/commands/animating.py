"""What `dae filters --animate` does: train the first layer again, and draw it while it learns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dae_cli.commands.console import watching
from dae_cli.errors import ConfigError, RunFolderError
from dae_cli.files import with_home

if TYPE_CHECKING:
    from dae_cli.config.schema import PretrainedExperiment
    from dae_cli.figures.greys import Scale
    from dae_cli.study.run.record import Status

FRAMES = 24


def animate_learning(
    source: str,
    path: Path,
    grid: tuple[int, int],
    scale: Scale,
    data_dir: Path | None,
    photos: Path | None,
) -> None:
    """Write an animation of the filters of an experiment, or of a run's experiment.

    Raises:
        ConfigError: an SVM, nothing is pretrained, or another ending than .gif.
        DataError: the data cannot be had.
        RunFolderError: they are others than the run was trained on.
    """
    from dae_cli.figures.saving import ANIMATIONS, check_suffix

    check_suffix(path, ANIMATIONS)
    experiment = _experiment(source)
    had = _recorded(source)

    import torch

    from dae_cli.data.datasets import PHOTOGRAPHS
    from dae_cli.data.sources import DataOptions
    from dae_cli.engines.engine import default_engine, engine_for
    from dae_cli.figures.filters import filter_sheet
    from dae_cli.figures.greys import common_limit
    from dae_cli.figures.saving import write_animation
    from dae_cli.study.plan import prepare_any
    from dae_cli.study.run.filters import as_shown, describe_corruption
    from dae_cli.study.run.learning import watch_learning
    from dae_cli.study.run.run import use_one_thread

    with watching() as watcher:
        use_one_thread()
        origin = had.data_origin if had else None
        # No error is counted; how far the data are to be trusted is told with their origin.
        options = DataOptions(data_dir, origin, accept_unverified=True, photos=photos)
        data = prepare_any(experiment.dataset, options, watcher)
        if had and had.data_sha256 != data.sha256:
            raise RunFolderError(
                f"{source}: was trained on {experiment.dataset} with SHA-256 "
                f"{had.data_sha256[:12]}… ({had.data_source}), but here is {data.sha256[:12]}… "
                f"({data.source}); give its data with {'--photos' if experiment.dataset == PHOTOGRAPHS else '--data-dir'}"
            )
        cpu = torch.device("cpu")
        engine = engine_for(default_engine(cpu, watcher.note), cpu)
        watcher.note(f"training the first layer again, for {FRAMES} pictures of it")
        snapshots = watch_learning(experiment, data, engine, FRAMES)
    title, most = describe_corruption(experiment), grid[0] * grid[1]
    layers = [as_shown(shot.weights, experiment.dataset, title) for shot in snapshots]
    # One for all moments: equal greys are equal weights.
    limit = common_limit([layer.weights[:most] for layer in layers])
    frames = [
        filter_sheet(
            [layer],
            grid,
            limit=limit,
            scale=scale,
            title=experiment.dataset,
            caption=f"{shot.presentations:,} examples presented",
        ).image()
        for layer, shot in zip(layers, snapshots, strict=True)
    ]
    write_animation(frames, path, {"Experiment": source, "Engine": engine.name})


def _recorded(source: str) -> Status | None:
    """What a run was trained on; None of an experiment."""
    from dae_cli.study.run.job import CONFIG
    from dae_cli.study.run.record import read_status

    folder = with_home(source)
    return read_status(folder) if (folder / CONFIG).is_file() else None


def _experiment(source: str) -> PretrainedExperiment:
    from dae_cli.config.experiments import load_resolved, resolve_experiment
    from dae_cli.config.schema import SvmExperiment
    from dae_cli.study.run.job import CONFIG

    config = with_home(source) / CONFIG
    experiment = (
        load_resolved(config) if config.is_file() else resolve_experiment(source).experiment
    )
    if isinstance(experiment, SvmExperiment):
        raise ConfigError(f"{source}: an SVM has no filters; name a network")
    return experiment
