"""Minibatches: every row once an epoch, in a fresh order, the short last batch included."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dae_cli.data.dataset import Split
from dae_cli.models.corruption import Corruption

# Rows encoded or classified at a time, where no gradient is taken.
CHUNK_ROWS = 1000


def batches(order: NDArray[np.intp], batch_size: int) -> Iterator[NDArray[np.intp]]:
    """Cut an order of rows into minibatches."""
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


class Presenter:
    """Gathers minibatches and their corrupted copies into buffers that are used again.

    The buffers belong to torch, whose allocator aligns them: the products' results then do not
    depend on where the memory happens to lie.
    """

    def __init__(self, rows: NDArray[np.float32], batch_size: int, device: torch.device) -> None:
        self._rows = rows
        self._device = device
        self._clean = torch.empty(min(batch_size, len(rows)), rows.shape[1])
        self._corrupted = torch.empty_like(self._clean)

    def clean(self, chosen: NDArray[np.intp]) -> Tensor:
        """Return the chosen rows, (m, d); valid until the next call."""
        buffer = self._clean[: len(chosen)]
        np.take(self._rows, chosen, axis=0, out=buffer.numpy(), mode="clip")
        return buffer.to(self._device)

    def corrupted(
        self, chosen: NDArray[np.intp], corruption: Corruption, random: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return the chosen rows and a freshly corrupted copy, both (m, d)."""
        clean = self.clean(chosen)
        buffer = self._corrupted[: len(chosen)]
        corruption.corrupt(self._clean[: len(chosen)].numpy(), random, buffer.numpy())
        return clean, buffer.to(self._device)


def chunks_of(split: Split, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all rows of a split, in order, as (inputs (m, d), labels (m,))."""
    for start in range(0, len(split), CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        labels = torch.from_numpy(split.labels[rows].astype(np.int64))
        yield own_copy(split.as_float(rows), device), labels.to(device)


def own_copy(rows: NDArray[np.float32], device: torch.device) -> Tensor:
    """Return a copy of rows in memory of torch's own, for the reason given at `Presenter`."""
    return torch.from_numpy(rows).to(device, copy=True)
