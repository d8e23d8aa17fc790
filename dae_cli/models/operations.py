"""What an engine supplies: three matrix products, and three passes through a nonlinearity.

Nearly all the time of training is spent here. The equations (autoencoder.py, network.py) are
written in terms of these operations; engines differ in how they carry them out.
Examples are rows everywhere; a weight is (units, inputs), one row for each unit.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Operations(Protocol):
    """A way to compute. Everything is written in place, into memory that `zeros` gave."""

    def zeros(self, rows: int, columns: int, like: Tensor) -> Tensor:
        """Return zeros (rows, columns) of the same kind, laid out as the operations like it."""

    def times_transposed(
        self, rows: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor
    ) -> Tensor:
        """out (m, units) = rows (m, inputs) · Wᵀ + bias (units,)."""

    def times(self, rows: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> Tensor:
        """out (m, inputs) = rows (m, units) · W + bias (inputs,)."""

    def accumulate(
        self, weight: Tensor, left: Tensor, right: Tensor, scale: float, keep: float = 1.0
    ) -> None:
        """W = keep · W + scale · leftᵀ right, with left (terms, units), right (terms, inputs)."""

    def sigmoid_(self, values: Tensor) -> Tensor:
        """values = sigm(values), (m, units)."""

    def through_sigmoid_(self, error: Tensor, code: Tensor) -> Tensor:
        """Take an error back through h = sigm(a): error = error ∘ h ∘ (1 − h), (m, units)."""

    def cross_entropy(
        self, decoder_input: Tensor, clean: Tensor, error: Tensor, cost: Tensor
    ) -> None:
        """From a, (m, d), and x, (m, d): error = sigm(a) − x, and the cost summed over all.

        The cost −x log x̂ − (1 − x) log(1 − x̂) with x̂ = sigm(a) is computed as
        log(1 + eᵃ) − x a, which does not overflow.
        """


class TorchOperations:
    """The reference: torch's own operations, on any device and in any precision."""

    def zeros(self, rows: int, columns: int, like: Tensor) -> Tensor:
        """Return zeros in one piece."""
        return torch.zeros(rows, columns, dtype=like.dtype, device=like.device)

    def times_transposed(
        self, rows: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor
    ) -> Tensor:
        """out = rows · Wᵀ + bias."""
        if bias is None:
            return torch.mm(rows, weight.T, out=out)
        return torch.addmm(bias, rows, weight.T, out=out)

    def times(self, rows: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> Tensor:
        """out = rows · W + bias."""
        if bias is None:
            return torch.mm(rows, weight, out=out)
        return torch.addmm(bias, rows, weight, out=out)

    def accumulate(
        self, weight: Tensor, left: Tensor, right: Tensor, scale: float, keep: float = 1.0
    ) -> None:
        """W = keep · W + scale · leftᵀ right."""
        weight.addmm_(left.T, right, beta=keep, alpha=scale)

    def sigmoid_(self, values: Tensor) -> Tensor:
        """values = sigm(values)."""
        return values.sigmoid_()

    def through_sigmoid_(self, error: Tensor, code: Tensor) -> Tensor:
        """error = error ∘ h − (error ∘ h) ∘ h."""
        return error.mul_(code).addcmul_(error, code, value=-1.0)

    def cross_entropy(
        self, decoder_input: Tensor, clean: Tensor, error: Tensor, cost: Tensor
    ) -> None:
        """error = sigm(a) − x, cost = Σ log(1 + eᵃ) − x a."""
        torch.ops.aten.softplus.out(decoder_input, out=error)
        error.addcmul_(decoder_input, clean, value=-1.0)
        torch.sum(error, dim=(0, 1), out=cost)
        torch.sigmoid(decoder_input, out=error).sub_(clean)


def laid_out(tensor: Tensor, operations: Operations) -> Tensor:
    """Return a copy of a matrix in the memory that the operations like."""
    rows, columns = tensor.shape
    return operations.zeros(rows, columns, like=tensor).copy_(tensor)


REFERENCE = TorchOperations()
