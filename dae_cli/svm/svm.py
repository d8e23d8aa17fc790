"""Support vector machines on images, by scikit-learn's libsvm on a kernel computed by BLAS.

libsvm evaluates a kernel one pair of rows at a time. Here the whole matrix is first computed as a
matrix product; test rows need only their kernel with the support vectors, block by block. The
result is the same SVM: one classifier for each pair of classes, and a vote.

An RBF kernel depends only on the squared distance of two images, a polynomial kernel only on their
inner product. These are computed once for a data set; the kernel of every gamma, degree and offset
is an elementwise function of them.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.dataset import Split
from dae_cli.errors import DataError

Images = NDArray[np.float32] | NDArray[np.float64]
Labels = NDArray[Any]
Doubles = NDArray[np.float64]
Kind = Literal["rbf", "poly"]

BLOCK_ROWS = 500
"""Rows of a matrix computed at once: few enough for the memory, many enough for fast BLAS."""
CACHE_MB = 500
TOLERANCE = 1e-3  # libsvm's default
MAX_ITERATIONS = 2_000_000
"""Limit without which a hopeless kernel (a high degree with a large C) trains for hours."""
LARGEST_EXPONENT = 120
"""Largest binary exponent in a kernel for libsvm; float32 ends at 128."""


@dataclass(frozen=True)
class Kernel:
    """exp(−gamma |x − y|²), or (gamma x·y + coef0)^degree."""

    kind: Kind
    gamma: float
    degree: int = 3  # polynomial kernel only
    coef0: float = 1.0  # polynomial kernel only
    destruction: float = 0.0
    """ν: exactly round(ν d) components of each training row are set to 0."""

    def __str__(self) -> str:
        """Return the parameters in scikit-learn's order."""
        nu = f"nu {self.destruction:g} " if self.destruction else ""
        if self.kind == "rbf":
            return f"rbf {nu}gamma {self.gamma:g}"
        return f"poly {nu}degree {self.degree} gamma {self.gamma:g} coef0 {self.coef0:g}"

    def apply(self, pairs: Doubles) -> Doubles:
        """Turn ``basis`` values, float64 of any shape, into kernel values, in place."""
        if self.kind == "rbf":
            np.multiply(pairs, -self.gamma, out=pairs)
            return np.exp(pairs, out=pairs)
        np.multiply(pairs, self.gamma, out=pairs)
        np.add(pairs, self.coef0, out=pairs)
        return _raise(pairs, self.degree)

    def between(self, left: Images, right: Images) -> Doubles:
        """Return the kernel of rows ``left``, (n, d), with rows ``right``, (m, d), as (n, m)."""
        return self.apply(basis(self.kind, left, right))

    def matrix(self, pairs: NDArray[np.float32]) -> Doubles:
        """Return the kernel of pairs of rows, float64 (n, m), from their float32 ``basis``."""
        matrix = np.empty(pairs.shape)
        for first in range(0, len(pairs), BLOCK_ROWS):
            rows = slice(first, first + BLOCK_ROWS)
            matrix[rows] = self.apply(pairs[rows].astype(np.float64))
        return matrix


def basis(kind: Kind, left: Images, right: Images) -> Doubles:
    """Return the values that a kernel depends on, float64 (n, m), for rows (n, d) and (m, d).

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
    """Return the ``basis`` of all pairs of rows (n, d), as float32 (n, n).

    It is computed in float64 and then rounded: a relative error of 6e-8 for half the memory.
    """
    n = len(images)
    exact = images.astype(np.float64, copy=False)
    pairs = np.empty((n, n), dtype=np.float32)
    for first in range(0, n, BLOCK_ROWS):
        # The matrix is symmetric: compute only the blocks on and right of the diagonal.
        rows = slice(first, first + BLOCK_ROWS)
        block = basis(kind, exact[rows], exact[first:])
        pairs[rows, first:] = block
        pairs[first:, rows] = block.T
    if kind == "rbf":
        np.fill_diagonal(pairs, 0)
    return pairs


def _raise(values: Doubles, degree: int) -> Doubles:
    """Compute ``values ** degree`` in place, by squaring; numpy's power is many times slower."""
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


