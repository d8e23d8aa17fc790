"""Minibatches: every row once an epoch, in a fresh order, the short last one included.

Each is drawn one step ahead, gathered and corrupted while the one before it is still to be trained
on, so that an engine may look at both. Memory is used again: there are two minibatches of each
number of rows that occurs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from dae_cli.engines.engine import Engine
from dae_cli.models.autoencoder import DenoisingBatch
from dae_cli.models.corruption import Corruption
from dae_cli.models.network import LabelledBatch
from dae_cli.models.rbm import GibbsBatch, Rbm
from dae_cli.training.inputs import HostBuffer, Indices, Inputs
from dae_cli.training.state import GeneratorState

B = TypeVar("B")
Noise = np.random.Generator | None


class Buffer(Protocol[B]):
    """Memory for one minibatch."""

    batch: B

    def fill(self, chosen: Indices, noise: Noise) -> None:
        """Gather the chosen rows, as many as there is memory for, and draw their noise."""


class Minibatches(Generic[B]):
    """The minibatches of one model.

    Args:
        buffer: returns memory for a minibatch of so many rows.
        batch_size: rows of a minibatch.
    """

    def __init__(self, buffer: Callable[[int], Buffer[B]], batch_size: int) -> None:
        self._new_buffer, self._batch_size = buffer, batch_size
        self._buffers: dict[tuple[int, int], Buffer[B]] = {}

    def draw(
        self, order: Indices, noise: Noise, start: int
    ) -> Iterator[tuple[B, B | None, GeneratorState | None]]:
        """Draw the minibatches of an epoch, from number `start` on.

        Args:
            order: all rows of the epoch, in the order in which they are presented.
            noise: the generator of the corruption or the Gibbs chain, as it was when the first of
                these minibatches was to be drawn; None where there is none.
            start: minibatches of the epoch that were presented before.

        Yields:
            A minibatch; the one after it, None after the last; and what the generator's state was
            before the latter was drawn.
        """
        starts = range(start * self._batch_size, len(order), self._batch_size)
        parts = [order[first : first + self._batch_size] for first in starts]
        upcoming = self._filled(0, parts[0], noise) if parts else None
        for number, _ in enumerate(parts, start=1):
            assert upcoming is not None
            batch, upcoming = upcoming, None
            state = None if noise is None else GeneratorState.of(noise)
            if number < len(parts):
                upcoming = self._filled(number % 2, parts[number], noise)
            yield batch, upcoming, state

    def _filled(self, which: int, chosen: Indices, noise: Noise) -> B:
        key = len(chosen), which
        if key not in self._buffers:
            self._buffers[key] = self._new_buffer(len(chosen))
        self._buffers[key].fill(chosen, noise)
        return self._buffers[key].batch


class DenoisingBuffer:
    """Rows, and a copy that is corrupted afresh at each presentation."""

    def __init__(self, inputs: Inputs, corruption: Corruption, engine: Engine, rows: int) -> None:
        self._inputs, self._corruption = inputs, corruption
        self._clean = HostBuffer(engine.zeros(rows, inputs.width))
        self._corrupted = HostBuffer(engine.zeros(rows, inputs.width))
        self.batch = DenoisingBatch(self._clean.tensor, self._corrupted.tensor)

    def fill(self, chosen: Indices, noise: Noise) -> None:
        """Gather the chosen rows and corrupt them."""
        assert noise is not None
        self._inputs.gather(chosen, self._clean.array)
        self._corruption.corrupt(self._clean.array, noise, self._corrupted.array)
        self._clean.send()
        self._corrupted.send()


class GibbsBuffer:
    """Rows, and the uniform numbers of their Gibbs chain: multiples of 2⁻²⁴ in [0, 1)."""

    def __init__(self, inputs: Inputs, rbm: Rbm, engine: Engine, rows: int) -> None:
        self._inputs = inputs
        self._clean = HostBuffer(engine.zeros(rows, inputs.width))
        # In one piece, since NumPy fills nothing else with random numbers.
        self._uniforms = [
            HostBuffer(torch.zeros(rows, width, device=engine.device))
            for width in rbm.uniform_widths()
        ]
        self.batch = GibbsBatch(self._clean.tensor, [u.tensor for u in self._uniforms])

    def fill(self, chosen: Indices, noise: Noise) -> None:
        """Gather the chosen rows and draw the uniform numbers, in the order of their use."""
        assert noise is not None
        self._inputs.gather(chosen, self._clean.array)
        self._clean.send()
        for uniforms in self._uniforms:
            noise.random(out=uniforms.array, dtype=np.float32)
            uniforms.send()


class LabelledBuffer:
    """Rows, uncorrupted, and their classes."""

    def __init__(
        self, inputs: Inputs, onehot: NDArray[np.float32], engine: Engine, rows: int
    ) -> None:
        self._inputs, self._onehot = inputs, onehot
        self._clean = HostBuffer(engine.zeros(rows, inputs.width))
        self._targets = HostBuffer(engine.zeros(rows, onehot.shape[1]))
        self.batch = LabelledBatch(self._clean.tensor, self._targets.tensor)

    def fill(self, chosen: Indices, noise: Noise) -> None:
        """Gather the chosen rows and their targets."""
        self._inputs.gather(chosen, self._clean.array)
        self._targets.array[:] = self._onehot[chosen]
        self._clean.send()
        self._targets.send()
