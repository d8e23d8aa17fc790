"""The machines of a selection: of training rows, and at the end of validation rows as well."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dae_cli.baselines.kernels import Doubles, Kernel, basis, square_basis
from dae_cli.baselines.svm import Svm, fit_on_matrix, kernel_matrix
from dae_cli.baselines.waiting import looking
from dae_cli.data.dataset import Dataset
from dae_cli.models.corruption import Masking
from dae_cli.training.streams import Purpose, stream

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
    seconds: float = field(default=0.0, compare=False)
    """What it took here; says nothing of the machine that came out."""

    @property
    def point(self) -> Point:
        """The kernel and the penalty."""
        return self.kernel, self.penalty

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


class Watching(Protocol):
    """What selection tells and asks the outside."""

    def made(self, trials: Sequence[Trial]) -> None:
        """Another trial is made; `trials` are all there are, in the order in which they came."""

    def look(self) -> None:
        """Called several times a second; what it raises ends the selection where it stands."""


def training_images(dataset: Dataset, destruction: float, seed: int) -> NDArray[np.float32]:
    """Return the rows that a chosen machine is trained on, (n, 784): train, then valid.

    A row's zeros are drawn once; those of a smaller destruction are among those of a larger one.
    """
    images = np.concatenate([dataset.train.as_float(), dataset.valid.as_float()])
    Masking(destruction).corrupt(images, stream(seed, Purpose.SVM_CORRUPTION), out=images)
    return images


class Machines:
    """Trains on the rows of one data set; knows nothing of the test rows.

    Trials that are ``known``, of a search that was stopped, are not made again.
    """

    def __init__(
        self,
        dataset: Dataset,
        seed: int,
        watching: Watching,
        known: Mapping[Point, Trial] | None = None,
    ) -> None:
        self._dataset = dataset
        self._seed = seed
        self._n_train = len(dataset.train)
        self._n_valid = len(dataset.valid)
        self._labels = np.concatenate([dataset.train.labels, dataset.valid.labels])
        self._destruction: float | None = None
        self._watching = watching
        self._known = known or {}
        self._made: list[Trial] = []

    def try_kernel(self, kernel: Kernel, penalties: Sequence[float]) -> Iterator[Trial]:
        """Train on the training rows and count the validation rows, for each penalty."""
        matrices: tuple[Doubles, Doubles] | None = None
        for penalty in penalties:
            known = self._known.get((kernel, penalty))
            if known is None:
                self._watching.look()
                begin = time.perf_counter()
                if matrices is None:
                    matrices = self._matrices(kernel)
                known = self._trial(*matrices, kernel, penalty, begin)
                self._made.append(known)
                self._watching.made(self._made)
            else:
                self._made.append(known)
            yield known

    def train_on_all_rows(self, kernel: Kernel, penalty: float) -> Svm:
        """Train once more, on training and validation rows together."""
        self._watching.look()
        self._take_pairs(kernel)
        matrix = kernel_matrix(kernel, self._pairs)
        return looking(
            lambda: fit_on_matrix(matrix, self._images, self._labels, kernel, penalty),
            self._watching.look,
        )

    def _matrices(self, kernel: Kernel) -> tuple[Doubles, Doubles]:
        """The kernel of training rows with each other, and of clean validation rows with them."""
        self._take_pairs(kernel)
        cut = self._n_train
        to_valid = self._pairs[cut:, :cut]
        if kernel.destruction:
            clean = self._dataset.valid.as_float()
            to_valid = basis(kernel.kind, clean, self._images[:cut]).astype(np.float32)
        return kernel_matrix(kernel, self._pairs[:cut, :cut]), kernel_matrix(kernel, to_valid)

    def _take_pairs(self, kernel: Kernel) -> None:
        """Have what kernels of this destruction depend on: once, for all that come in a row."""
        if self._destruction != kernel.destruction:
            self._destruction = kernel.destruction
            self._images = training_images(self._dataset, kernel.destruction, self._seed)
            self._pairs = square_basis(kernel.kind, self._images)

    def _trial(
        self, matrix: Doubles, to_valid: Doubles, kernel: Kernel, penalty: float, begin: float
    ) -> Trial:
        cut = self._n_train
        images, labels = self._images[:cut], self._labels[:cut]
        svm = looking(
            lambda: fit_on_matrix(matrix, images, labels, kernel, penalty), self._watching.look
        )
        found = svm.vote(to_valid[:, svm.support] @ svm.weights + svm.biases)
        wrong = int((found != self._labels[cut:]).sum())
        seconds = time.perf_counter() - begin
        n_support = len(svm.support)
        return Trial(kernel, penalty, wrong, self._n_valid, n_support, svm.converged, seconds)
