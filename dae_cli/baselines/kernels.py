"""The kernels of the tables' SVMs, evaluated on what they depend on.

An RBF kernel depends on two images through their squared distance alone, a polynomial kernel
through their inner product. Those are one product of matrices, made once for a data set;
every gamma, degree and offset is then an elementwise function of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32] | NDArray[np.float64]
Doubles = NDArray[np.float64]
Kind = Literal["rbf", "poly"]

BLOCK_ROWS = 500
"""Rows of a matrix made at once: bounds the memory, and is plenty for a BLAS product."""


@dataclass(frozen=True)
class Kernel:
    """exp(−gamma |x − y|²), or (gamma x·y + coef0)^degree."""

    kind: Kind
    gamma: float
    degree: int = 3  # of a polynomial kernel only
    coef0: float = 1.0  # likewise
    destruction: float = 0.0
    """ν: of every training row exactly round(ν d) components are set to 0."""

    def __post_init__(self) -> None:
        """Raise ValueError for a parameter that makes no kernel."""
        if self.kind not in ("rbf", "poly"):
            raise ValueError(f"kernel {self.kind!r}, expected 'rbf' or 'poly'")
        if not (self.gamma > 0 and np.isfinite(self.gamma)):
            raise ValueError(f"gamma {self.gamma}, expected a number above 0")
        if self.kind == "poly" and (self.degree < 1 or self.coef0 < 0):
            raise ValueError(
                f"degree {self.degree} and coef0 {self.coef0}, expected 1 or more and 0 or more"
            )

    def __str__(self) -> str:
        """Parameters in the order of scikit-learn's."""
        nu = f"nu {self.destruction:g} " if self.destruction else ""
        if self.kind == "rbf":
            return f"rbf {nu}gamma {self.gamma:g}"
        return f"poly {nu}degree {self.degree} gamma {self.gamma:g} coef0 {self.coef0:g}"

    def apply(self, pairs: Doubles) -> Doubles:
        """Turn ``basis`` values, float64 of any shape, into values of the kernel, in place."""
        if self.kind == "rbf":
            np.multiply(pairs, -self.gamma, out=pairs)
            return np.exp(pairs, out=pairs)
        np.multiply(pairs, self.gamma, out=pairs)
        np.add(pairs, self.coef0, out=pairs)
        return _raise(pairs, self.degree)

    def between(self, left: Images, right: Images) -> Doubles:
        """Kernel of every row of ``left``, (n, d), with every row of ``right``, (m, d): (n, m)."""
        return self.apply(basis(self.kind, left, right))


def basis(kind: Kind, left: Images, right: Images) -> Doubles:
    """What a kernel depends on, for rows (n, d) and (m, d), as float64 (n, m).

    Squared distances for "rbf", inner products for "poly".
    """
    a = left.astype(np.float64, copy=False)
    b = right.astype(np.float64, copy=False)
    pairs = a @ b.T
    if kind == "poly":
        return pairs
    pairs *= -2
    pairs += np.einsum("ij,ij->i", a, a)[:, None]
    pairs += np.einsum("ij,ij->i", b, b)
    return np.maximum(pairs, 0, out=pairs)  # rounding may leave a distance just below zero


def square_basis(kind: Kind, images: Images) -> NDArray[np.float32]:
    """``basis`` of all pairs of rows (n, d), as float32 (n, n).

    Worked out in float64 and only then rounded: a relative error of 6e-8 in half the memory.
    """
    n = len(images)
    exact = images.astype(np.float64, copy=False)
    pairs = np.empty((n, n), dtype=np.float32)
    for first in range(0, n, BLOCK_ROWS):
        # The matrix is symmetric: only what lies on and right of the diagonal is worked out.
        rows = slice(first, first + BLOCK_ROWS)
        block = basis(kind, exact[rows], exact[first:])
        pairs[rows, first:] = block
        pairs[first:, rows] = block.T
    if kind == "rbf":
        np.fill_diagonal(pairs, 0)
    return pairs


def _raise(values: Doubles, degree: int) -> Doubles:
    """``values ** degree`` in place, by squaring: numpy's own power is many times slower."""
    base = values if degree == 1 else values.copy()
    first = True
    while degree > 0:
        if degree & 1 and first:
            values[...] = base
            first = False
        elif degree & 1:
            np.multiply(values, base, out=values)
        degree >>= 1
        if degree:
            np.multiply(base, base, out=base)
    return values
