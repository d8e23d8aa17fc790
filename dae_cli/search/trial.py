"""One trial: trained on the training rows, judged on the validation rows, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError

from dae_cli.config.schema import Experiment, as_network
from dae_cli.data.cache import load
from dae_cli.data.dataset import Dataset, Prepared, Split
from dae_cli.data.datasets import spec_of
from dae_cli.engines.engine import chosen_device, engine_for
from dae_cli.errors import DaeError, DivergedError, OutputError, RunFolderError
from dae_cli.files import HeldError, file_lock, write_text
from dae_cli.machine import version_of
from dae_cli.search.plan import CellSearch, SearchPlan
from dae_cli.search.trials import Trial, end_trial, errors_by_epoch, trials_of
from dae_cli.stopping import StopRequest
from dae_cli.study.progress import Watcher
from dae_cli.study.rows import TrialRow, TrialState
from dae_cli.study.run.checkpoints import CheckpointCallback, Stopped, metrics_csv
from dae_cli.study.run.job import METRICS, RUNS, Job, Unfinished, config_sha256
from dae_cli.study.run.pretraining import cache_pretraining
from dae_cli.study.run.provenance import Environment, environment
from dae_cli.study.run.record import StatusFile
from dae_cli.study.run.run import (
    error_message,
    memory_ran_out,
    prepare_folder,
    use_one_thread,
)
from dae_cli.study.tables.trials import settings_text
from dae_cli.training.run import TrainingRun
from dae_cli.training.state import TrainingState
from dae_cli.training.version import NUMERICS_VERSION

MOST_PRETRAINED = 8
"""So many trials' pretrained layers are cached at most: 80 MB each of 3 x 2000."""
LOCK_SECONDS = 1.0
"""Long enough for a command that only checks whether the trial is being made."""


class UnfinishedTrialError(DaeError):
    """A trial cannot be continued now, through no fault of its own; its checkpoint stays."""

    @classmethod
    def because(cls, trial: Trial, failure: Exception) -> Self:
        """Say which and why, and what to do."""
        return cls(
            f"{trial.cell} trial {trial.number}: {error_message(failure)}; the trial is not over: "
            "when that is mended, the same command goes on with it"
        )


class PrunedError(Exception):
    """The trial is hopeless: the pruner ended it."""


def make_trial(
    plan: SearchPlan, trial: Trial, watcher: Watcher, stop: StopRequest
) -> TrialRow | UnfinishedTrialError | Unfinished:
    """Train a trial, from its checkpoint if it has one, and add its row to search.csv.

    A trial that diverges or fails ends with a row that says so. One that cannot be continued, since
    the disk or the data failed or others took the memory, has not ended.
    """
    try:
        with file_lock(trial.lock, wait=LOCK_SECONDS):
            if not trial.partial.exists():
                return Unfinished(trial.name, "held")  # until just now, and it has ended
            row = _train(plan, trial, stop)
            end_trial(plan, trial, row)
            return row
    except HeldError:
        return Unfinished(trial.name, "held")
    except Stopped:
        return Unfinished(trial.name, "stopped")
    except UnfinishedTrialError as error:
        return error
    except (OutputError, RunFolderError) as error:  # of search.csv
        return UnfinishedTrialError.because(trial, error)


def fail_trial(plan: SearchPlan, trial: Trial, why: str) -> TrialRow | Unfinished:
    """End a trial that cannot be made, as failed, unless another command makes it now."""
    try:
        with file_lock(trial.lock, wait=LOCK_SECONDS):
            row = _row(trial, None, "failed", why, minutes=0.0)
            end_trial(plan, trial, row)
            return row
    except HeldError:
        return Unfinished(trial.name, "held")


def _train(plan: SearchPlan, trial: Trial, stop: StopRequest) -> TrialRow:
    use_one_thread()
    experiment = as_network(trial.experiment)
    status = StatusFile(trial)
    callback = _TrialCallback(plan, trial, stop, status)
    state: TrainingState | None = None
    env: Environment | None = None
    outcome: TrialState = "complete"
    error, n_valid = "", 0
    try:
        engine = engine_for(trial.engine, chosen_device(trial.device))
        env = environment(engine.device.type, engine.name, torch.get_num_threads(), plan.command)
        env = prepare_folder(trial, env, (plan.out / RUNS, plan.pretrained), lambda _: None)
        dataset = selection_rows(experiment, trial.data)
        n_valid = len(dataset.valid)
        state = callback.initial_state()
        with stop.delay_signals():
            TrainingRun(experiment, state, engine, callback).train(dataset)
        if state.best_wrong is None:
            outcome, error = "failed", "fine-tuning ended without a single epoch"
    except PrunedError:
        outcome = "pruned"
    except DivergedError as diverged:
        outcome, error = "diverged", str(diverged)
    except (DaeError, OSError, RuntimeError, MemoryError, SafetensorError) as failure:
        if not _is_its_own_fault(trial, failure):
            raise UnfinishedTrialError.because(trial, failure) from failure
        outcome, error = "failed", error_message(failure)
    row = _row(trial, env, outcome, error, minutes=status.minutes())
    if state is None or not row.counts:
        return row
    wrong = state.best_wrong
    return replace(
        row,
        valid_wrong=wrong,
        n_valid=n_valid,
        valid_error_percent=None if wrong is None else 100.0 * wrong / n_valid,
        best_epoch=state.best_epoch,
        epochs=state.epoch,
    )


