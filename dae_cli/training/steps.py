"""One step of training at a time: gather, corrupt, descend, in memory that is used again.

A step of an RBM corrupts nothing: its noise is that of the Gibbs chain.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dae_cli.engines.engine import Engine
from dae_cli.models.autoencoder import Autoencoder, Minibatch
from dae_cli.models.corruption import Corruption
from dae_cli.models.network import LabelledMinibatch, Network
from dae_cli.models.operations import laid_out
from dae_cli.models.rbm import GibbsMinibatch, Rbm
from dae_cli.training.batches import Memory, Stage, Total
from dae_cli.training.inputs import Inputs


class NoisyStep(Protocol):
    """Steps of a layer that is pretrained, of whichever kind."""

    @property
    def total(self) -> Total:
        """The cost of the rows presented, each before the step it was in."""

    def take(
        self, chosen: NDArray[np.intp], noise: np.random.Generator, learning_rate: float
    ) -> None:
        """Present the chosen rows and take one step on them."""


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


class GibbsStep:
    """Steps of one RBM by contrastive divergence.

    Attributes:
        total: the cost of the rows presented, each before the step it was in.
        chains: (at least the rows of a minibatch, hidden), the states of persistent chains, which
            move on with each step; None where each step's chains begin at the rows presented.
    """

    def __init__(
        self, rbm: Rbm, inputs: Inputs, engine: Engine, chains: Tensor | None = None
    ) -> None:
        rbm.lay_out(engine.operations)
        self._rbm, self._inputs, self._operations = rbm, inputs, engine.operations
        self.chains = None if chains is None else laid_out(chains, engine.operations)
        self._memory = Memory(self._make)
        self.total = Total(engine.device)

    def take(
        self, chosen: NDArray[np.intp], noise: np.random.Generator, learning_rate: float
    ) -> None:
        """Present the chosen rows and take one step on them."""
        batch, clean, chances = self._memory.of(len(chosen))
        self._inputs.into(chosen, clean.rows)
        clean.send()
        draw = partial(chances.draw, noise)
        self._rbm.descend(batch, learning_rate, draw, self._operations, self.chains)
        self.total.add(batch.cost)

    def _make(self, rows: int) -> tuple[GibbsMinibatch, Stage, _Chances]:
        batch = self._rbm.minibatch(rows, self._operations)
        return batch, Stage(batch.clean), _Chances(batch.hidden_chances, batch.visible_chances)


class _Chances:
    """Fills tensors with uniform numbers that are drawn on the CPU, wherever the tensors lie."""

    def __init__(self, *tensors: Tensor) -> None:
        self._stages = {tensor.data_ptr(): Stage(tensor) for tensor in tensors}

    def draw(self, noise: np.random.Generator, tensor: Tensor) -> None:
        """Fill one of the tensors with multiples of 2⁻²⁴ in [0, 1)."""
        stage = self._stages[tensor.data_ptr()]
        noise.random(out=stage.rows, dtype=np.float32)
        stage.send()


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

    def take(
        self, chosen: NDArray[np.intp], learning_rate: float, weight_decay: float = 0.0
    ) -> None:
        """Present the chosen rows and take one step on them."""
        batch, inputs, targets = self._memory.of(len(chosen))
        self._inputs.into(chosen, inputs.rows)
        np.take(self._onehot, chosen, axis=0, out=targets.rows, mode="clip")
        inputs.send()
        targets.send()
        self._network.descend(batch, learning_rate, self._operations, weight_decay)
        self.total.add(batch.cost)

    def _make(self, rows: int) -> tuple[LabelledMinibatch, Stage, Stage]:
        batch = self._network.minibatch(rows, self._operations)
        return batch, Stage(batch.inputs), Stage(batch.targets)
