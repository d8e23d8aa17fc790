"""Choosing kernel and C of an SVM on the validation rows, as the authors did.

First every kernel of a coarse grid with every C. A grid whose best lies at an edge gets a row
beyond it, as long as that makes it better. Then a finer look around the best: its neighbours a
factor of 10 away in gamma, in C and in both, and one degree up and down, as long as one of them is
better, then at a factor of √10, then of the fourth root of 10. The best is trained again on
training and validation rows together, and only then the test rows are seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, product

from dae_cli.config.schema import SvmSettings
from dae_cli.svm.svm import Kernel

REFINEMENTS = (10.0, 10**0.5, 10**0.25)
GREATEST_DEGREE = 20  # as far as the authors went
GAMMAS, CS, DEGREES = (1e-6, 1e3), (1e-9, 1e6), (1, GREATEST_DEGREE)
"""The least and the greatest value that a grid is widened to."""

Point = tuple[Kernel, float]
"""A kernel and a C."""


@dataclass(frozen=True)
class Trial:
    """One kernel and C, trained on the training rows, counted on the validation rows."""

    kernel: Kernel
    C: float
    n_wrong: int
    n_valid: int
    n_support: int
    converged: bool
    seconds: float = field(default=0.0, compare=False)
    """What it took here; says nothing of the machine that came out."""

    @property
    def point(self) -> Point:
        """The kernel and the C."""
        return self.kernel, self.C

    @property
    def valid_error_percent(self) -> float:
        """Validation rows labelled wrongly, in percent."""
        return 100 * self.n_wrong / self.n_valid

    def __str__(self) -> str:
        """As a message tells it."""
        converged = "" if self.converged else ", not converged"
        return (
            f"{self.kernel} C {self.C:g}: {self.valid_error_percent:.2f} % on validation, "
            f"{self.n_support} support vectors{converged}"
        )


TryKernel = Callable[[Kernel, Sequence[float]], Iterable[Trial]]
"""Makes the trials of one kernel with several C, one after the other."""


def search(try_kernel: TryKernel, settings: SvmSettings) -> tuple[Trial, ...]:
    """Make every trial of the coarse grid, of what widens it, and of the finer look.

    What is tried next depends on the trials before and on nothing else: whoever has the trials of
    a search can go through it again without training a machine.

    Returns:
        The trials in the order in which they were made.
    """
    trials = _Trials(try_kernel)
    trials.try_all(product(grid_kernels(settings), settings.penalties))
    if settings.widen:
        _widen(trials)
    if settings.refine:
        for factor in REFINEMENTS:
            _climb(trials, factor)
    return tuple(trials.by_point.values())


def grid_kernels(svm: SvmSettings) -> tuple[Kernel, ...]:
    """Return the kernels of the coarse grid."""
    degrees = svm.degrees if svm.kernel == "poly" else (Kernel.degree,)
    return tuple(
        Kernel(svm.kernel, *parameters)
        for parameters in product(svm.gammas, degrees, svm.offsets, svm.destructions)
    )


def best_of(trials: Iterable[Trial]) -> Trial:
    """Return the trial with the fewest wrong validation rows.

    Of several the one with the smallest C, then ν, degree, gamma and offset.
    """
    return min(trials, key=lambda t: (t.n_wrong, t.C, _order((t.kernel, 0.0))))


class _Trials:
    """The trials of one search, each made once."""

    def __init__(self, try_kernel: TryKernel) -> None:
        self._try_kernel = try_kernel
        self.by_point: dict[Point, Trial] = {}

    def try_all(self, points: Iterable[Point]) -> None:
        """Make the trials that were not made yet; those of one kernel share its matrix."""
        new = sorted(set(points) - self.by_point.keys(), key=_order)
        for kernel, group in groupby(new, key=lambda point: point[0]):
            for trial in self._try_kernel(kernel, [C for _, C in group]):
                self.by_point[trial.point] = trial

    def best(self) -> Trial:
        """The best so far."""
        return best_of(self.by_point.values())


def _widen(trials: _Trials) -> None:
    """Add rows beyond the edges that the best lies at, as long as there is a better one there."""
    while True:
        before = trials.best()
        kernel, C = before.point
        kernels = {k for k, _ in trials.by_point}
        Cs = {c for _, c in trials.by_point}
        wider = set()
        for gamma in _beyond(kernel.gamma, {k.gamma for k in kernels}, 10, GAMMAS):
            wider |= {replace(k, gamma=_tidy(gamma)) for k in kernels}
        if kernel.kind == "poly":
            for degree in _beyond(kernel.degree, {k.degree for k in kernels}, 1.5, DEGREES):
                wider |= {replace(k, degree=round(degree)) for k in kernels}
        more = [_tidy(c) for c in _beyond(C, Cs, 10, CS)]
        trials.try_all([*product(wider, Cs), *product(kernels, more)])
        if trials.best().n_wrong == before.n_wrong:
            return


def _beyond(
    best: float, values: Collection[float], factor: float, limits: tuple[float, float]
) -> list[float]:
    """The values beyond the edges that the best lies at, as far as the limits allow."""
    low, high = limits
    beyond = []
    if best == min(values) > low:
        beyond.append(max(low, best / factor))
    if best == max(values) < high:
        beyond.append(min(high, best * factor))
    return beyond


def _climb(trials: _Trials, factor: float) -> None:
    """Look around the best, and go on from the better one as long as there is one."""
    while True:
        before = trials.best()
        trials.try_all(_neighbours(before.point, factor))
        if trials.best().n_wrong == before.n_wrong:
            return


def _neighbours(point: Point, factor: float) -> list[Point]:
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
