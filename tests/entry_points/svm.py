"""Training an SVM on rows and labelling others with it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.dataset import Split
from dae_cli.svm.svm import Kernel, fit_svm

__all__ = ["Kernel", "Labelled", "kernel_values", "label"]

Rows = NDArray[Any]


class Labelled(NamedTuple):
    """The output of an SVM for rows that it was not trained on."""

    labels: Rows
    """Predicted labels, (n,)."""
    scores: Rows
    """Scores, (n, pairs of classes): above 0 for the first class of a pair."""
    support: Rows
    """Numbers of the training rows that are support vectors."""
    wrong: Rows
    """Whether each row is labelled wrongly, (n,)."""
    converged: bool
    """False if training stopped at the limit of iterations."""


def kernel_values(kernel: Kernel, left: Rows, right: Rows) -> Rows:
    """Return the kernel of every row of one matrix with every row of another."""
    return kernel.between(left, right)


def label(
    kernel: Kernel, penalty: float, train: Rows, labels: Rows, rows: Rows, truth: Rows
) -> Labelled:
    """Train on rows of bytes, which are scaled to 0 to 1, and label other rows."""
    machine = fit_svm(Split(train, labels, 1 / 255).as_float(), labels, kernel, penalty)
    split = Split(rows, truth, 1 / 255)
    images = split.as_float()
    wrong = np.asarray(machine.wrong_rows(split))
    scores = machine.scores(images)
    return Labelled(machine.predict(images), scores, machine.support, wrong, machine.converged)