class _TrialCallback(CheckpointCallback):
    """Those of a run, and after each epoch of fine-tuning the pruner."""

    def __init__(
        self, plan: SearchPlan, trial: Trial, stop: StopRequest, status: StatusFile
    ) -> None:
        super().__init__(trial, Watcher(), stop, status)
        self._cache = plan.pretrained
        self._pruner = _MedianPruner(plan, trial.search)

    def save(self, state: TrainingState) -> None:
        """Save; put the layers into the cache where the trial has just pretrained them."""
        super().save(state)
        pretrained = state.phase == "finetune" and not state.epoch and state.interim is None
        if pretrained and self._experiment.pretrain.epochs:
            cache_pretraining(self._job, self._cache, MOST_PRETRAINED)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Ask the pruner; then save if it is due.

        Raises:
            PrunedError: the trial is given up.
        """
        errors = {
            record.epoch: record.valid_error_percent
            for record in state.history
            if record.valid_error_percent is not None
        }
        if self._pruner.is_hopeless(errors):
            write_text(self._job.partial / METRICS, metrics_csv(state.history), make_folder=False)
            raise PrunedError
        super().on_epoch_end(state)


class _MedianPruner:
    """Optuna's median rule, on the errors that complete trials of the cell have left here."""

    def __init__(self, plan: SearchPlan, cell: CellSearch) -> None:
        self._plan, self._cell = replace(plan, cells=(cell,)), cell
        self._read_at = 0
        self._complete: dict[int, dict[int, float]] = {}

    def is_hopeless(self, errors: Mapping[int, float]) -> bool:
        """Tell whether to give up a trial with these errors by epoch, the last one included."""
        settings, epoch = self._cell.searched.prune, max(errors, default=0)
        if epoch < settings.from_epoch:
            return False
        self._read_complete()
        others = [curve[epoch] for curve in self._complete.values() if epoch in curve]
        if len(others) < settings.after_trials:
            return False
        return bool(min(errors.values()) > np.percentile(others, 50))

    def _read_complete(self) -> None:
        """Look for trials that have ended since the last look."""
        with suppress(OSError, RunFolderError):  # is looked at again after the next epoch
            changed_at = self._plan.table.stat().st_mtime_ns
            if changed_at == self._read_at:
                return
            (trials,) = trials_of(self._plan)
            for number, row in trials.rows.items():
                if row.state == "complete" and number not in self._complete:
                    job = self._plan.job(self._cell, number)
                    # In this order: the one is renamed to the other.
                    if curve := errors_by_epoch(job.partial) or errors_by_epoch(job.folder):
                        self._complete[number] = curve
            self._read_at = changed_at


def selection_rows(experiment: Experiment, data: Prepared) -> Dataset:
    """Return the rows that selection may see: the test split is empty, whatever it held.

    Raises:
        DataError: the set cannot be read.
    """
    rows, subset = load(data), experiment.subset
    nothing = Split(rows.valid.pixels[:0], rows.valid.labels[:0], rows.valid.scale)
    if subset is None:
        return replace(rows, test=nothing)
    train, valid = rows.train.take(subset.train), rows.valid.take(subset.valid)
    return replace(rows, train=train, valid=valid, test=nothing)


def _is_its_own_fault(job: Job, failure: Exception) -> bool:
    """Tell whether a failure comes of a trial's settings, or of its checkpoint that is damaged.

    Memory that ran out before the first checkpoint is too little for the layers; after it, it was
    enough before.
    """
    if memory_ran_out(failure):
        return job.state() != "stopped"
    return isinstance(failure, RunFolderError | RuntimeError)


def _row(
    trial: Trial, env: Environment | None, outcome: TrialState, error: str, *, minutes: float
) -> TrialRow:
    """The row of a trial that has ended, without what was measured."""
    computed: dict[str, Any] = {}
    if env is not None:
        versions = f"{env.versions}; optuna {version_of('optuna')}"
        computed = {"device": env.devices, "versions": versions, "commit": env.commits}
    return TrialRow(
        cell=trial.cell,
        search=trial.search.digest,
        trial=trial.number,
        sampler=trial.draw.sampler,
        sampler_seed=trial.draw.sampler_seed,
        state=outcome,
        weights=_weights_of(as_network(trial.experiment)),
        minutes=round(minutes, 4),
        dataset=trial.data.name,
        data_origin=trial.data.origin,
        trust=trial.data.trust,
        data_sha256=trial.data.sha256,
        seed=trial.experiment.seed,
        engine=trial.engine,
        numerics=NUMERICS_VERSION,
        config_sha256=config_sha256(trial.experiment),
        error=" ".join(error.split()),
        settings=settings_text(trial.values),
        **computed,
    )


def _weights_of(experiment: Experiment) -> int:
    """The weights of the network that is fine-tuned, without biases."""
    spec = spec_of(experiment.dataset)
    widths = (spec.n_pixels, *experiment.model.hidden, spec.n_classes)
    return sum(below * above for below, above in pairwise(widths))