@dataclass(frozen=True)
class Svm:
    """A trained SVM: support vectors, and a linear rule on their kernels for each pair of classes.

    Pairs are (0, 1), (0, 2), …, (1, 2), … of positions in ``classes``; a score above 0 is a vote
    for the first class of the pair.
    """

    kernel: Kernel
    C: float
    classes: Labels  # (k,), ascending
    support: NDArray[np.int64]  # (n_support,), row numbers of the training images
    vectors: NDArray[np.float32]  # (n_support, d), the images in these rows
    weights: Doubles  # (n_support, pairs)
    biases: Doubles  # (pairs,)
    converged: bool = True
    """False if training stopped after MAX_ITERATIONS."""

    def scores(self, images: Images) -> Doubles:
        """Return the scores of rows (n, d) for every pair of classes, (n, pairs)."""
        vectors = self.vectors.astype(np.float64)  # once, not for every block
        scores = np.empty((len(images), len(self.biases)))
        for first in range(0, len(images), BLOCK_ROWS):
            rows = slice(first, first + BLOCK_ROWS)
            scores[rows] = self.kernel.between(images[rows], vectors) @ self.weights
        return scores + self.biases

    def predict(self, images: Images) -> Labels:
        """Return the labels of rows (n, d)."""
        return self.vote(self.scores(images))

    def vote(self, scores: Doubles) -> Labels:
        """Return the labels for scores (n, pairs); ties go to the first class, as in libsvm."""
        n_classes = len(self.classes)
        votes = np.zeros((len(scores), n_classes), dtype=np.int64)
        for column, (a, b) in enumerate(combinations(range(n_classes), 2)):
            first = scores[:, column] > 0
            votes[:, a] += first
            votes[:, b] += ~first
        labels: Labels = self.classes[votes.argmax(axis=1)]
        return labels

    def wrong_rows(self, split: Split) -> NDArray[np.bool_]:
        """Return for each row of a split, (n,), whether it is labelled wrongly."""
        wrong = np.empty(len(split), dtype=np.bool_)
        for first in range(0, len(split), 10 * BLOCK_ROWS):
            rows = slice(first, first + 10 * BLOCK_ROWS)
            wrong[rows] = self.predict(split.as_float(rows)) != split.labels[rows]
        return wrong


def fit_svm(images: Images, labels: Labels, kernel: Kernel, C: float) -> Svm:
    """Train on rows (n, d) with labels (n,); raises DataError for fewer than two classes."""
    matrix = kernel.matrix(square_basis(kernel.kind, images))
    return fit_on_matrix(matrix, images, labels, kernel, C)


def fit_on_matrix(matrix: Doubles, images: Images, labels: Labels, kernel: Kernel, C: float) -> Svm:
    """Train like ``fit_svm``, given the kernel of all pairs of rows, float64 (n, n)."""
    if len(np.unique(labels)) < 2:
        raise DataError(
            f"all {len(labels)} training rows belong to one class; an SVM needs two or more classes"
        )
    # libsvm stores kernels as float32, so we scale those that are too large by a power of two.
    scale = 2.0 ** max(0, int(np.frexp(matrix.max())[1]) - LARGEST_EXPONENT)
    machine = _solve(matrix if scale == 1 else matrix / scale, labels, C * scale)
    weights, biases = _pairwise_rules(machine)
    return Svm(
        kernel=kernel,
        C=C,
        classes=machine.classes_,
        support=machine.support_.astype(np.int64),
        vectors=np.asarray(images[machine.support_], dtype=np.float32),
        weights=weights / scale,
        biases=biases,
        converged=machine.fit_status_ == 0,
    )


def _solve(matrix: Doubles, labels: Labels, C: float) -> Any:
    from sklearn.exceptions import ConvergenceWarning  # here because the import takes a second
    from sklearn.svm import SVC

    machine = SVC(
        kernel="precomputed", C=C, tol=TOLERANCE, cache_size=CACHE_MB, max_iter=MAX_ITERATIONS
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # reported by `Svm.converged`
        return machine.fit(matrix, labels)


def _pairwise_rules(machine: Any) -> tuple[Doubles, Doubles]:
    """Return the weights (n_support, pairs) and biases (pairs,) of a trained SVC.

    libsvm packs the weights: for a support vector of class a, its weight in the classifier of the
    classes a and b is in row b − 1 (b > a) or b (b < a) of ``dual_coef_``.
    """
    n_classes = len(machine.classes_)
    if n_classes == 2:  # scikit-learn inverts the signs in this case only
        return -machine.dual_coef_.T, -machine.intercept_
    ends = np.cumsum(machine.n_support_)
    of_class = [slice(end - n, end) for end, n in zip(ends, machine.n_support_, strict=True)]
    pairs = list(combinations(range(n_classes), 2))
    weights = np.zeros((len(machine.support_), len(pairs)))
    for column, (a, b) in enumerate(pairs):
        weights[of_class[a], column] = machine.dual_coef_[b - 1, of_class[a]]
        weights[of_class[b], column] = machine.dual_coef_[a, of_class[b]]
    return weights, machine.intercept_.copy()
