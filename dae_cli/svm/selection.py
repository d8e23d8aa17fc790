"""Choosing kernel and C of an SVM on the validation rows, as the authors did.

First every kernel of a coarse grid with every C. A grid whose best lies at an edge gets a row
beyond it, as long as that makes it better. Then a finer look around the best: its neighbours a
factor of 10 away in gamma, in C and in both, and one degree up and down, as long as one of them is
better, then at a factor of √10, then of the fourth root of 10. The best is trained again on
training and validation rows together, and only then the test rows are seen.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import field, replace
from functools import partial
from itertools import product
from typing import Annotated, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from dae_cli.config.schema import SvmSettings
from dae_cli.csvfile import Exact, from_0, number, written
from dae_cli.data.dataset import Dataset
from dae_cli.models.corruption import Masking
from dae_cli.svm.svm import Doubles, Kernel, Kind, Svm, basis, fit_on_matrix, square_basis
from dae_cli.training.streams import Purpose, stream

Result = TypeVar("Result")
POLL_SECONDS = 0.1
"""So that who asks to stop does not wait for the end of a trial."""

REFINEMENTS = (10.0, 10**0.5, 10**0.25)
GREATEST_DEGREE = 20  # as far as the authors went
GAMMAS, CS, DEGREES = (1e-6, 1e3), (1e-9, 1e6), (1, GREATEST_DEGREE)
"""The least and the greatest value that a grid is widened to."""

Point = tuple[Kernel, float]
"""A kernel and a C."""
_above_0 = number("a number above 0", lambda value: 0 < value < math.inf)


@dataclass(frozen=True)
class Trial:
    """trials.csv: a machine trained on the training rows and counted on the validation rows."""

    SPARSE: ClassVar = {"nu": "0.0", "offset": "1.0"}

    kernel: Kind
    nu: Annotated[Exact, number("a number from 0 to below 1", lambda value: 0 <= value < 1)]
    gamma: Annotated[Exact, _above_0]
    degree: int | None
    """None for the kernel rbf."""
    offset: Annotated[Exact, from_0]
    penalty: Annotated[Exact, _above_0]
    """C."""
    n_wrong: int
    valid_error_percent: float
    n_support: int
    converged: Literal["true", "false"]
    seconds: Annotated[float, from_0, written("{:.2f}".format)] = field(compare=False)
    """What it took here; says nothing of the machine that came out."""

    @property
    def point(self) -> Point:
        """The kernel and the C."""
        degree = self.degree or Kernel.degree
        return Kernel(self.kernel, self.gamma, degree, self.offset, self.nu), self.penalty

    def __str__(self) -> str:
        kernel, C = self.point
        converged = "" if self.converged == "true" else ", not converged"
        return (
            f"{kernel} C {C:g}: {self.valid_error_percent:.2f} % on validation, "
            f"{self.n_support} support vectors{converged}"
        )


TryPoint = Callable[[Kernel, float], Trial]
"""Makes the trial of a kernel and a C."""


def search(try_point: TryPoint, settings: SvmSettings) -> tuple[Trial, ...]:
    """Make every trial of the coarse grid, of what widens it, and of the finer look, in this order.

    What is tried next depends on the trials before and on nothing else: whoever has the trials of
    a search can go through it again without training a machine.
    """
    trials = _Trials(try_point)
    degrees = settings.degrees if settings.kernel == "poly" else (Kernel.degree,)
    parameters = product(settings.gammas, degrees, settings.offsets, settings.destructions)
    kernels = [Kernel(settings.kernel, *each) for each in parameters]
    trials.try_all(product(kernels, settings.penalties))
    if settings.widen:
        trials.improve(trials.wider)
    for factor in REFINEMENTS if settings.refine else ():
        trials.improve(partial(_neighbours, factor=factor))
    return tuple(trials.by_point.values())


def best_of(trials: Iterable[Trial]) -> Trial:
    """Return the trial with the fewest wrong validation rows.

    Of several the one with the smallest C, then ν, degree, gamma and offset.
    """
    return min(trials, key=lambda t: (t.n_wrong, t.penalty, _order(t.point)))


class _Trials:
    """The trials of one search, each made once."""

    def __init__(self, try_point: TryPoint) -> None:
        self._try_point = try_point
        self.by_point: dict[Point, Trial] = {}

    def try_all(self, points: Iterable[Point]) -> None:
        """Make the trials that were not made yet; those of one kernel, together."""
        for point in sorted(set(points) - self.by_point.keys(), key=_order):
            self.by_point[point] = self._try_point(*point)

    def improve(self, points: Callable[[Point], Iterable[Point]]) -> None:
        """Make the trials that the best one leads to, as long as one of them is better."""
        while True:
            before = best_of(self.by_point.values())
            self.try_all(points(before.point))
            if best_of(self.by_point.values()).n_wrong == before.n_wrong:
                return

    def wider(self, best: Point) -> Iterable[Point]:
        """Return rows beyond the edges that the best lies at."""
        kernel, C = best
        kernels, Cs = {k for k, _ in self.by_point}, {c for _, c in self.by_point}
        beyond = set()
        for gamma in _beyond(kernel.gamma, {k.gamma for k in kernels}, 10, GAMMAS):
            beyond |= {replace(k, gamma=_tidy(gamma)) for k in kernels}
        if kernel.kind == "poly":
            for degree in _beyond(kernel.degree, {k.degree for k in kernels}, 1.5, DEGREES):
                beyond |= {replace(k, degree=round(degree)) for k in kernels}
        more = [_tidy(c) for c in _beyond(C, Cs, 10, CS)]
        return [*product(beyond, Cs), *product(kernels, more)]


def _beyond(
    best: float, values: Collection[float], factor: float, limits: tuple[float, float]
) -> list[float]:
    low, high = limits
    beyond = []
    if best == min(values) > low:
        beyond.append(max(low, best / factor))
    if best == max(values) < high:
        beyond.append(min(high, best * factor))
    return beyond


def _neighbours(point: Point, factor: float) -> list[Point]:
    """The points around one, a factor away in gamma, in C and in both, and the next degrees."""
    kernel, C = point
    steps = (1 / factor, 1.0, factor)
    near = [
        (replace(kernel, gamma=_tidy(kernel.gamma * a)), _tidy(C * b))
        for a, b in product(steps, steps)
    ]
    if kernel.kind == "poly":
        degrees = (kernel.degree - 1, kernel.degree + 1)
        near += [(replace(kernel, degree=d), C) for d in degrees if 1 <= d <= GREATEST_DEGREE]
    return near


def _order(point: Point) -> tuple[float, ...]:
    """Trials in this order keep those of one kernel together, and kernels of one ν."""
    kernel, C = point
    return kernel.destruction, kernel.degree, kernel.gamma, kernel.coef0, C


def _tidy(value: float) -> float:
    """A whole number of hundredths of a decade, in three digits: steps there and back meet."""
    return float(f"{10 ** round(math.log10(value), 2):.3g}")


# Making the trials


def run_interruptibly(work: Callable[[], Result], poll: Callable[[], None]) -> Result:
    """Do `work` in a thread of its own, and call `poll` until it is done.

    If `poll` raises, that ends the call; the thread goes on to the end of its work, which nobody
    waits for, or to the end of the process. What `work` raises is raised here.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    while True:
        poll()
        with suppress(TimeoutError):
            return future.result(POLL_SECONDS)


