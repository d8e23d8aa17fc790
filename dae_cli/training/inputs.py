"""What a layer is trained on, row by row: grey values, or the codes of the layer below."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dae_cli.data.dataset import Greys, Split

# Rows encoded or classified at a time, where no gradient is taken.
CHUNK_ROWS = 1000


class Inputs(Protocol):
    """Rows that minibatches are gathered from."""

    width: int
    """d, the components of a row."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def into(self, chosen: NDArray[np.intp], out: NDArray[np.float32]) -> None:
        """Write the chosen rows into `out`, (m, d)."""

    def chunk(self, start: int, stop: int) -> Tensor:
        """Return rows in order, (stop - start, d), in torch's memory."""


class Pixels:
    """Grey values in [0, 1], read from the bytes of a split at each presentation."""

    def __init__(self, split: Split, batch_size: int) -> None:
        self.width = split.pixels.shape[1]
        self._split = split
        self._greys = Greys(split, batch_size)

    def __len__(self) -> int:
        return len(self._split)

    def into(self, chosen: NDArray[np.intp], out: NDArray[np.float32]) -> None:
        """Write the grey values of the chosen rows into `out`."""
        self._greys.into(chosen, out)

    def chunk(self, start: int, stop: int) -> Tensor:
        """Return a copy of rows: its memory is torch's, which is aligned."""
        return torch.from_numpy(self._split.as_float(slice(start, stop))).clone()


class Codes:
    """The code of a trained layer for every row, clean, in the layout of the engine."""

    def __init__(self, values: Tensor) -> None:
        self.values = values
        self.width = values.shape[1]
        # With what fills the rows up, so that a gather is one copy a row.
        self._padded = values.as_strided((len(values), values.stride(0)), values.stride()).numpy()

    def __len__(self) -> int:
        return len(self.values)

    def into(self, chosen: NDArray[np.intp], out: NDArray[np.float32]) -> None:
        """Copy the chosen rows into `out`."""
        whole = np.lib.stride_tricks.as_strided(out, (len(out), self._padded.shape[1]))
        np.take(self._padded, chosen, axis=0, out=whole, mode="clip")

    def chunk(self, start: int, stop: int) -> Tensor:
        """Return rows as they lie."""
        return self.values[start:stop]
