"""What runs will take, before they are made: core minutes, memory and disk, each within a half.

The rates are those of the committed runs, on a core whose product of matrices has a measured speed;
this machine's speed is measured in the same way.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dae_cli.config.schema import AnyExperiment, FilterExperiment, SvmExperiment
from dae_cli.data.datasets import spec_of
from dae_cli.study.run.job import Job

GFLOPS = 100.0
"""Of one core of the machine of the rates below, as `core_speed` measures it."""
PRETRAINING, FINE_TUNING = 1.3e-12, 0.5e-12
"""Minutes for each weight, row and epoch, at that speed."""
STARTING = 0.02
"""Minutes of a run before it trains."""
SVM = {"rbf": 1.6e-8, "poly": 4e-8}
"""Minutes for each pair of training rows, for the whole selection."""
PATIENCES = 2.0
"""Epochs of fine-tuning, as a multiple of the patience, where no earlier run says how many."""
PROCESS_BYTES, TRAINING_BYTES = 360e6, 40
"""Of a process that has loaded its libraries; and of each weight while it is trained."""
RUN_BYTES, SAVED_BYTES = 100e3, 8
"""On disk: of a run; and of each weight."""


@dataclass(frozen=True)
class Estimate:
    """What runs will take."""

    core_minutes: float
    minutes: float
    """With so many runs at a time."""
    memory_mb: float
    """Of all runs that are made at a time."""
    disk_mb: float

    def __str__(self) -> str:
        parts = [f"about {_rounded(self.core_minutes)} core minutes"]
        if self.minutes < self.core_minutes:
            parts.append(f"{_rounded(self.minutes)} minutes here")
        memory, disk = _rounded(self.memory_mb), _rounded(self.disk_mb)
        return f"{', '.join(parts)}, {memory} MB of memory, {disk} MB on disk"


def estimate(
    jobs: Sequence[Job], at_a_time: int, best_epochs: Mapping[tuple[str, int], int]
) -> Estimate:
    """Return what jobs will take on this machine, as far as that can be known beforehand.

    Args:
        at_a_time: runs, a core each.
        best_epochs: of fine-tuning, by cell and seed, where such a run was made before.
    """
    if not jobs:
        return Estimate(0.0, 0.0, 0.0, 0.0)
    slower = GFLOPS / core_speed()
    each = [
        slower * _minutes(job, best_epochs.get((job.cell, job.experiment.seed))) for job in jobs
    ]
    memory = sorted((_memory_bytes(job.experiment) for job in jobs), reverse=True)[:at_a_time]
    return Estimate(
        core_minutes=sum(each),
        minutes=max(sum(each) / at_a_time, *each),
        memory_mb=sum(memory) / 1e6,
        disk_mb=sum(_disk_bytes(job.experiment) for job in jobs) / 1e6,
    )


def core_speed(seconds: float = 0.05) -> float:
    """Return how fast one core multiplies a minibatch by a layer's weights, in GFLOP/s."""
    from threadpoolctl import threadpool_limits

    rows, inputs, units = 20, 784, 1000
    batch, weights = np.ones((rows, inputs), np.float32), np.ones((inputs, units), np.float32)
    quickest = float("inf")
    with threadpool_limits(limits=1):
        end = time.perf_counter() + seconds
        while (start := time.perf_counter()) < end:
            batch @ weights
            quickest = min(quickest, time.perf_counter() - start)
    return 2e-9 * rows * inputs * units / quickest


def _minutes(job: Job, best_epoch: int | None) -> float:
    experiment = job.experiment
    if isinstance(experiment, FilterExperiment):
        work = experiment.examples * _weights(experiment) * experiment.pretrain.epochs
        return PRETRAINING * work
    rows = experiment.subset.train if experiment.subset else spec_of(job.data.name).n_train
    if isinstance(experiment, SvmExperiment):
        destructions = len(experiment.svm.destructions)
        return SVM[experiment.svm.kernel] * rows**2 * destructions
    finetune = experiment.finetune
    epochs = PATIENCES * finetune.patience
    if best_epoch is not None:
        epochs = best_epoch + finetune.patience
    epochs = min(epochs, finetune.max_epochs)
    each = PRETRAINING * experiment.pretrain.epochs + FINE_TUNING * epochs
    return each * rows * _weights(experiment)


def _weights(experiment: AnyExperiment) -> int:
    """Count the weights between the layers; none of an SVM."""
    if isinstance(experiment, SvmExperiment):
        return 0
    if isinstance(experiment, FilterExperiment):
        return experiment.inputs * experiment.model.hidden[0]
    widths = (spec_of(experiment.dataset).n_pixels, *experiment.model.hidden)
    return sum(below * above for below, above in pairwise(widths))


def _memory_bytes(experiment: AnyExperiment) -> float:
    data = 0
    if not isinstance(experiment, FilterExperiment):
        spec = spec_of(experiment.dataset)
        data = spec.n_pixels * sum(spec.rows.values())
    return PROCESS_BYTES + data + TRAINING_BYTES * _weights(experiment)


def _disk_bytes(experiment: AnyExperiment) -> float:
    return SAVED_BYTES * _weights(experiment) + RUN_BYTES


def _rounded(value: float) -> str:
    """Two digits, as befits an estimate."""
    return f"{float(f'{value:.1e}'):.10g}"
