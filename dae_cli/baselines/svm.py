"""Support vector machines on images, by scikit-learn's libsvm on a kernel made by BLAS.

libsvm evaluates a kernel one pair of rows at a time; here the whole matrix is made first, as a
product of matrices, and test rows meet the support vectors alone, block by block. The machine
is the same: several classes are told apart by one machine for each pair of classes and a vote.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.baselines.kernels import BLOCK_ROWS, Doubles, Images, Kernel, square_basis
from dae_cli.data.dataset import Split
from dae_cli.errors import DataError

Labels = NDArray[np.uint8]

CACHE_MB = 500
TOLERANCE = 1e-3  # libsvm's usual one
MAX_ITERATIONS = 2_000_000
"""A hopeless kernel (a high degree with a large penalty) would otherwise run for hours."""

LARGEST_EXPONENT = 120
"""Of 2, in a kernel that libsvm is given; single precision ends at 128."""


@dataclass(frozen=True)
class Svm:
    """A trained machine: support vectors, and one linear rule on their kernels a pair of classes.

    Pairs are (0, 1), (0, 2), …, (1, 2), … of positions in ``classes``; a score above 0 is
    a vote for the first of the pair.
    """

    kernel: Kernel
    penalty: float
    classes: Labels  # (k,), ascending
    support: NDArray[np.int64]  # (n_support,), rows of the training images
    vectors: NDArray[np.float32]  # (n_support, d), those rows
    weights: Doubles  # (n_support, pairs)
    biases: Doubles  # (pairs,)
    converged: bool = True
    """False where training was ended after MAX_ITERATIONS."""

    def scores(self, images: Images) -> Doubles:
        """Scores of rows (n, d) for every pair of classes, (n, pairs)."""
        vectors = self.vectors.astype(np.float64)  # once, not for every block
        found = np.empty((len(images), len(self.biases)))
        for first in range(0, len(images), BLOCK_ROWS):
            rows = slice(first, first + BLOCK_ROWS)
            found[rows] = self.kernel.between(images[rows], vectors) @ self.weights
        return found + self.biases

    def predict(self, images: Images) -> Labels:
        """Labels of rows (n, d)."""
        return self.vote(self.scores(images))

    def vote(self, scores: Doubles) -> Labels:
        """Labels for scores (n, pairs); of classes with as many votes the first, as in libsvm."""
        n_classes = len(self.classes)
        votes = np.zeros((len(scores), n_classes), dtype=np.int64)
        for column, (a, b) in enumerate(combinations(range(n_classes), 2)):
            first = scores[:, column] > 0
            votes[:, a] += first
            votes[:, b] += ~first
        labels: Labels = self.classes[votes.argmax(axis=1)]
        return labels

    def wrong_rows(self, split: Split) -> NDArray[np.bool_]:
        """For each row of a split, (n,), whether it is labelled wrongly."""
        wrong = np.empty(len(split), dtype=np.bool_)
        for first in range(0, len(split), 10 * BLOCK_ROWS):
            rows = slice(first, first + 10 * BLOCK_ROWS)
            wrong[rows] = self.predict(split.as_float(rows)) != split.labels[rows]
        return wrong

    def count_wrong(self, split: Split) -> int:
        """How many rows of a split it labels wrongly; every row counts, once."""
        return int(self.wrong_rows(split).sum())

    def error_percent(self, split: Split) -> float:
        """Rows of a split labelled wrongly, in percent of all its rows."""
        return 100 * self.count_wrong(split) / len(split)


def fit_svm(images: Images, labels: Labels, kernel: Kernel, penalty: float) -> Svm:
    """Train on rows (n, d) with labels (n,); ``penalty`` is the C of libsvm.

    Raises DataError when there are fewer than two classes, ValueError for a penalty not above 0.
    """
    matrix = kernel_matrix(kernel, square_basis(kernel.kind, images))
    return fit_on_matrix(matrix, images, labels, kernel, penalty)


def kernel_matrix(kernel: Kernel, pairs: NDArray[np.float32]) -> Doubles:
    """A kernel of pairs of rows, float64 (n, m), from the float32 ``basis`` of them (n, m)."""
    matrix = np.empty(pairs.shape)
    for first in range(0, len(pairs), BLOCK_ROWS):
        rows = slice(first, first + BLOCK_ROWS)
        matrix[rows] = kernel.apply(pairs[rows].astype(np.float64))
    return matrix


def fit_on_matrix(
    matrix: Doubles, images: Images, labels: Labels, kernel: Kernel, penalty: float
) -> Svm:
    """``fit_svm`` where the kernel of all pairs of rows, float64 (n, n), is there already."""
    if not penalty > 0:
        raise ValueError(f"penalty {penalty}, expected a number above 0")
    if len(np.unique(labels)) < 2:
        raise DataError(
            f"the {len(labels)} training rows are all of one class; an SVM needs two or more"
        )
    # libsvm has kernels in single precision: larger ones are scaled, by a power of two.
    scale = 2.0 ** max(0, int(np.frexp(matrix.max())[1]) - LARGEST_EXPONENT)
    machine = _solve(matrix if scale == 1 else matrix / scale, labels, penalty * scale)
    weights, biases = _pairwise_rules(machine)
    return Svm(
        kernel=kernel,
        penalty=penalty,
        classes=machine.classes_.astype(np.uint8),
        support=machine.support_.astype(np.int64),
        vectors=np.asarray(images[machine.support_], dtype=np.float32),
        weights=weights / scale,
        biases=biases,
        converged=machine.fit_status_ == 0,
    )


def _solve(matrix: Doubles, labels: Labels, penalty: float) -> Any:
    from sklearn.exceptions import ConvergenceWarning  # here, since the import takes a second
    from sklearn.svm import SVC

    machine = SVC(
        kernel="precomputed",
        C=penalty,
        tol=TOLERANCE,
        cache_size=CACHE_MB,
        max_iter=MAX_ITERATIONS,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # told by ``Svm.converged``
        return machine.fit(matrix, labels)


def _pairwise_rules(machine: Any) -> tuple[Doubles, Doubles]:
    """Weights (n_support, pairs) and biases (pairs,) of a trained SVC.

    libsvm packs them: of a support vector of class a, row b − 1 (b > a) or b (b < a)
    of ``dual_coef_`` is its weight in the machine for the classes a and b.
    """
    n_classes = len(machine.classes_)
    if n_classes == 2:  # scikit-learn turns the signs round in this case only
        return -machine.dual_coef_.T, -machine.intercept_
    ends = np.cumsum(machine.n_support_)
    of_class = [slice(end - n, end) for end, n in zip(ends, machine.n_support_, strict=True)]
    pairs = list(combinations(range(n_classes), 2))
    weights = np.zeros((len(machine.support_), len(pairs)))
    for column, (a, b) in enumerate(pairs):
        weights[of_class[a], column] = machine.dual_coef_[b - 1, of_class[a]]
        weights[of_class[b], column] = machine.dual_coef_[a, of_class[b]]
    return weights, machine.intercept_.copy()
