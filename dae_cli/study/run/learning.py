"""The filters of a layer while it learns: the experiment's first layer trained again, and watched.

Nothing of it is kept on disk. Streams of chance are named by their place (training/streams.py), so
the layer passes through the same weights as in the experiment's own run, with the same engine bit
for bit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dae_cli.config.schema import FilterExperiment, PretrainedExperiment
from dae_cli.data.cache import load
from dae_cli.data.dataset import Prepared
from dae_cli.engines.engine import Engine
from dae_cli.errors import ConfigError
from dae_cli.study.run.run import dataset_for, images_of
from dae_cli.training.inputs import Inputs, inputs_of
from dae_cli.training.run import Callbacks, TrainingRun
from dae_cli.training.state import TrainingState, initial_state


@dataclass(frozen=True)
class Snapshot:
    """The filters at one moment of learning."""

    presentations: int
    """Examples presented until then."""
    weights: NDArray[np.float32]
    """(units, d)."""


@dataclass
class _Watch(Callbacks):
    """Copies the weights after chosen steps."""

    wanted: frozenset[int]
    rows: int
    batch_size: int
    moments: list[Snapshot] = field(default_factory=list)
    _steps: int = 0

    def is_checkpoint_due(self) -> bool:
        """Count the step, and tell whether its weights are wanted."""
        self._steps += 1
        return self._steps in self.wanted

    def on_checkpoint(self, state: TrainingState) -> None:
        """Copy the weights."""
        epochs, steps = divmod(self._steps, -(-self.rows // self.batch_size))
        # The last minibatch of an epoch may be short.
        presented = epochs * self.rows + steps * self.batch_size
        self.moments.append(_moment(presented, state))


def watch_learning(
    experiment: PretrainedExperiment, data: Prepared, engine: Engine, moments: int
) -> list[Snapshot]:
    """Train the first layer from its initial weights, and return the filters as they go.

    Args:
        experiment: the settings.
        data: what it is trained on.
        engine: what computes.
        moments: how many there are to be: the initial weights, the last ones, and between them
            moments that follow each other by a growing number of steps, as learning slows down.

    Raises:
        ConfigError: nothing is pretrained. DataError: the data have changed. DivergedError.
    """
    settings = experiment.pretrain
    if settings.epochs == 0:
        raise ConfigError("nothing is pretrained here: pretrain.epochs is 0")
    inputs = _inputs(experiment, data, engine)
    steps = settings.epochs * -(-len(inputs) // settings.batch_size)
    spaced = np.geomspace(1, steps, max(moments - 1, 1)).round().astype(int)
    watch = _Watch(frozenset(spaced.tolist()) | {steps}, len(inputs), settings.batch_size)
    state = initial_state(experiment, inputs.width)
    del state.layers[1:]
    watch.moments.append(_moment(0, state))
    TrainingRun(experiment, state, engine, watch).pretrain(inputs)
    return watch.moments


def _moment(presentations: int, state: TrainingState) -> Snapshot:
    weights = state.layers[0].weight.cpu().numpy()
    return Snapshot(presentations, np.array(weights, dtype=np.float32, order="C"))


def _inputs(experiment: PretrainedExperiment, data: Prepared, engine: Engine) -> Inputs:
    if isinstance(experiment, FilterExperiment):
        images = images_of(data, experiment)
    else:
        images = dataset_for(experiment, load(data)).train
    return inputs_of(images, experiment.pretrain.batch_size, engine)
