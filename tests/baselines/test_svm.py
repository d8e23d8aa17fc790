"""The SVM is scikit-learn's, only its kernel is made elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from dae_cli.baselines import kernels, svm
from dae_cli.baselines.kernels import Kernel
from dae_cli.baselines.svm import Svm, fit_svm
from dae_cli.data.dataset import Dataset, Split
from dae_cli.errors import DataError

KERNELS = [Kernel("rbf", 0.1), Kernel("poly", 0.05, 3), Kernel("poly", 0.1, 2, 0.0)]


def fitted(dataset: Dataset, kernel: Kernel = KERNELS[0], penalty: float = 3.0) -> Svm:
    return fit_svm(dataset.train.as_float(), dataset.train.labels, kernel, penalty)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_it_labels_rows_as_plain_scikit_learn_does(
    kernel: Kernel, n_classes: int, two_classes: Dataset, four_classes: Dataset
) -> None:
    from sklearn.svm import SVC

    data = two_classes if n_classes == 2 else four_classes
    plain = SVC(
        kernel=kernel.kind, C=3.0, gamma=kernel.gamma, degree=kernel.degree, coef0=kernel.coef0
    ).fit(data.train.as_float().astype(np.float64), data.train.labels)
    ours = fitted(data, kernel)
    rows = data.test.as_float()
    np.testing.assert_array_equal(ours.predict(rows), plain.predict(rows.astype(np.float64)))
    wrong = int((plain.predict(rows.astype(np.float64)) != data.test.labels).sum())
    assert 0 < wrong < len(data.test) / 2  # neither trivial nor hopeless
    assert ours.count_wrong(data.test) == wrong
    assert ours.error_percent(data.test) == pytest.approx(100 * wrong / 700)


def test_scores_are_scikit_learns_decision_function(two_classes: Dataset) -> None:
    from sklearn.svm import SVC

    train, test = two_classes.train, two_classes.test.as_float()
    plain = SVC(C=3.0, gamma=0.1).fit(train.as_float().astype(np.float64), train.labels)
    expected = -plain.decision_function(test.astype(np.float64))
    scores = fitted(two_classes).scores(test)
    np.testing.assert_allclose(scores[:, 0], expected, atol=5e-3)  # both end within TOLERANCE


def test_labels_may_be_any_numbers(two_classes: Dataset) -> None:
    images = two_classes.train.as_float()
    shifted = two_classes.train.labels * 4 + 3
    found = fit_svm(images, shifted, KERNELS[0], 3.0).predict(images)
    np.testing.assert_array_equal(found, fitted(two_classes).predict(images) * 4 + 3)


@pytest.mark.parametrize("rows", [1, 6, 7, 8, 69, 70, 71, 147])
def test_blocks_change_nothing_and_lose_no_row(
    rows: int, four_classes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = fitted(four_classes)
    split = four_classes.test.take(rows)
    whole = machine.predict(split.as_float())
    wrong = int((whole != split.labels).sum())
    monkeypatch.setattr(svm, "BLOCK_ROWS", 7)
    monkeypatch.setattr(kernels, "BLOCK_ROWS", 7)
    np.testing.assert_array_equal(machine.predict(split.as_float()), whole)
    assert machine.count_wrong(split) == wrong
    right = Split(split.pixels, whole, split.scale)
    assert machine.count_wrong(right) == 0
    for row in (0, rows - 1):  # the first row counts, and the last
        labels = whole.copy()
        labels[row] = (labels[row] + 1) % 4
        assert machine.count_wrong(Split(split.pixels, labels, split.scale)) == 1


def test_only_support_vectors_are_kept(two_classes: Dataset) -> None:
    machine = fitted(two_classes)
    images = two_classes.train.as_float()
    assert len(machine.support) < len(images)
    np.testing.assert_array_equal(machine.vectors, images[machine.support])
    assert machine.converged


def test_training_that_was_ended_early_is_told(
    two_classes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(svm, "MAX_ITERATIONS", 3)
    assert not fitted(two_classes).converged


def test_rows_of_one_class_are_refused(two_classes: Dataset) -> None:
    images = two_classes.train.as_float()
    with pytest.raises(DataError, match="300 training rows are all of one class"):
        fit_svm(images, np.zeros(300, dtype=np.uint8), KERNELS[0], 1.0)


def test_a_penalty_of_nothing_is_refused(two_classes: Dataset) -> None:
    with pytest.raises(ValueError, match="penalty 0"):
        fitted(two_classes, penalty=0.0)
