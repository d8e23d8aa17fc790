"""Select kernel parameters and C of an SVM on the validation rows, as the authors did.

The search starts with every kernel of a coarse grid and every C. If the best trial lies at an edge
of the grid, the grid is extended there as long as the best trial improves. A finer search then
tries the neighbours of the best trial: gamma, C or both changed by a factor of 10, and the degree
by one, as long as this improves it; then again with the factors √10 and the fourth root of 10. The
best SVM is retrained on training and validation rows together and then tested.
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
"""Time between two calls of `poll`, so that a stop request need not wait for the trial's end."""

REFINEMENTS = (10.0, 10**0.5, 10**0.25)
GREATEST_DEGREE = 20  # the authors' highest degree
GAMMAS, CS, DEGREES = (1e-6, 1e3), (1e-9, 1e6), (1, GREATEST_DEGREE)
"""Bounds (lowest, highest) for extending a grid."""

Point = tuple[Kernel, float]
"""A kernel and a C."""
_above_0 = number("a number above 0", lambda value: 0 < value < math.inf)


@dataclass(frozen=True)
class Trial:
    """Row of trials.csv: an SVM trained on the training rows and tested on the validation rows."""

    SPARSE: ClassVar = {"nu": "0.0", "offset": "1.0"}

    kernel: Kind
    nu: Annotated[Exact, number("a number from 0 to below 1", lambda value: 0 <= value < 1)]
    gamma: Annotated[Exact, _above_0]
    degree: int | None
    """Degree of a polynomial kernel; None for rbf."""
    offset: Annotated[Exact, from_0]
    penalty: Annotated[Exact, _above_0]
    """The parameter C."""
    n_wrong: int
    valid_error_percent: float
    n_support: int
    converged: Literal["true", "false"]
    seconds: Annotated[float, from_0, written("{:.2f}".format)] = field(compare=False)
    """Computing time; not compared, since it does not affect the result."""

    @property
    def point(self) -> Point:
        """Kernel and C of the trial."""
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
"""Runs the trial of a kernel and a C."""


def search(try_point: TryPoint, settings: SvmSettings) -> tuple[Trial, ...]:
    """Run the trials of the coarse grid, of its extensions and of the finer search, in this order.

    The next trial depends only on the trials before it, so a search can be repeated from its
    recorded trials without training.
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

    Ties are broken by the smallest C, then ν, degree, gamma and offset.
    """
    return min(trials, key=lambda t: (t.n_wrong, t.penalty, _order(t.point)))


class _Trials:
    """The trials of one search; each point is tried once."""

    def __init__(self, try_point: TryPoint) -> None:
        self._try_point = try_point
        self.by_point: dict[Point, Trial] = {}

    def try_all(self, points: Iterable[Point]) -> None:
        """Try the points that were not tried yet, grouped by kernel."""
        for point in sorted(set(points) - self.by_point.keys(), key=_order):
            self.by_point[point] = self._try_point(*point)

    def improve(self, points: Callable[[Point], Iterable[Point]]) -> None:
        """Try the points around the best one, and repeat as long as the best trial improves."""
        while True:
            before = best_of(self.by_point.values())
            self.try_all(points(before.point))
            if best_of(self.by_point.values()).n_wrong == before.n_wrong:
                return

    def wider(self, best: Point) -> Iterable[Point]:
        """Return the points of one more grid row beyond each edge that the best point lies at."""
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
    """Return the neighbours of a point: gamma, C or both off by a factor, or the degree by one."""
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
    """Sort key that groups points by ν, then by kernel, so that matrices are computed once."""
    kernel, C = point
    return kernel.destruction, kernel.degree, kernel.gamma, kernel.coef0, C


def _tidy(value: float) -> float:
    """Round to hundredths of a decade and three digits, so that a step up and down cancel out."""
    return float(f"{10 ** round(math.log10(value), 2):.3g}")


# Training


def run_interruptibly(work: Callable[[], Result], poll: Callable[[], None]) -> Result:
    """Run `work` in a separate thread, and call `poll` until it is done.

    An exception of `work` is raised here. An exception of `poll` ends the call, while the thread
    continues in the background until its work or the process ends.
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
    """Return the rows that the selected SVM is trained on, (n, d): train, then valid.

    The zeros of a row are drawn once: a larger destruction adds zeros to those of a smaller one.
    """
    images = np.concatenate([dataset.train.as_float(), dataset.valid.as_float()])
    Masking(destruction).corrupt(images, stream(seed, Purpose.SVM_CORRUPTION), out=images)
    return images


class SvmTrials:
    """Trains SVMs on the training and validation rows of a data set, never on its test rows.

    `poll` is called several times a second; an exception that it raises ends the training.
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
        """Train on the training rows and count the errors on the validation rows."""
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
        """Train on training and validation rows together."""
        self._poll()
        self._prepare(kernel)
        return self._fit(kernel.matrix(self._pairs), kernel, C)

    def _fit(self, matrix: Doubles, kernel: Kernel, C: float) -> Svm:
        """Train on the first rows; the matrix defines their number."""
        images, labels = self._images[: len(matrix)], self._labels[: len(matrix)]
        return run_interruptibly(
            lambda: fit_on_matrix(matrix, images, labels, kernel, C), self._poll
        )

    def _compute_matrices(self, kernel: Kernel) -> None:
        """Compute the kernel of training rows, and of clean validation rows with training rows."""
        self._prepare(kernel)
        n = len(self._dataset.train)
        to_valid = self._pairs[n:, :n]
        if kernel.destruction:
            clean = self._dataset.valid.as_float()
            to_valid = basis(kernel.kind, clean, self._images[:n]).astype(np.float32)
        self._matrices = kernel.matrix(self._pairs[:n, :n]), kernel.matrix(to_valid)
        self._kernel = kernel

    def _prepare(self, kernel: Kernel) -> None:
        """Compute the basis of kernels with this destruction, unless the last one had the same."""
        self._kernel, self._matrices = None, ()  # frees memory
        if self._destruction != kernel.destruction:
            self._destruction = kernel.destruction
            self._images = training_images(self._dataset, kernel.destruction, self._seed)
            self._pairs = square_basis(kernel.kind, self._images)
