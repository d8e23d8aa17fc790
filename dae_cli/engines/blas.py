"""The products through SciPy's BLAS, which multiplies in place.

BLAS counts along columns: to it, a matrix of rows is its transpose, and so examples are columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import sgemm
from torch import Tensor

from dae_cli.models.operations import TorchOperations


class BlasOperations(TorchOperations):
    """The three products in float32 on the CPU, the rest as the reference.

    Matrices must lie in one piece.
    """

    def times_transposed(
        self, rows: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor
    ) -> Tensor:
        """out = rows · Wᵀ + bias."""
        _fill(out, bias)
        _add(_columns(out), 1.0, _columns(weight), _columns(rows), trans_a=True)
        return out

    def times(self, rows: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> Tensor:
        """out = rows · W + bias."""
        _fill(out, bias)
        _add(_columns(out), 1.0, _columns(weight), _columns(rows))
        return out

    def accumulate(
        self, weight: Tensor, left: Tensor, right: Tensor, scale: float, keep: float = 1.0
    ) -> None:
        """W = keep · W + scale · leftᵀ right."""
        _add(_columns(weight), scale, _columns(right), _columns(left), trans_b=True, keep=keep)


def _fill(out: Tensor, bias: Tensor | None) -> None:
    if bias is None:
        out.zero_()
    else:
        out.copy_(bias)


def _columns(matrix: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = matrix.numpy().T
    if array.dtype != np.float32 or not array.flags.f_contiguous:
        # SciPy would multiply a copy, and the result be lost.
        raise ValueError(f"expected float32 in one piece, found {matrix.dtype} {matrix.stride()}")
    return array


def _add(
    c: Any,
    scale: float,
    a: Any,
    b: Any,
    trans_a: bool = False,
    trans_b: bool = False,
    keep: float = 1.0,
) -> None:
    """c = keep · c + scale · a b, in place."""
    sgemm(scale, a, b, beta=keep, c=c, trans_a=trans_a, trans_b=trans_b, overwrite_c=True)
