"""Choosing kernel and penalty of an SVM on the validation rows, as the authors did.

First every kernel of a coarse grid with every penalty; then a finer look around the best: its
neighbours a factor of 10 away in gamma, in the penalty and in both, and one degree up and down,
as long as one of them is better, then at a factor of √10, then of the fourth root of 10. The best
is trained again on training and validation rows together, and only then the test rows are seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, product

import numpy as np

from dae_cli.baselines.kernels import Kernel, Kind, square_basis
from dae_cli.baselines.svm import Svm, fit_on_matrix, kernel_matrix
from dae_cli.data.dataset import Dataset, Split

RBF_KERNELS = tuple(Kernel("rbf", gamma) for gamma in (0.001, 0.01, 0.1))
POLY_KERNELS = tuple(
    Kernel("poly", gamma, degree) for degree in (2, 3, 4, 6, 9) for gamma in (0.001, 0.01)
)
PENALTIES = (0.1, 1.0, 10.0, 100.0)
REFINEMENTS = (10.0, 10**0.5, 10**0.25)
GREATEST_DEGREE = 20  # as far as the authors went

Point = tuple[Kernel, float]
"""A kernel and a penalty."""


@dataclass(frozen=True)
class Trial:
    """One kernel and penalty, trained on the training rows, counted on the validation rows."""

    kernel: Kernel
    penalty: float
    n_wrong: int
    n_valid: int
    n_support: int
    converged: bool

    @property
    def valid_error_percent(self) -> float:
        """Validation rows labelled wrongly, in percent."""
        return 100 * self.n_wrong / self.n_valid

    def __str__(self) -> str:
        """One line for a log."""
        ended = "" if self.converged else ", not converged"
        return (
            f"{self.kernel} C {self.penalty:g}: {self.valid_error_percent:.2f} % on validation, "
            f"{self.n_support} support vectors{ended}"
        )


@dataclass(frozen=True)
class Selected:
    """What selection found, and what the chosen machine does on the test rows."""

    best: Trial
    trials: tuple[Trial, ...]  # every one, in the order in which they were made
    svm: Svm  # trained again on training and validation rows
    n_wrong: int  # of the test rows
    n_test: int

    @property
    def valid_error_percent(self) -> float:
        """Error of the best trial on the validation rows, in percent."""
        return self.best.valid_error_percent

    @property
    def test_error_percent(self) -> float:
        """Test rows labelled wrongly, in percent of all of them."""
        return 100 * self.n_wrong / self.n_test


def select_svm(
    dataset: Dataset,
    kernels: Sequence[Kernel] = RBF_KERNELS,
    penalties: Sequence[float] = PENALTIES,
    *,
    refine: bool = True,
    note: Callable[[str], None] | None = None,
) -> Selected:
    """Choose on the validation rows, train again on train + valid, count all test rows.

    ``note`` is told a line for each trial. Memory: about 20 bytes a pair of rows, 3 GB for
    12 000 rows. Raises ValueError for kernels of two kinds or an empty grid.
    """
    search = _Search(dataset.train, dataset.valid, _kind_of(kernels, penalties), note)
    search.try_all(product(kernels, penalties))
    if refine:
        for factor in REFINEMENTS:
            _climb(search, factor)
    best = search.best()
    svm = search.train_on_all_rows(best.kernel, best.penalty)
    n_wrong = svm.count_wrong(dataset.test)
    return Selected(best, tuple(search.trials.values()), svm, n_wrong, len(dataset.test))


class _Search:
    """Trials on one data set, each made once; knows nothing of the test rows."""

    def __init__(
        self, train: Split, valid: Split, kind: Kind, note: Callable[[str], None] | None
    ) -> None:
        self._n_train = len(train)
        self._n_valid = len(valid)
        self._images = np.concatenate([train.as_float(), valid.as_float()])
        self._labels = np.concatenate([train.labels, valid.labels])
        self._pairs = square_basis(kind, self._images)
        self._note = note
        self.trials: dict[Point, Trial] = {}

    def try_all(self, points: Iterable[Point]) -> None:
        """Make the trials that were not made yet; those of one kernel share its matrix."""
        new = sorted(set(points) - self.trials.keys(), key=_order)
        for kernel, group in groupby(new, key=lambda point: point[0]):
            self._try_kernel(kernel, [penalty for _, penalty in group])

    def best(self) -> Trial:
        """The trial with the fewest wrong validation rows.

        Of several the one with the smallest penalty, then degree, then gamma.
        """
        return min(
            self.trials.values(), key=lambda t: (t.n_wrong, t.penalty, _order((t.kernel, 0.0)))
        )

    def train_on_all_rows(self, kernel: Kernel, penalty: float) -> Svm:
        """Train once more, on training and validation rows together."""
        matrix = kernel_matrix(kernel, self._pairs)
        return fit_on_matrix(matrix, self._images, self._labels, kernel, penalty)

    def _try_kernel(self, kernel: Kernel, penalties: Sequence[float]) -> None:
        cut = self._n_train
        matrix = kernel_matrix(kernel, self._pairs[:cut, :cut])
        to_valid = kernel_matrix(kernel, self._pairs[cut:, :cut])
        images, labels = self._images[:cut], self._labels[:cut]
        for penalty in penalties:
            svm = fit_on_matrix(matrix, images, labels, kernel, penalty)
            found = svm.vote(to_valid[:, svm.support] @ svm.weights + svm.biases)
            wrong = int((found != self._labels[cut:]).sum())
            trial = Trial(kernel, penalty, wrong, self._n_valid, len(svm.support), svm.converged)
            self.trials[kernel, penalty] = trial
            if self._note is not None:
                self._note(str(trial))


def _climb(search: _Search, factor: float) -> None:
    """Look around the best, and go on from the better one as long as there is one."""
    while True:
        before = search.best()
        search.try_all(_neighbours((before.kernel, before.penalty), factor))
        if search.best().n_wrong == before.n_wrong:
            return


def _neighbours(point: Point, factor: float) -> list[Point]:
    kernel, penalty = point
    steps = (1 / factor, 1.0, factor)
    near = [
        (replace(kernel, gamma=_tidy(kernel.gamma * a)), _tidy(penalty * b))
        for a, b in product(steps, steps)
    ]
    if kernel.kind == "poly":
        degrees = (kernel.degree - 1, kernel.degree + 1)
        near += [
            (replace(kernel, degree=degree), penalty)
            for degree in degrees
            if 1 <= degree <= GREATEST_DEGREE
        ]
    return near


def _order(point: Point) -> tuple[int, float, float, float]:
    """Trials in this order keep those of one kernel together."""
    kernel, penalty = point
    return kernel.degree, kernel.gamma, kernel.coef0, penalty


def _tidy(value: float) -> float:
    """A whole number of hundredths of a decade, in three digits: steps there and back meet."""
    return float(f"{10 ** round(math.log10(value), 2):.3g}")


def _kind_of(kernels: Sequence[Kernel], penalties: Sequence[float]) -> Kind:
    kinds = {kernel.kind for kernel in kernels}
    if len(kinds) != 1 or not penalties:
        raise ValueError(
            f"{len(kernels)} kernels of kinds {sorted(kinds)} and {len(penalties)} penalties; "
            "expected at least one of each, and kernels of one kind"
        )
    return kinds.pop()
