"""How much work a run will be, so that the longest ones are begun first."""

from __future__ import annotations

from itertools import pairwise

from dae_cli.config.schema import FilterExperiment, SvmExperiment
from dae_cli.config.sizes import MNIST_DIGITS, ROWS
from dae_cli.data.registry import N_PIXELS, classes_of
from dae_cli.study.run.folder import Job

SVM_STEPS = 100
"""A trial takes about so many passes over its kernel matrix for each class."""


def expected_work(job: Job) -> float:
    """Return a number that grows with the time a run will take: multiplications of an epoch or so.

    Rows · weights · epochs of a network; of an SVM, whose time is that of its steps, each over all
    rows: rows² · classes · machines.
    """
    experiment = job.experiment
    if isinstance(experiment, FilterExperiment):
        rows = experiment.patches.count if experiment.patches else experiment.rows or MNIST_DIGITS
        weights = experiment.inputs * experiment.model.hidden[0]
        return float(rows * weights * experiment.pretrain.epochs)
    rows = experiment.subset.train if experiment.subset else ROWS[job.data.name].train
    if isinstance(experiment, SvmExperiment):
        classes = classes_of(job.data.name)
        return float(SVM_STEPS * rows**2 * classes * experiment.svm.coarse_trials)
    widths = (N_PIXELS, *experiment.model.hidden)
    weights = sum(below * above for below, above in pairwise(widths))
    return float(rows * weights * (experiment.pretrain.epochs + experiment.finetune.patience))
