"""Training inputs: rows of a data set or codes of a layer, and minibatches of them.

An epoch presents every row once, in a new random order, including a shorter last minibatch. Each
minibatch is drawn (gathered and corrupted) one step ahead, before the step on the previous one, so
that an engine can use both. Memory is reused: there are two minibatches for each size.
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
    """Return the rows that an experiment uses: all, or evenly spaced ones if `subset` is set."""
    if (subset := experiment.subset) is None:
        return whole
    return replace(
        whole,
        train=whole.train.take(subset.train),
        valid=whole.valid.take(subset.valid),
        test=whole.test.take(subset.test),
    )


def images_of(data: Prepared, experiment: FilterExperiment) -> FilterImages:
    """Read digits, or cut patches at positions drawn with the experiment's seed.

    Raises:
        DataError: the files have changed since they were prepared.
    """
    patches = PatchSettings(**experiment.patches.model_dump()) if experiment.patches else None
    random = partial(stream, experiment.seed, Purpose.PATCHES)
    return load_images(data, random, rows=experiment.rows, patches=patches)


class Pixels:
    """Grey values in [0, 1], converted from the bytes of a split at each presentation."""

    def __init__(self, split: Split, batch_size: int) -> None:
        self.width = split.pixels.shape[1]
        self._split = split
        self._greys = Greys(split, batch_size)

    def __len__(self) -> int:
        return len(self._split)

    def gather(self, chosen: Indices, out: Array) -> None:
        """Write the chosen rows to `out`, (m, width), the array of a `HostBuffer`."""
        self._greys.into(chosen, out)

    def chunk(self, start: int, stop: int) -> Tensor:
        """Return rows `start` to `stop`, (stop - start, width), on the CPU."""
        return torch.from_numpy(self._split.as_float(slice(start, stop)))


class FloatRows:
    """Float32 rows in memory of `host_zeros`: clean codes of a trained layer, or patches."""

    def __init__(self, values: Tensor) -> None:
        self.values = values
        self.width = values.shape[1]
        # Includes the padding, so that gathering copies each row in one piece.
        self._padded = values.as_strided((len(values), values.stride(0)), values.stride()).numpy()

    def __len__(self) -> int:
        return len(self.values)

    def gather(self, chosen: Indices, out: Array) -> None:
        padded = np.lib.stride_tricks.as_strided(out, (len(out), self._padded.shape[1]))
        np.take(self._padded, chosen, axis=0, out=padded, mode="clip")

    def chunk(self, start: int, stop: int) -> Tensor:
        return self.values[start:stop]


class ArrayRows:
    """Rows (n, width) of any numeric type, converted to float32 in chunks; not for training."""

    def __init__(self, values: NDArray[Any]) -> None:
        self.width = values.shape[1]
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def chunk(self, start: int, stop: int) -> Tensor:
        return torch.from_numpy(np.array(self._values[start:stop], dtype=np.float32, order="C"))


Inputs = Pixels | FloatRows
"""Rows that minibatches can be gathered from."""


def inputs_of(images: Split | Array, batch_size: int, engine: Engine) -> Inputs:
    """Wrap images (bytes or float32) for gathering minibatches of at most `batch_size` rows."""
    if isinstance(images, Split):
        return Pixels(images, batch_size)
    return FloatRows(host_zeros(engine, *images.shape).copy_(torch.from_numpy(images)))


def host_zeros(engine: Engine, rows: int, columns: int) -> Tensor:
    """Return zeros on the CPU, in the engine's layout if the engine runs on the CPU."""
    if engine.device.type == "cpu":
        return engine.zeros(rows, columns)
    return torch.zeros(rows, columns)


class HostBuffer:
    """An `array` for NumPy to write and a `tensor` for the engine; on the CPU they share memory."""

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
        """Gather the chosen rows, as many as the buffer has, and draw their noise."""


class Minibatches(Generic[B]):
    """The minibatches of one model; `buffer(rows)` returns memory for that many rows."""

    def __init__(self, buffer: Callable[[int], Buffer[B]], batch_size: int) -> None:
        self._new_buffer, self._batch_size = buffer, batch_size
        self._buffers: dict[tuple[int, int], Buffer[B]] = {}

    def draw(
        self, order: Indices, noise: Noise, start: int
    ) -> Iterator[tuple[B, B | None, GeneratorState | None]]:
        """Draw the minibatches of an epoch from number `start` on.

        Args:
            order: row numbers in the order of presentation.
            noise: generator of the corruption or the Gibbs chain, in its state before the first of
                these minibatches is drawn.

        Yields:
            A minibatch; the next one, or None after the last; and the generator's state before the
            next one was drawn.
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
    """Clean rows and a copy with new corruption at each presentation."""

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
    """Rows and the uniform numbers of their Gibbs chain, multiples of 2⁻²⁴ in [0, 1)."""

    def __init__(self, inputs: Inputs, rbm: Rbm, engine: Engine, rows: int) -> None:
        self._inputs = inputs
        self._clean = HostBuffer(engine.zeros(rows, inputs.width))
        # Contiguous, because NumPy fills only contiguous arrays with random numbers.
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
    """Rows without corruption and their classes."""

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
