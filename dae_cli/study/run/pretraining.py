"""Reuse pretrained layers between runs, or repeat pretraining to watch the filters develop.

Runs that differ only in fine-tuning start it from the same weights. The checkpoint of a finished
run contains its pretrained layers next to its best network; a new run copies them into its own
checkpoint, at the end of pretraining, and resumes from there. The checkpoints of search trials are
removed, so trials put their pretrained layers into a cache for later trials.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dae_cli.config.experiments import load_resolved
from dae_cli.config.schema import Experiment, FilterExperiment, PretrainedExperiment
from dae_cli.data.cache import load
from dae_cli.data.dataset import Prepared
from dae_cli.engines.engine import Engine
from dae_cli.errors import ConfigError, DaeError
from dae_cli.files import owner, write_json
from dae_cli.study.run.job import CHECKPOINT, CONFIG, ENVIRONMENT, STATUS, Job, hidden, run_name
from dae_cli.study.run.provenance import Environment
from dae_cli.study.run.record import read_environment
from dae_cli.training.inputs import dataset_for, images_of, inputs_of
from dae_cli.training.run import Callbacks, TrainingRun
from dae_cli.training.state import (
    TrainingState,
    expected_of,
    initial_state,
    load_checkpoint,
    save_checkpoint,
)


def reuse_pretraining(job: Job, runs: Path, now: Environment) -> str | None:
    """Give a new run a checkpoint at the end of pretraining, with the layers of another run.

    The other run has the same settings up to fine-tuning, seed, data, numerics, engine, device,
    versions and processor, so the new run gives the same bits as if it pretrained itself.

    `runs` is the folder of finished runs, or the cache of a search; `now` is the environment of
    the new run. Returns the name of the other run, whose environment.json is also copied. Returns
    None and writes nothing if there is no such run. Raises OutputError.
    """
    experiment = job.experiment
    if job.from_start or not isinstance(experiment, Experiment) or not experiment.pretrain.epochs:
        return None
    # Fine-tuning settings change only the digest at the end of a run's name.
    prefix = run_name(experiment, job.data.sha256).rpartition("-")[0]
    for folder in sorted(runs.glob(f"{prefix}-*")):
        source = None
        with suppress(DaeError, OSError):
            source = _pretrained(folder, experiment, job.data.sha256, now)
        if source is not None:
            state, env = source
            write_json(job.partial / ENVIRONMENT, env.model_dump(mode="json"), make_folder=False)
            expected = expected_of(experiment, job.data.sha256)
            save_checkpoint(job.partial / CHECKPOINT, state, expected)
            return folder.name
    return None


def cache_pretraining(job: Job, cache_dir: Path, most: int) -> None:
    """Copy a checkpoint at the end of pretraining to a cache, for later runs to reuse.

    The cache keeps the newest `most` checkpoints. Write errors are ignored because a missing
    checkpoint costs only time.
    """
    place = cache_dir / run_name(job.experiment, job.data.sha256)
    unfinished = hidden(place, f".{owner()}")
    with suppress(OSError):
        unfinished.mkdir(parents=True, exist_ok=True)
        for name in (CONFIG, ENVIRONMENT, CHECKPOINT, STATUS):
            shutil.copyfile(job.partial / name, unfinished / name)
        unfinished.rename(place)
    shutil.rmtree(unfinished, ignore_errors=True)
    with suppress(OSError):
        cached = sorted(cache_dir.iterdir(), key=lambda folder: folder.stat().st_mtime)
        for old in cached[:-most]:
            shutil.rmtree(old, ignore_errors=True)


def _pretrained(
    folder: Path, wanted: Experiment, data_sha256: str, now: Environment
) -> tuple[TrainingState, Environment] | None:
    """Return a run's pretrained state if `wanted` would reach the same in the environment `now`."""
    if not (folder / STATUS).is_file():
        return None
    env, source = read_environment(folder), load_resolved(folder / CONFIG)
    names = ("engine", "devices", "versions", "platform", "blas", "threads")
    alike = all(getattr(env, name) == getattr(now, name) for name in names)
    if not alike or {session.cpu for session in env.sessions} != {now.cpu}:
        return None
    if not isinstance(source, Experiment):
        return None
    if source.model_copy(update={"finetune": wanted.finetune}) != wanted:
        return None
    if folder.name != run_name(source, data_sha256):  # other data or numerics, or renamed
        return None
    saved = load_checkpoint(folder / CHECKPOINT, expected_of(source, data_sha256))
    state = TrainingState(
        phase="finetune",
        layers=saved.layers,
        layer=len(saved.layers),
        history=[record for record in saved.history if record.phase == "pretrain"],
    )
    return state, env


# Repeating pretraining


class Snapshot(NamedTuple):
    """The filters, (units, d), after a number of presented examples."""

    presentations: int
    weights: NDArray[np.float32]


@dataclass
class _Watch(Callbacks):
    """Copies the weights after the `wanted` steps."""

    wanted: frozenset[int]
    rows: int
    batch_size: int
    snapshots: list[Snapshot] = field(default_factory=list)
    _steps: int = 0

    def is_checkpoint_due(self) -> bool:
        self._steps += 1
        return self._steps in self.wanted

    def on_checkpoint(self, state: TrainingState) -> None:
        epochs, steps = divmod(self._steps, -(-self.rows // self.batch_size))
        # The last minibatch of an epoch may be short.
        presented = epochs * self.rows + steps * self.batch_size
        weights = state.layers[0].weight.cpu().numpy()
        self.snapshots.append(Snapshot(presented, np.array(weights, np.float32, order="C")))


def watch_learning(
    experiment: PretrainedExperiment, data: Prepared, engine: Engine, moments: int
) -> list[Snapshot]:
    """Train the first layer from its initial weights and return snapshots of its filters.

    Random streams depend only on seed, purpose and position (training/streams.py), so the weights
    are those of the experiment's own run, bit for bit with the same engine. There are at most
    `moments` snapshots: the initial weights, the last ones, and others at growing intervals,
    because learning slows down.

    Raises:
        ConfigError: the experiment has no pretraining.
        DataError: the data have changed.
        DivergedError: the cost is NaN or infinite.
    """
    settings = experiment.pretrain
    if settings.epochs == 0:
        raise ConfigError("there is no pretraining to show: pretrain.epochs is 0; set it above 0")
    if isinstance(experiment, FilterExperiment):
        images = images_of(data, experiment)
    else:
        images = dataset_for(experiment, load(data)).train
    inputs = inputs_of(images, settings.batch_size, engine)
    steps = settings.epochs * -(-len(inputs) // settings.batch_size)
    spaced = np.geomspace(1, steps, max(moments - 1, 1)).round().astype(int)
    watch = _Watch(frozenset(spaced.tolist()) | {steps}, len(inputs), settings.batch_size)
    state = initial_state(experiment, inputs.width)
    del state.layers[1:]
    watch.on_checkpoint(state)
    TrainingRun(experiment, state, engine, watch).pretrain(inputs)
    return watch.snapshots
