"""What runs will take, before they are made: core minutes, memory and disk, to about a half.

The rates are those of the committed runs that had a core to themselves, on one whose product of
matrices has a measured speed; this machine's speed is measured in the same way. SVMs are less sure:
how long they train depends on the machines that are tried.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from dae_cli.config.schema import (
    AnyExperiment,
    FilterExperiment,
    SvmExperiment,
    weights_between,
)
from dae_cli.data.datasets import spec_of
from dae_cli.study.rows import ReferenceRow

GFLOPS = 100.0
"""Of one core of the machine of the rates below, as `core_speed` measures it."""
PRETRAINING, FINE_TUNING = 1.5e-12, 0.5e-12
"""Minutes for each weight, row and epoch, at that speed."""
STARTING = 0.02
"""Minutes of a run before it trains."""
SVM = 1.5e-9
"""Minutes for each pair of training rows and each machine of the grid."""
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

    @property
    def work(self) -> str:
        """The core minutes in words."""
        if self.core_minutes < 1:
            return "less than a core minute"
        return f"about {_rounded(self.core_minutes)} core minutes"

    def __str__(self) -> str:
        here = f", {_rounded(self.minutes)} minutes here" if self.core_minutes >= 1 else ""
        memory, disk = _rounded(self.memory_mb), _rounded(self.disk_mb)
        return f"{self.work}{here}, {memory} MB of memory, {disk} MB on disk"


def estimate(
    runs: Sequence[tuple[str, AnyExperiment]],
    at_a_time: int,
    reference: Sequence[ReferenceRow] = (),
) -> Estimate:
    """Return what runs will take on this machine, as far as that can be known beforehand.

    Args:
        runs: cell and experiment of each.
        at_a_time: runs, a core each.
        reference: earlier runs of the study, which tell how many epochs fine-tuning takes.
    """
    if not runs:
        return Estimate(0.0, 0.0, 0.0, 0.0)
    slower = GFLOPS / core_speed()
    each = [
        slower * reference_minutes(experiment, _best_epoch(cell, experiment.seed, reference))
        for cell, experiment in runs
    ]
    memory = sorted((_memory_bytes(experiment) for _, experiment in runs), reverse=True)
    return Estimate(
        core_minutes=sum(each),
        minutes=max(sum(each) / at_a_time, *each),
        memory_mb=sum(memory[:at_a_time]) / 1e6,
        disk_mb=sum(_disk_bytes(experiment) for _, experiment in runs) / 1e6,
    )


def _best_epoch(cell: str, seed: int, reference: Sequence[ReferenceRow]) -> float | None:
    """Return the mean of the earlier runs most like it: of its cell and seed, its cell, or all."""
    known = [row for row in reference if row.best_epoch is not None]
    own = [row for row in known if row.cell == cell]
    like = [row for row in own if row.seed == seed] or own or known
    return fmean(row.best_epoch or 0 for row in like) if like else None


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


def reference_minutes(experiment: AnyExperiment, best_epoch: float | None = None) -> float:
    """Return the minutes that a run takes on a core of the speed `GFLOPS`.

    Args:
        best_epoch: of fine-tuning, where earlier runs tell it.
    """
    if isinstance(experiment, FilterExperiment):
        work = experiment.examples * _weights(experiment) * experiment.pretrain.epochs
        return STARTING + PRETRAINING * work
    rows = experiment.subset.train if experiment.subset else spec_of(experiment.dataset).n_train
    if isinstance(experiment, SvmExperiment):
        return STARTING + SVM * rows**2 * experiment.svm.coarse_trials
    finetune = experiment.finetune
    epochs = PATIENCES * finetune.patience
    if best_epoch is not None:
        epochs = best_epoch + finetune.patience
    epochs = min(epochs, finetune.max_epochs)
    each = PRETRAINING * experiment.pretrain.epochs + FINE_TUNING * epochs
    return STARTING + each * rows * _weights(experiment)


def _weights(experiment: AnyExperiment) -> int:
    """Count the weights between the layers; none of an SVM."""
    if isinstance(experiment, SvmExperiment):
        return 0
    if isinstance(experiment, FilterExperiment):
        return experiment.inputs * experiment.model.hidden[0]
    widths = (spec_of(experiment.dataset).n_pixels, *experiment.model.hidden)
    return weights_between(widths)


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
