"""Choosing kernel and penalty of an SVM on the validation rows, as the authors did.

First every kernel of a coarse grid with every penalty. A grid whose best lies at an edge gets a
row beyond it, as long as that makes it better. Then a finer look around the best: its neighbours a
factor of 10 away in gamma, in the penalty and in both, and one degree up and down, as long as one
of them is better, then at a factor of √10, then of the fourth root of 10. The best is trained again
on training and validation rows together, and only then the test rows are seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, product

from dae_cli.baselines.kernels import Kernel
from dae_cli.baselines.machines import Machines, Point, Trial
from dae_cli.baselines.svm import Svm
from dae_cli.config.schema import SvmSettings
from dae_cli.data.dataset import Dataset

REFINEMENTS = (10.0, 10**0.5, 10**0.25)
GREATEST_DEGREE = 20  # as far as the authors went
GAMMAS, PENALTIES, DEGREES = (1e-6, 1e3), (1e-9, 1e6), (1, GREATEST_DEGREE)
"""The least and the greatest value that a grid is widened to."""


def grid_kernels(svm: SvmSettings) -> tuple[Kernel, ...]:
    """Return the kernels of the coarse grid."""
    degrees = svm.degrees if svm.kernel == "poly" else (Kernel.degree,)
    return tuple(
        Kernel(svm.kernel, *of)
        for of in product(svm.gammas, degrees, svm.offsets, svm.destructions)
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


class _Telling:
    """Tells a line for each trial."""

    def __init__(self, note: Callable[[str], None] | None) -> None:
        self._note = note

    def made(self, trials: Sequence[Trial]) -> None:
        if self._note is not None:
            self._note(str(trials[-1]))

    def look(self) -> None:
        """Go on."""


def select_svm(
    dataset: Dataset, settings: SvmSettings, note: Callable[[str], None] | None = None
) -> Selected:
    """Choose on the validation rows, train again on train + valid, count all test rows.

    ``note`` is told a line for each trial. Memory: about 20 bytes a pair of rows, 3 GB for
    12 000 rows.
    """
    machines = Machines(dataset, 0, _Telling(note))
    trials = search(machines.try_kernel, settings)
    best = best_of(trials)
    svm = machines.train_on_all_rows(best.kernel, best.penalty)
    n_wrong = svm.count_wrong(dataset.test)
    return Selected(best, trials, svm, n_wrong, len(dataset.test))


TryKernel = Callable[[Kernel, Sequence[float]], Iterator[Trial]]
"""Makes the trials of one kernel with several penalties, one after the other."""


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
    return tuple(trials.made.values())


def best_of(trials: Iterable[Trial]) -> Trial:
    """Return the trial with the fewest wrong validation rows.

    Of several the one with the smallest penalty, then ν, degree, gamma and offset.
    """
    return min(trials, key=lambda t: (t.n_wrong, t.penalty, _order((t.kernel, 0.0))))


class _Trials:
    """The trials of one search, each made once."""

    def __init__(self, try_kernel: TryKernel) -> None:
        self._try_kernel = try_kernel
        self.made: dict[Point, Trial] = {}

    def try_all(self, points: Iterable[Point]) -> None:
        """Make the trials that were not made yet; those of one kernel share its matrix."""
        new = sorted(set(points) - self.made.keys(), key=_order)
        for kernel, group in groupby(new, key=lambda point: point[0]):
            for trial in self._try_kernel(kernel, [penalty for _, penalty in group]):
                self.made[trial.point] = trial

    def best(self) -> Trial:
        """The best so far."""
        return best_of(self.made.values())


def _widen(trials: _Trials) -> None:
    """Add rows beyond the edges that the best lies at, as long as there is a better one there."""
    while True:
        before = trials.best()
        kernel, penalty = before.point
        kernels = {k for k, _ in trials.made}
        penalties = {c for _, c in trials.made}
        wider = set()
        for gamma in _beyond(kernel.gamma, {k.gamma for k in kernels}, 10, GAMMAS):
            wider |= {replace(k, gamma=_tidy(gamma)) for k in kernels}
        if kernel.kind == "poly":
            for degree in _beyond(kernel.degree, {k.degree for k in kernels}, 1.5, DEGREES):
                wider |= {replace(k, degree=round(degree)) for k in kernels}
        more = [_tidy(c) for c in _beyond(penalty, penalties, 10, PENALTIES)]
        trials.try_all([*product(wider, penalties), *product(kernels, more)])
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


def _order(point: Point) -> tuple[float, ...]:
    """Trials in this order keep those of one kernel together, and kernels of one ν."""
    kernel, penalty = point
    return kernel.destruction, kernel.degree, kernel.gamma, kernel.coef0, penalty


def _tidy(value: float) -> float:
    """A whole number of hundredths of a decade, in three digits: steps there and back meet."""
    return float(f"{10 ** round(math.log10(value), 2):.3g}")
