"""What `dae filters --animate` does: train the first layer again, and draw it while it learns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dae_cli.commands.console import watching
from dae_cli.errors import ConfigError, RunFolderError
from dae_cli.files import with_home

if TYPE_CHECKING:
    from dae_cli.config.schema import PretrainedExperiment
    from dae_cli.pictures.filters import Scale
    from dae_cli.study.run.records import TrainedOn

FRAMES = 24


def draw_learning(
    source: str,
    path: Path,
    grid: tuple[int, int],
    scale: Scale,
    data_dir: Path | None,
    photos: Path | None,
) -> None:
    """Write an animation of the filters of an experiment, or of a run's experiment.

    Raises:
        ConfigError: an SVM, nothing is pretrained, or another ending than .gif and .webp.
        DataError: the data cannot be had.
        RunFolderError: they are others than the run was trained on.
    """
    from dae_cli.pictures.animation import SUFFIXES
    from dae_cli.pictures.saving import check_suffix

    check_suffix(path, SUFFIXES)
    experiment = _experiment(source)
    had = _recorded(source)

    import torch

    from dae_cli.data.datasets import DATASETS, PHOTOGRAPHS
    from dae_cli.engines.engine import default_engine, engine_for
    from dae_cli.pictures.animation import Moment, animate, learning_frames
    from dae_cli.pictures.filters import Panel, upright
    from dae_cli.study.plan import prepare_any
    from dae_cli.study.run.corruption import corruption_told
    from dae_cli.study.run.learning import watch_learning
    from dae_cli.study.run.threads import use_one_thread

    with watching() as watcher:
        use_one_thread()
        origin = had.origin if had else None
        # No error is counted; how far the data are to be trusted is told with their origin.
        data = prepare_any(
            experiment.dataset, data_dir, origin, photos, watcher, accept_unverified=True
        )
        if had and had.sha256 != data.sha256:
            raise RunFolderError(
                f"{source}: was trained on {experiment.dataset} with SHA-256 {had.sha256[:12]}… "
                f"({had.source}), but here is {data.sha256[:12]}… ({data.source}); give its data "
                f"with {'--photos' if experiment.dataset == PHOTOGRAPHS else '--data-dir'}"
            )
        cpu = torch.device("cpu")
        engine = engine_for(default_engine(cpu, watcher.note), cpu)
        watcher.note(f"training the first layer again, for {FRAMES} pictures of it")
        snapshots = watch_learning(experiment, data, engine, FRAMES)
    spec = DATASETS.get(experiment.dataset)
    turn = upright if spec and spec.stored_transposed else lambda weights: weights
    moments = [
        Moment(
            [Panel(turn(shot.weights), corruption_told(experiment))],
            f"{shot.presentations:,} examples presented",
        )
        for shot in snapshots
    ]
    frames = learning_frames(moments, tiles=grid, title=f"{experiment.dataset}", scale=scale)
    animate(frames, path, metadata={"Experiment": source, "Engine": engine.name})


def _recorded(source: str) -> TrainedOn | None:
    """What a run was trained on; None of an experiment."""
    from dae_cli.study.run.folder import CONFIG, STATUS
    from dae_cli.study.run.records import Status, read_record

    folder = Path(source)
    return read_record(folder / STATUS, Status).data if (folder / CONFIG).is_file() else None


def _experiment(source: str) -> PretrainedExperiment:
    from dae_cli.config.experiments import load_resolved, resolve_experiment
    from dae_cli.config.schema import SvmExperiment

    config = with_home(source) / "config.yaml"
    experiment = (
        load_resolved(config) if config.is_file() else resolve_experiment(source).experiment
    )
    if isinstance(experiment, SvmExperiment):
        raise ConfigError(f"{source}: an SVM has no filters; name a network")
    return experiment
