"""Selection: on validation rows only, every trial once, the simpler of equals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from dae_cli.baselines import selection
from dae_cli.baselines.kernels import Kernel
from dae_cli.baselines.machines import Machines, Trial
from dae_cli.baselines.selection import Selected, search, select_svm
from dae_cli.baselines.svm import fit_svm
from dae_cli.config.schema import SvmSettings
from dae_cli.data.dataset import Dataset, Split

GRID = [Kernel("rbf", gamma) for gamma in (0.001, 0.1, 10.0)]
PENALTIES = (0.1, 10.0)


@pytest.fixture(scope="module")
def chosen(two_classes: Dataset) -> Selected:
    return select_svm(two_classes, GRID, PENALTIES, refine=False)


def test_every_kernel_is_tried_with_every_penalty(chosen: Selected) -> None:
    points = [(trial.kernel, trial.penalty) for trial in chosen.trials]
    assert sorted(points, key=str) == sorted(((k, c) for k in GRID for c in PENALTIES), key=str)


def test_a_trial_is_a_machine_of_the_training_rows_counted_on_the_validation_rows(
    chosen: Selected, two_classes: Dataset
) -> None:
    train, valid = two_classes.train, two_classes.valid
    for trial in chosen.trials:
        machine = fit_svm(train.as_float(), train.labels, trial.kernel, trial.penalty)
        assert trial.n_wrong == machine.count_wrong(valid)
        assert trial.n_valid == 120
        assert trial.n_support == len(machine.support)
        assert trial.valid_error_percent == pytest.approx(100 * trial.n_wrong / 120)


def test_the_best_has_the_fewest_wrong_validation_rows(chosen: Selected) -> None:
    assert chosen.best.n_wrong == min(trial.n_wrong for trial in chosen.trials)
    assert chosen.valid_error_percent == chosen.best.valid_error_percent
    assert len({trial.n_wrong for trial in chosen.trials}) > 1


def test_of_equals_the_smallest_penalty_then_the_smallest_gamma_wins(two_classes: Dataset) -> None:
    hopeless = [Kernel("rbf", gamma) for gamma in (3e4, 1e4, 2e4)]  # every row for itself
    found = select_svm(two_classes, hopeless, (5.0, 2.0, 9.0), refine=False)
    assert len({trial.n_wrong for trial in found.trials}) == 1
    assert (found.best.kernel.gamma, found.best.penalty) == (1e4, 2.0)


def test_the_chosen_machine_is_trained_again_with_the_validation_rows(
    chosen: Selected, two_classes: Dataset
) -> None:
    train, valid = two_classes.train, two_classes.valid
    images = np.concatenate([train.as_float(), valid.as_float()])
    labels = np.concatenate([train.labels, valid.labels])
    again = fit_svm(images, labels, chosen.best.kernel, chosen.best.penalty)
    assert again.support.max() >= len(train)
    np.testing.assert_array_equal(chosen.svm.support, again.support)
    assert chosen.n_wrong == again.count_wrong(two_classes.test)
    assert chosen.n_test == 700
    assert chosen.test_error_percent == pytest.approx(100 * chosen.n_wrong / 700)


def test_the_test_rows_have_no_say(two_classes: Dataset) -> None:
    test = two_classes.test
    spoilt = Split(test.pixels[::-1], 1 - test.labels, test.scale)
    one = select_svm(two_classes, GRID, PENALTIES)
    other = select_svm(replace(two_classes, test=spoilt), GRID, PENALTIES)
    assert one.trials == other.trials
    assert one.best == other.best
    np.testing.assert_array_equal(one.svm.support, other.svm.support)
    np.testing.assert_array_equal(one.svm.weights, other.svm.weights)
    assert one.n_wrong != other.n_wrong


def test_refining_looks_around_the_best_and_never_makes_it_worse(
    chosen: Selected, two_classes: Dataset
) -> None:
    refined = select_svm(two_classes, GRID, PENALTIES)
    coarse = len(chosen.trials)
    assert {(t.kernel, t.penalty) for t in refined.trials[:coarse]} == {
        (t.kernel, t.penalty) for t in chosen.trials
    }
    assert len(refined.trials) > coarse
    assert refined.best.n_wrong <= chosen.best.n_wrong
    best = refined.best
    tried = {(t.kernel.gamma, t.penalty) for t in refined.trials}
    near = [(g, c) for g, c in tried if (g, c) != (best.kernel.gamma, best.penalty)]
    assert any(max(g / best.kernel.gamma, best.kernel.gamma / g) < 1.8 for g, _ in near)


def test_no_machine_is_trained_twice(two_classes: Dataset) -> None:
    refined = select_svm(two_classes, [Kernel("rbf", 0.01), Kernel("rbf", 0.1)], (1.0, 10.0))
    points = sorted((trial.kernel.gamma, trial.penalty) for trial in refined.trials)
    for (gamma, penalty), (next_gamma, next_penalty) in pairwise(points):
        assert max(next_gamma / gamma, next_penalty / penalty, penalty / next_penalty) > 1.5


def test_a_refined_polynomial_kernel_also_tries_one_degree_up_and_down(
    four_classes: Dataset,
) -> None:
    refined = select_svm(four_classes, [Kernel("poly", 0.01, 3)], (1.0,))
    degree = refined.best.kernel.degree
    degrees = {trial.kernel.degree for trial in refined.trials}
    assert {degree - 1, degree, degree + 1} - {0} <= degrees
    assert all(trial.kernel.coef0 == 1.0 for trial in refined.trials)


def test_every_trial_is_told(two_classes: Dataset) -> None:
    told: list[str] = []
    found = select_svm(two_classes, GRID, PENALTIES, refine=False, note=told.append)
    assert told == [str(trial) for trial in found.trials]
    assert told[0].startswith("rbf gamma 0.001 C 0.1: ")


@pytest.mark.parametrize(
    ("kernels", "penalties"),
    [([], (1.0,)), (GRID, ()), ([Kernel("rbf", 1.0), Kernel("poly", 1.0)], (1.0,))],
)
def test_a_grid_that_is_empty_or_mixed_is_refused(
    kernels: list[Kernel], penalties: tuple[float, ...], two_classes: Dataset
) -> None:
    with pytest.raises(ValueError, match="expected at least one of each"):
        select_svm(two_classes, kernels, penalties)


class _Recorder:
    """Watches a selection; asked to, it ends it before a trial."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.kept: tuple[Trial, ...] = ()
        self._stop_after = stop_after

    def made(self, trials: Sequence[Trial]) -> None:
        self.kept = tuple(trials)

    def look(self) -> None:
        if self._stop_after is not None and len(self.kept) >= self._stop_after:
            raise InterruptedError


