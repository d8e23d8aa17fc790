"""What is trained on: the rows of a data set or the codes of a layer, and minibatches of them.

In an epoch every row is presented once, in a fresh order, the short last minibatch included. Each
minibatch is drawn one step ahead, gathered and corrupted while the one before it is still to be
trained on, so that an engine may look at both. Memory is used again: there are two minibatches of
each number of rows that occurs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dae_cli.config.schema import Experiment, FilterExperiment, SvmExperiment
from dae_cli.data.dataset import Dataset, Greys, Prepared, Split
from dae_cli.data.photographs import FilterImages, PatchSettings, load_images
from dae_cli.engines.engine import Engine
from dae_cli.models.autoencoder import DenoisingBatch
from dae_cli.models.corruption import Corruption
from dae_cli.models.network import LabelledBatch
from dae_cli.models.rbm import GibbsBatch, Rbm
from dae_cli.training.state import GeneratorState
from dae_cli.training.streams import Purpose, stream

Array = NDArray[np.float32]
Indices = NDArray[np.intp]
Noise = np.random.Generator | None
B = TypeVar("B")


def dataset_for(experiment: Experiment | SvmExperiment, whole: Dataset) -> Dataset:
    """Return the rows that an experiment uses: all, or an even subset for quick trials."""
    if (subset := experiment.subset) is None:
        return whole
    return replace(
        whole,
        train=whole.train.take(subset.train),
        valid=whole.valid.take(subset.valid),
        test=whole.test.take(subset.test),
    )


def images_of(data: Prepared, experiment: FilterExperiment) -> FilterImages:
    """Read digits, or cut patches at the places that the seed gives.

    Raises:
        DataError: the files have changed meanwhile.
    """
    patches = PatchSettings(**experiment.patches.model_dump()) if experiment.patches else None
    random = partial(stream, experiment.seed, Purpose.PATCHES)
    return load_images(data, random, rows=experiment.rows, patches=patches)


class Pixels:
    """Grey values in [0, 1], read from the bytes of a split at each presentation."""

    def __init__(self, split: Split, batch_size: int) -> None:
        self.width = split.pixels.shape[1]
        self._split = split
        self._greys = Greys(split, batch_size)

    def __len__(self) -> int:
        return len(self._split)

    def gather(self, chosen: Indices, out: Array) -> None:
        """Write the chosen rows into `out`, (m, width), the array of a `HostBuffer`."""
        self._greys.into(chosen, out)

    def chunk(self, start: int, stop: int) -> Tensor:
        """Return rows in order, (stop - start, width), on the CPU."""
        return torch.from_numpy(self._split.as_float(slice(start, stop)))


class FloatRows:
    """Rows of float32 in memory of `host_zeros`: the clean codes of a trained layer, or patches."""

    def __init__(self, values: Tensor) -> None:
        self.values = values
        self.width = values.shape[1]
        # With the room between rows, so that a gather is one copy a row.
        self._padded = values.as_strided((len(values), values.stride(0)), values.stride()).numpy()

    def __len__(self) -> int:
        return len(self.values)

    def gather(self, chosen: Indices, out: Array) -> None:
        padded = np.lib.stride_tricks.as_strided(out, (len(out), self._padded.shape[1]))
        np.take(self._padded, chosen, axis=0, out=padded, mode="clip")

    def chunk(self, start: int, stop: int) -> Tensor:
        return self.values[start:stop]


class ArrayRows:
    """Rows of any numbers, (n, width), read by chunks as float32; not trained on."""

    def __init__(self, values: NDArray[Any]) -> None:
        self.width = values.shape[1]
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def chunk(self, start: int, stop: int) -> Tensor:
        return torch.from_numpy(np.array(self._values[start:stop], dtype=np.float32, order="C"))


Inputs = Pixels | FloatRows
"""Rows that minibatches are gathered from."""


def inputs_of(images: Split | Array, batch_size: int, engine: Engine) -> Inputs:
    """Return images, bytes or float32, as minibatches of at most so many rows are gathered."""
    if isinstance(images, Split):
        return Pixels(images, batch_size)
    return FloatRows(host_zeros(engine, *images.shape).copy_(torch.from_numpy(images)))


def host_zeros(engine: Engine, rows: int, columns: int) -> Tensor:
    """Return memory for rows on the CPU: the engine's own, if that is where it computes."""
    if engine.device.type == "cpu":
        return engine.zeros(rows, columns)
    return torch.zeros(rows, columns)


class HostBuffer:
    """An `array` that NumPy writes and a `tensor` that the engine reads; one memory on the CPU."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self._host = tensor if tensor.device.type == "cpu" else torch.zeros(tensor.shape)
        self.array: Array = self._host.numpy()

    def send(self) -> None:
        if self._host is not self.tensor:
            self.tensor.copy_(self._host)


class Buffer(Protocol[B]):
    """Memory for one minibatch."""

    batch: B

    def fill(self, chosen: Indices, noise: Noise) -> None:
        """Gather the chosen rows, as many as there is memory for, and draw their noise."""


class Minibatches(Generic[B]):
    """The minibatches of one model; `buffer` returns memory for so many rows."""

    def __init__(self, buffer: Callable[[int], Buffer[B]], batch_size: int) -> None:
        self._new_buffer, self._batch_size = buffer, batch_size
        self._buffers: dict[tuple[int, int], Buffer[B]] = {}

    def draw(
        self, order: Indices, noise: Noise, start: int
    ) -> Iterator[tuple[B, B | None, GeneratorState | None]]:
        """Draw the minibatches of an epoch, whose rows are presented in `order`, from `start` on.

        `noise` is the generator of the corruption or the Gibbs chain, as it was when the first of
        these minibatches was to be drawn. Yields a minibatch; the one after it, None after the
        last; and what the generator's state was before the latter was drawn.
        """
        starts = range(start * self._batch_size, len(order), self._batch_size)
        filled = (
            self._filled(number % 2, order[first : first + self._batch_size], noise)
            for number, first in enumerate(starts)
        )
        upcoming = next(filled, None)
        while upcoming is not None:
            batch = upcoming
            state = None if noise is None else GeneratorState.of(noise)
            upcoming = next(filled, None)
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
        assert noise is not None
        self._inputs.gather(chosen, self._clean.array)
        self._clean.send()
        for uniforms in self._uniforms:
            noise.random(out=uniforms.array, dtype=np.float32)
            uniforms.send()


class LabelledBuffer:
    """Rows, uncorrupted, and their classes."""

    def __init__(self, inputs: Inputs, onehot: Array, engine: Engine, rows: int) -> None:
        self._inputs, self._onehot = inputs, onehot
        self._clean = HostBuffer(engine.zeros(rows, inputs.width))
        self._targets = HostBuffer(engine.zeros(rows, onehot.shape[1]))
        self.batch = LabelledBatch(self._clean.tensor, self._targets.tensor)

    def fill(self, chosen: Indices, noise: Noise) -> None:
        self._inputs.gather(chosen, self._clean.array)
        self._targets.array[:] = self._onehot[chosen]
        self._clean.send()
        self._targets.send()
