"""Estimate the core minutes, memory and disk space of planned runs, to within about 50 %.

The rates come from committed runs that had a core to themselves, on a machine whose speed of matrix
products is known. The speed of this machine is measured in the same way. Estimates for SVMs are
less certain, because their training time depends on the parameters that the search tries.
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
"""Speed of one core of the machine that the rates below come from, measured by `core_speed`."""
PRETRAINING, FINE_TUNING = 1.5e-12, 0.5e-12
"""Minutes per weight, row and epoch, at that speed."""
STARTING = 0.02
"""Minutes before a run starts to train."""
SVM = 1.5e-9
"""Minutes per pair of training rows and point of the grid."""
PATIENCES = 2.0
"""Epochs of fine-tuning as a multiple of the patience, if there is no earlier run to go by."""
PROCESS_BYTES, TRAINING_BYTES = 360e6, 40
"""Memory of a process with its libraries, and memory per weight during training."""
RUN_BYTES, SAVED_BYTES = 100e3, 8
"""Disk space per run, and per weight."""


@dataclass(frozen=True)
class Estimate:
    """Estimated time, memory and disk space of some runs."""

    core_minutes: float
    minutes: float
    """Wall-clock time with the given number of parallel runs."""
    memory_mb: float
    """Memory of all runs that run at the same time."""
    disk_mb: float

    @property
    def work(self) -> str:
        """The core minutes as text."""
        if self.core_minutes < 1:
            return "less than a core minute"
        minutes = _rounded(self.core_minutes)
        return f"about {minutes} core minute{'s' * (minutes != '1')}"

    def __str__(self) -> str:
        minutes = _rounded(self.minutes)
        here = f", {minutes} minute{'s' * (minutes != '1')} here" if self.core_minutes >= 1 else ""
        memory, disk = _rounded(self.memory_mb), _rounded(self.disk_mb)
        return f"{self.work}{here}, {memory} MB of memory, {disk} MB on disk"


def estimate(
    runs: Sequence[tuple[str, AnyExperiment]],
    at_a_time: int,
    reference: Sequence[ReferenceRow] = (),
) -> Estimate:
    """Estimate what runs will take on this machine.

    Args:
        runs: cell and experiment of each run.
        at_a_time: number of parallel runs, one core each.
        reference: earlier runs of the study, which show how many epochs fine-tuning takes.
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
    """Return the mean of the most similar earlier runs: same cell and seed, same cell, or all."""
    known = [row for row in reference if row.best_epoch is not None]
    own = [row for row in known if row.cell == cell]
    like = [row for row in own if row.seed == seed] or own or known
    return fmean(row.best_epoch or 0 for row in like) if like else None


def core_speed(seconds: float = 0.05) -> float:
    """Measure how fast one core multiplies a minibatch by a layer's weights, in GFLOP/s."""
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
    """Estimate the minutes that a run takes on a core of the speed `GFLOPS`.

    Args:
        best_epoch: expected best epoch of fine-tuning, if it is known from earlier runs.
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
    """Count the weights between the layers; 0 for an SVM."""
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
    """Round to two significant digits."""
    return f"{float(f'{value:.1e}'):.10g}"