def _machines(dataset: Dataset, recorder: _Recorder, known: Sequence[Trial] = ()) -> Machines:
    return Machines(
        dataset.train, dataset.valid, "rbf", recorder, {trial.point: trial for trial in known}
    )


@pytest.mark.parametrize("made", [0, 1, 7, 1000])
def test_a_search_that_was_ended_goes_on_from_its_trials(two_classes: Dataset, made: int) -> None:
    whole = select_svm(two_classes, GRID, PENALTIES).trials
    before = _Recorder(stop_after=made)
    if made < len(whole):
        with pytest.raises(InterruptedError):
            search(_machines(two_classes, before).try_kernel, GRID, PENALTIES, refine=True)
        assert before.kept == whole[:made]
    known = whole[:made]
    after = _Recorder()
    trials = search(_machines(two_classes, after, known).try_kernel, GRID, PENALTIES, refine=True)
    assert trials == whole
    assert after.kept == (whole if made < len(whole) else ())  # nothing is trained twice


def test_the_defaults_are_those_of_the_schema() -> None:
    assert [kernel.gamma for kernel in selection.RBF_KERNELS] == [0.001, 0.01, 0.1]
    assert len(selection.POLY_KERNELS) == 10
    assert SvmSettings(kernel="poly").penalties == selection.PENALTIES