def training_images(dataset: Dataset, destruction: float, seed: int) -> NDArray[np.float32]:
    """Return the rows that a chosen machine is trained on, (n, d): train, then valid.

    A row's zeros are drawn once; those of a smaller destruction are among those of a larger one.
    """
    images = np.concatenate([dataset.train.as_float(), dataset.valid.as_float()])
    Masking(destruction).corrupt(images, stream(seed, Purpose.SVM_CORRUPTION), out=images)
    return images


class SvmTrials:
    """Trains on the rows of one data set; knows nothing of the test rows.

    `poll` is called several times a second; what it raises ends the training.
    """

    def __init__(
        self, dataset: Dataset, seed: int, poll: Callable[[], None] = lambda: None
    ) -> None:
        self._dataset, self._seed, self._poll = dataset, seed, poll
        self._labels = np.concatenate([dataset.train.labels, dataset.valid.labels])
        self._destruction: float | None = None
        self._images = self._pairs = np.empty((0, 0), dtype=np.float32)
        self._kernel: Kernel | None = None
        self._matrices: tuple[Doubles, ...] = ()

    def try_point(self, kernel: Kernel, C: float) -> Trial:
        """Train on the training rows and count the validation rows."""
        self._poll()
        start = time.perf_counter()
        if kernel != self._kernel:
            self._compute_matrices(kernel)
        among_train, to_valid = self._matrices
        svm = self._fit(among_train, kernel, C)
        labels = svm.vote(to_valid[:, svm.support] @ svm.weights + svm.biases)
        n_wrong = int((labels != self._dataset.valid.labels).sum())
        return Trial(
            kernel=kernel.kind,
            nu=kernel.destruction,
            gamma=kernel.gamma,
            degree=kernel.degree if kernel.kind == "poly" else None,
            offset=kernel.coef0,
            penalty=C,
            n_wrong=n_wrong,
            valid_error_percent=100 * n_wrong / len(labels),
            n_support=len(svm.support),
            converged="true" if svm.converged else "false",
            seconds=time.perf_counter() - start,
        )

    def train_on_all_rows(self, kernel: Kernel, C: float) -> Svm:
        """Train once more, on training and validation rows together."""
        self._poll()
        self._prepare(kernel)
        return self._fit(kernel.matrix(self._pairs), kernel, C)

    def _fit(self, matrix: Doubles, kernel: Kernel, C: float) -> Svm:
        """Train on the first rows, as many as the matrix has."""
        images, labels = self._images[: len(matrix)], self._labels[: len(matrix)]
        return run_interruptibly(
            lambda: fit_on_matrix(matrix, images, labels, kernel, C), self._poll
        )

    def _compute_matrices(self, kernel: Kernel) -> None:
        """The kernel of training rows with each other, and of clean validation rows with them."""
        self._prepare(kernel)
        n = len(self._dataset.train)
        to_valid = self._pairs[n:, :n]
        if kernel.destruction:
            clean = self._dataset.valid.as_float()
            to_valid = basis(kernel.kind, clean, self._images[:n]).astype(np.float32)
        self._matrices = kernel.matrix(self._pairs[:n, :n]), kernel.matrix(to_valid)
        self._kernel = kernel

    def _prepare(self, kernel: Kernel) -> None:
        """Compute what kernels of this destruction depend on: once, for all that come in a row."""
        self._kernel, self._matrices = None, ()  # the memory is wanted
        if self._destruction != kernel.destruction:
            self._destruction = kernel.destruction
            self._images = training_images(self._dataset, kernel.destruction, self._seed)
            self._pairs = square_basis(kernel.kind, self._images)
