"""The operations as kernels that are compiled for the processor at hand.

A BLAS repacks the weights at each product, which pays for large matrices but not for the few
rows of a minibatch. These kernels read the weights as they lie, in rows that start at multiples
of a cache line.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dae_cli.engines import kernels

# Floats in a cache line of 64 bytes; torch's memory starts at a multiple of it.
LINE = 16


class CompiledOperations:
    """The operations in float32 on the CPU, for views with contiguous rows."""

    def __init__(self) -> None:
        self._no_bias = torch.zeros(1)

    def zeros(self, rows: int, columns: int, like: Tensor) -> Tensor:
        """Return zeros whose rows start at multiples of a cache line."""
        width = -(-columns // LINE) * LINE
        return torch.zeros(rows, width, dtype=like.dtype)[:, :columns]

    def times_transposed(
        self, rows: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor
    ) -> Tensor:
        """out = rows · Wᵀ + bias."""
        (m, inputs), units = rows.shape, len(weight)
        offset = _vector(self._zero_bias(units) if bias is None else bias, units)
        kernels.times_transposed(
            *_matrix(rows, m, inputs),
            *_matrix(weight, units, inputs),
            offset,
            *_matrix(out, m, units),
            m,
            units,
            inputs,
        )
        return out

    def times(self, rows: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> Tensor:
        """out = rows · W + bias."""
        (m, units), inputs = rows.shape, weight.shape[1]
        x, w = _matrix(rows, m, units), _matrix(weight, units, inputs)
        place = _matrix(out, m, inputs)
        if bias is None:
            out.zero_()
        else:
            _vector(bias, inputs)
            out.copy_(bias)
        kernels.times(*x, *w, *place, m, units, inputs)
        return out

    def accumulate(
        self, weight: Tensor, left: Tensor, right: Tensor, scale: float, keep: float = 1.0
    ) -> None:
        """W = keep · W + scale · leftᵀ right."""
        (terms, units), inputs = left.shape, right.shape[1]
        x, y = _matrix(left, terms, units), _matrix(right, terms, inputs)
        w = _matrix(weight, units, inputs)
        kernels.accumulate(*w, *x, *y, scale, keep, terms, units, inputs)

    def sigmoid_(self, values: Tensor) -> Tensor:
        """values = sigm(values)."""
        m, units = values.shape
        kernels.sigmoid(*_matrix(values, m, units), m, units)
        return values

    def through_sigmoid_(self, error: Tensor, code: Tensor) -> Tensor:
        """error = error ∘ h − (error ∘ h) ∘ h."""
        m, units = error.shape
        kernels.through_sigmoid(*_matrix(error, m, units), *_matrix(code, m, units), m, units)
        return error

    def cross_entropy(
        self, decoder_input: Tensor, clean: Tensor, error: Tensor, cost: Tensor
    ) -> None:
        """error = sigm(a) − x, cost = Σ log(1 + eᵃ) − x a."""
        m, d = decoder_input.shape
        a, x = _matrix(decoder_input, m, d), _matrix(clean, m, d)
        cost.fill_(kernels.cross_entropy(*a, *x, *_matrix(error, m, d), m, d))

    def _zero_bias(self, units: int) -> Tensor:
        if len(self._no_bias) < units:
            self._no_bias = torch.zeros(units)
        return self._no_bias[:units]


def _matrix(matrix: Tensor, rows: int, columns: int) -> tuple[int, int]:
    """Return the address of a matrix and the bytes from row to row.

    Kernels work on addresses, so whatever does not fit must be refused here.
    """
    row, column = matrix.stride()
    fits = matrix.shape == (rows, columns) and matrix.dtype is torch.float32
    if not fits or column != 1 or not matrix.is_cpu:
        raise ValueError(
            f"expected float32 ({rows}, {columns}) in contiguous rows on the CPU, found "
            f"{matrix.dtype} {tuple(matrix.shape)} with strides {matrix.stride()}"
        )
    return matrix.data_ptr(), 4 * row


def _vector(bias: Tensor, units: int) -> int:
    fits = bias.shape == (units,) and bias.dtype is torch.float32
    if not fits or bias.stride(0) != 1 or not bias.is_cpu:
        raise ValueError(
            f"expected float32 ({units},) in one piece on the CPU, found {bias.dtype} "
            f"{tuple(bias.shape)} with strides {bias.stride()}"
        )
    return bias.data_ptr()
