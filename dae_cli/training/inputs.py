"""What a layer is trained on, row by row: grey values, or the codes of the layer below."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dae_cli.data.dataset import Greys, Split
from dae_cli.engines.engine import Engine

Array = NDArray[np.float32]
Indices = NDArray[np.intp]


class Pixels:
    """Grey values in [0, 1], read from the bytes of a split at each presentation.

    Attributes:
        width: d, the components of a row.
    """

    def __init__(self, split: Split, batch_size: int) -> None:
        self.width = split.pixels.shape[1]
        self._split = split
        self._greys = Greys(split, batch_size)

    def __len__(self) -> int:
        return len(self._split)

    def gather(self, chosen: Indices, out: Array) -> None:
        """Write the chosen rows' greys into `out`, (m, d), the array of a `HostBuffer`."""
        self._greys.into(chosen, out)

    def chunk(self, start: int, stop: int) -> Tensor:
        """Return rows in order, (stop - start, d), on the CPU."""
        return torch.from_numpy(self._split.as_float(slice(start, stop)))


class FloatRows:
    """Rows of float32 in memory of `host_zeros`: the clean codes of a trained layer, or patches.

    Attributes:
        width: d, the components of a row.
    """

    def __init__(self, values: Tensor) -> None:
        self.values = values
        self.width = values.shape[1]
        # With the room between rows, so that a gather is one copy a row.
        self._padded = values.as_strided((len(values), values.stride(0)), values.stride()).numpy()

    def __len__(self) -> int:
        return len(self.values)

    def gather(self, chosen: Indices, out: Array) -> None:
        """Copy the chosen rows into `out`, (m, d), the array of a `HostBuffer`."""
        padded = np.lib.stride_tricks.as_strided(out, (len(out), self._padded.shape[1]))
        np.take(self._padded, chosen, axis=0, out=padded, mode="clip")

    def chunk(self, start: int, stop: int) -> Tensor:
        """Return rows in order, (stop - start, d), on the CPU."""
        return self.values[start:stop]


class ArrayRows:
    """Rows of any numbers, (n, d), read one chunk after the other as float32; not trained on.

    Attributes:
        width: d, the components of a row.
    """

    def __init__(self, values: NDArray[Any]) -> None:
        self.width = values.shape[1]
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def chunk(self, start: int, stop: int) -> Tensor:
        """Return rows in order, (stop - start, d), on the CPU."""
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
    """Memory that NumPy writes and the engine reads; one and the same where it is the CPU's.

    Attributes:
        tensor: on the engine's device.
        array: the same numbers on the CPU.
    """

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self._host = tensor if tensor.device.type == "cpu" else torch.zeros(tensor.shape)
        self.array: Array = self._host.numpy()

    def send(self) -> None:
        """Bring what was written to the tensor's device."""
        if self._host is not self.tensor:
            self.tensor.copy_(self._host)
