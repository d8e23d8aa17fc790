"""Minibatches: every row once an epoch, in a fresh order, the short last batch included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

M = TypeVar("M")


def batches(order: NDArray[np.intp], batch_size: int) -> Iterator[NDArray[np.intp]]:
    """Cut an order of rows into minibatches."""
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


class Memory(Generic[M]):
    """One minibatch's memory for each number of rows that occurs: the full and the short one."""

    def __init__(self, make: Callable[[int], M]) -> None:
        self._make = make
        self._made: dict[int, M] = {}

    def of(self, rows: int) -> M:
        """Return the memory for so many rows, the same at every call."""
        if rows not in self._made:
            self._made[rows] = self._make(rows)
        return self._made[rows]


class Stage:
    """Where NumPy writes rows on their way to a tensor: into it, if that lies on the CPU."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor
        self._here = tensor if tensor.device.type == "cpu" else torch.zeros(tensor.shape)
        self.rows: NDArray[np.float32] = self._here.numpy()

    def send(self) -> None:
        """Bring what was written to the tensor's device."""
        if self._here is not self._tensor:
            self._tensor.copy_(self._here)


class Total:
    """The sum of costs over an epoch; on a GPU it stays there until it is asked for.

    Attributes:
        on_cpu: the sum as far as it was added on the CPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.on_cpu = 0.0
        # MPS has no double precision.
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self._there = torch.zeros((), dtype=dtype, device=device)

    def start(self, cost: float = 0.0) -> None:
        """Begin anew, or with a cost that was summed before."""
        self.on_cpu = cost
        self._there.zero_()

    def add(self, cost: Tensor) -> None:
        """Add the cost of a minibatch."""
        if cost.device.type == "cpu":
            self.on_cpu += cost.item()
        else:
            self._there.add_(cost)

    def value(self) -> float:
        """Return the sum so far."""
        return self.on_cpu + self._there.item()
