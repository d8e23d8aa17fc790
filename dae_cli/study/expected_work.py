"""How much work a run will be, so that the longest ones are begun first."""

from __future__ import annotations

from itertools import pairwise

from dae_cli.config.schema import FilterExperiment, SvmExperiment
from dae_cli.data.datasets import spec_of
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
        weights = experiment.inputs * experiment.model.hidden[0]
        return float(experiment.examples * weights * experiment.pretrain.epochs)
    spec = spec_of(job.data.name)
    rows = experiment.subset.train if experiment.subset else spec.n_train
    if isinstance(experiment, SvmExperiment):
        return float(SVM_STEPS * rows**2 * spec.n_classes * experiment.svm.coarse_trials)
    widths = (spec.n_pixels, *experiment.model.hidden)
    weights = sum(below * above for below, above in pairwise(widths))
    return float(rows * weights * (experiment.pretrain.epochs + experiment.finetune.patience))
