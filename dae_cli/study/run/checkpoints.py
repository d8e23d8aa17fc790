"""The training callback of a run: checkpoints, metrics, progress, and requests to stop."""

from __future__ import annotations

import time
from dataclasses import fields, replace

from dae_cli.config.schema import Experiment, PretrainedExperiment, as_pretrained
from dae_cli.csvfile import csv_text
from dae_cli.data.datasets import spec_of
from dae_cli.files import write_text
from dae_cli.stopping import StopRequest
from dae_cli.study.progress import Position, Watcher
from dae_cli.study.run.job import CHECKPOINT, METRICS, Job, checkpoint_seconds
from dae_cli.study.run.record import StatusFile
from dae_cli.training.checkpoint import Expected, load_checkpoint, save_checkpoint
from dae_cli.training.run import Callbacks
from dae_cli.training.state import EpochRecord, TrainingState, initial_state

STATUS_SECONDS = 0.2
LEAST_SECONDS, MOST_SECONDS = 20.0, 50.0
"""Between two checkpoints: at most this many, so that no more than a minute is ever lost."""
SHARE = 1 / 100
"""Of a run's time that checkpoints may take, within the limits above."""


class Stopped(Exception):
    """The run was asked to stop and has saved what it can be resumed from."""


class CheckpointCallback(Callbacks):
    """Saves the state of one run while it is trained, and reports its progress."""

    def __init__(self, job: Job, watcher: Watcher, stop: StopRequest, status: StatusFile) -> None:
        self._job, self._watcher, self._stop, self._status = job, watcher, stop, status
        self._saved = self._reported = time.monotonic()
        self._fixed_interval = checkpoint_seconds()
        self._interval = LEAST_SECONDS if self._fixed_interval is None else self._fixed_interval
        self._fraction = 0.0
        self._experiment = as_pretrained(job.experiment)
        self._expected = expected_of(self._experiment, job.data.sha256)

    def initial_state(self) -> TrainingState:
        """Return the state to train from: the checkpoint's, or a fresh one."""
        job = self._job
        resumed = job.state() == "stopped"
        self._watcher.started(job.name, resumed)
        if resumed:
            state = load_checkpoint(job.partial / CHECKPOINT, self._expected)
        else:
            state = initial_state(self._experiment, self._expected.inputs)
        self.report(state)
        return state

    def is_checkpoint_due(self) -> bool:
        """Tell whether the last checkpoint is old, or the run is to stop."""
        return bool(self._stop.signal) or time.monotonic() - self._saved >= self._interval

    def on_checkpoint(self, state: TrainingState) -> None:
        """Save; then end the run if it was asked to stop."""
        self.save(state)
        if self._stop.signal:
            raise Stopped

    def on_epoch_end(self, state: TrainingState) -> None:
        """Save if it is due; report the progress."""
        if self.is_checkpoint_due():
            self.on_checkpoint(state)
        if time.monotonic() - self._reported >= STATUS_SECONDS:
            self.report(state)
            self._reported = time.monotonic()

    def on_phase_end(self, state: TrainingState) -> None:
        """Save in any case."""
        self.on_checkpoint(state)

    def save(self, state: TrainingState) -> None:
        """Write metrics, status and checkpoint; the checkpoint, which counts, comes last."""
        begin = time.monotonic()
        write_text(self._job.partial / METRICS, metrics_csv(state.history), make_folder=False)
        self._status.write("running")
        save_checkpoint(self._job.partial / CHECKPOINT, state, self._expected)
        self._saved = time.monotonic()
        if self._fixed_interval is None:
            seconds = (self._saved - begin) / SHARE
            self._interval = min(MOST_SECONDS, max(LEAST_SECONDS, seconds))

    def report(self, state: TrainingState, phase: str | None = None) -> None:
        """Report the position to the watcher."""
        place = position(state, self._experiment, phase)
        # A better validation error prolongs the run; the fraction that was reported stays.
        self._fraction = max(self._fraction, place.fraction)
        self._watcher.moved(self._job.name, replace(place, fraction=self._fraction))


def expected_of(experiment: PretrainedExperiment, data_sha256: str) -> Expected:
    """Return what a checkpoint of an experiment on these data must hold."""
    if isinstance(experiment, Experiment):
        spec = spec_of(experiment.dataset)
        rows = experiment.subset.train if experiment.subset else spec.n_train
        return Expected(experiment, data_sha256, spec.n_pixels, spec.n_classes, rows)
    return Expected(experiment, data_sha256, experiment.inputs, 0, experiment.examples)


def position(
    state: TrainingState, experiment: PretrainedExperiment, phase: str | None = None
) -> Position:
    """Return how far a state is; its fraction counts a layer's epoch as one unit."""
    last = state.history[-1] if state.history else None
    pretraining = experiment.pretrain.epochs * len(experiment.model.hidden)
    done = sum(r.phase == "pretrain" for r in state.history)
    finetuned = len(state.history) - done
    # Early stopping rarely needs all epochs: expect the patience, once more from the best epoch.
    expected, most = 0, 0
    if isinstance(experiment, Experiment):
        most = experiment.finetune.max_epochs
        expected = min(most, state.best_epoch + experiment.finetune.patience)
    tuning = most > 0 and state.phase != "pretrain"
    return Position(
        phase=phase or ("finetune" if tuning else "pretrain"),
        layer=None if tuning else min(state.layer + 1, len(experiment.model.hidden)),
        epoch=state.epoch if tuning or state.phase == "pretrain" else experiment.pretrain.epochs,
        epochs=most if tuning else experiment.pretrain.epochs,
        cost=last.cost if last else None,
        valid_error_percent=last.valid_error_percent if last else None,
        fraction=min(1.0, (done + finetuned) / max(1, pretraining + expected)),
    )


def metrics_csv(history: list[EpochRecord]) -> str:
    """Return metrics.csv: one row an epoch; costs with all their digits."""
    names = [f.name for f in fields(EpochRecord)]
    values = ([getattr(record, name) for name in names] for record in history)
    return csv_text([names, *values])
