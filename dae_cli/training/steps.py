"""One step of training at a time: gather, corrupt, descend, in memory that is used again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dae_cli.engines.engine import Engine
from dae_cli.models.autoencoder import Autoencoder, Minibatch
from dae_cli.models.corruption import Corruption
from dae_cli.models.network import LabelledMinibatch, Network
from dae_cli.training.batches import Memory, Stage, Total
from dae_cli.training.inputs import Inputs


class PretrainingStep:
    """Steps of one autoencoder on rows that are corrupted afresh at each presentation.

    Attributes:
        total: the cost of the rows presented, each before the step it was in.
    """

    def __init__(
        self, autoencoder: Autoencoder, inputs: Inputs, corruption: Corruption, engine: Engine
    ) -> None:
        autoencoder.lay_out(engine.operations)
        self._autoencoder, self._inputs, self._corruption = autoencoder, inputs, corruption
        self._operations = engine.operations
        self._memory = Memory(self._make)
        self.total = Total(engine.device)

    def take(
        self, chosen: NDArray[np.intp], noise: np.random.Generator, learning_rate: float
    ) -> None:
        """Present the chosen rows and take one step on them."""
        batch, clean, corrupted = self._memory.of(len(chosen))
        self._inputs.into(chosen, clean.rows)
        self._corruption.corrupt(clean.rows, noise, corrupted.rows)
        clean.send()
        corrupted.send()
        self._autoencoder.descend(batch, learning_rate, self._operations)
        self.total.add(batch.cost)

    def _make(self, rows: int) -> tuple[Minibatch, Stage, Stage]:
        batch = self._autoencoder.minibatch(rows, self._operations)
        return batch, Stage(batch.clean), Stage(batch.corrupted)


class FinetuningStep:
    """Steps of the whole network on labelled rows.

    Attributes:
        total: the cost of the rows presented, each before the step it was in.
    """

    def __init__(
        self, network: Network, inputs: Inputs, labels: NDArray[np.uint8], engine: Engine
    ) -> None:
        network.lay_out(engine.operations)
        self._network, self._inputs = network, inputs
        self._onehot = np.eye(len(network.top.bias), dtype=np.float32)[labels]
        self._operations = engine.operations
        self._memory = Memory(self._make)
        self.total = Total(engine.device)

    def take(self, chosen: NDArray[np.intp], learning_rate: float) -> None:
        """Present the chosen rows and take one step on them."""
        batch, inputs, targets = self._memory.of(len(chosen))
        self._inputs.into(chosen, inputs.rows)
        np.take(self._onehot, chosen, axis=0, out=targets.rows, mode="clip")
        inputs.send()
        targets.send()
        self._network.descend(batch, learning_rate, self._operations)
        self.total.add(batch.cost)

    def _make(self, rows: int) -> tuple[LabelledMinibatch, Stage, Stage]:
        batch = self._network.minibatch(rows, self._operations)
        return batch, Stage(batch.inputs), Stage(batch.targets)
