"""The machines of a selection, of training rows, and at the end of validation rows as well."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.dataset import Dataset
from dae_cli.models.corruption import Masking
from dae_cli.svm.selection import Point, Trial
from dae_cli.svm.svm import Doubles, Kernel, Svm, basis, fit_on_matrix, square_basis
from dae_cli.training.streams import Purpose, stream

POLL_SECONDS = 0.1
"""So that who asks to stop does not wait for the end of a trial."""

Result = TypeVar("Result")


def run_interruptibly(work: Callable[[], Result], poll: Callable[[], None]) -> Result:
    """Do `work` in a thread of its own, and call `poll` until it is done.

    If `poll` raises, that ends the call; the thread goes on to the end of its work, which nobody
    waits for, or to the end of the process. What `work` raises is raised here.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        poll()
        thread.join(POLL_SECONDS)
    if errors:
        raise errors[0]
    return results[0]


def training_images(dataset: Dataset, destruction: float, seed: int) -> NDArray[np.float32]:
    """Return the rows that a chosen machine is trained on, (n, d): train, then valid.

    A row's zeros are drawn once; those of a smaller destruction are among those of a larger one.
    """
    images = np.concatenate([dataset.train.as_float(), dataset.valid.as_float()])
    Masking(destruction).corrupt(images, stream(seed, Purpose.SVM_CORRUPTION), out=images)
    return images


def _ignore(_: object = None) -> None:
    pass


class SvmTrials:
    """Trains on the rows of one data set; knows nothing of the test rows."""

    def __init__(
        self,
        dataset: Dataset,
        seed: int,
        *,
        on_trial: Callable[[Sequence[Trial]], None] = _ignore,
        poll: Callable[[], None] = _ignore,
        known: Mapping[Point, Trial] | None = None,
    ) -> None:
        """Prepare.

        Args:
            dataset: whose training and validation rows are used.
            seed: of what is destroyed.
            on_trial: called with all trials, in their order, when another is made.
            poll: called several times a second; what it raises ends the selection.
            known: trials of a search that was stopped, which are not made again.
        """
        self._dataset = dataset
        self._seed = seed
        self._n_train = len(dataset.train)
        self._labels = np.concatenate([dataset.train.labels, dataset.valid.labels])
        self._on_trial = on_trial
        self._poll = poll
        self._known = known or {}
        self._trials: list[Trial] = []
        self._destruction: float | None = None

    def try_kernel(self, kernel: Kernel, Cs: Sequence[float]) -> Iterator[Trial]:
        """Train on the training rows and count the validation rows, for each C."""
        matrices: tuple[Doubles, Doubles] | None = None
        for C in Cs:
            trial = self._known.get((kernel, C))
            if trial is None:
                self._poll()
                start = time.perf_counter()
                matrices = matrices or self._matrices(kernel)
                trial = self._trial(*matrices, kernel, C, start)
                self._trials.append(trial)
                self._on_trial(self._trials)
            else:
                self._trials.append(trial)
            yield trial

    def train_on_all_rows(self, kernel: Kernel, C: float) -> Svm:
        """Train once more, on training and validation rows together."""
        self._poll()
        self._prepare(kernel)
        return self._fit(kernel.matrix(self._pairs), kernel, C)

    def _trial(
        self, matrix: Doubles, to_valid: Doubles, kernel: Kernel, C: float, start: float
    ) -> Trial:
        svm = self._fit(matrix, kernel, C)
        labels = svm.vote(to_valid[:, svm.support] @ svm.weights + svm.biases)
        return Trial(
            kernel=kernel,
            C=C,
            n_wrong=int((labels != self._labels[self._n_train :]).sum()),
            n_valid=len(labels),
            n_support=len(svm.support),
            converged=svm.converged,
            seconds=time.perf_counter() - start,
        )

    def _fit(self, matrix: Doubles, kernel: Kernel, C: float) -> Svm:
        """Train on the first rows, as many as the matrix has."""
        images, labels = self._images[: len(matrix)], self._labels[: len(matrix)]
        return run_interruptibly(
            lambda: fit_on_matrix(matrix, images, labels, kernel, C), self._poll
        )

    def _matrices(self, kernel: Kernel) -> tuple[Doubles, Doubles]:
        """The kernel of training rows with each other, and of clean validation rows with them."""
        self._prepare(kernel)
        n = self._n_train
        to_valid = self._pairs[n:, :n]
        if kernel.destruction:
            clean = self._dataset.valid.as_float()
            to_valid = basis(kernel.kind, clean, self._images[:n]).astype(np.float32)
        return kernel.matrix(self._pairs[:n, :n]), kernel.matrix(to_valid)

    def _prepare(self, kernel: Kernel) -> None:
        """Compute what kernels of this destruction depend on: once, for all that come in a row."""
        if self._destruction != kernel.destruction:
            self._destruction = kernel.destruction
            self._images = training_images(self._dataset, kernel.destruction, self._seed)
            self._pairs = square_basis(kernel.kind, self._images)
