"""Run one trial: train on the training rows and judge on the validation rows; no test rows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError

from dae_cli.config.schema import as_network, weights_between
from dae_cli.data.cache import load
from dae_cli.data.dataset import Split
from dae_cli.data.datasets import spec_of
from dae_cli.engines.engine import chosen_device, engine_for
from dae_cli.errors import DaeError, DivergedError, RunFolderError
from dae_cli.files import HeldError, file_lock, write_text
from dae_cli.machine import version_of
from dae_cli.search.plan import SearchPlan
from dae_cli.search.trials import Trial, end_trial, errors_by_epoch, trials_of
from dae_cli.stopping import StopRequest
from dae_cli.study.progress import Watcher
from dae_cli.study.rows import TrialRow, TrialState
from dae_cli.study.run.job import METRICS, RUNS, Stopped, Unfinished
from dae_cli.study.run.pretraining import cache_pretraining
from dae_cli.study.run.provenance import Environment, environment
from dae_cli.study.run.record import StatusFile, row_without_result
from dae_cli.study.run.run import (
    CheckpointCallback,
    error_message,
    memory_ran_out,
    prepare_folder,
    use_one_thread,
)
from dae_cli.training.inputs import dataset_for
from dae_cli.training.run import TrainingRun
from dae_cli.training.state import EpochRecord, TrainingState, metrics_csv

MOST_PRETRAINED = 8
"""Largest number of cached checkpoints of pretrained layers; 3 x 2000 units take 80 MB."""
LOCK_SECONDS = 1.0
"""Time to wait for a lock: another command may hold it briefly to check the trial's state."""
FAILURES = (DaeError, OSError, RuntimeError, MemoryError, SafetensorError)


class PrunedError(Exception):
    """The trial is unlikely to be the best and ends early."""


def run_trial(
    plan: SearchPlan, trial: Trial, watcher: Watcher, stop: StopRequest, killed: str = ""
) -> TrialRow | DaeError | Unfinished:
    """Train a trial, from its checkpoint if it has one, and add its row to search.csv.

    A trial that diverges, fails or was `killed` too often ends with a row that says so. If it
    cannot continue because of the disk, the data or other processes' memory, it has not ended, and
    the returned error gives the reason.
    """
    try:
        with file_lock(trial.lock, wait=LOCK_SECONDS):
            if not trial.partial.exists():
                return Unfinished(trial.name, "held")  # another process has just ended the trial
            status = StatusFile(trial)
            if killed:
                row = _row(trial, None, state="failed", error=killed, minutes=status.minutes())
            else:
                row = _train(plan, trial, stop, status)
            end_trial(plan, trial, row)
            return row
    except HeldError:
        return Unfinished(trial.name, "held")
    except Stopped:
        return Unfinished(trial.name, "stopped")
    except FAILURES as failure:
        return DaeError(
            f"{trial.cell} trial {trial.number}: {error_message(failure)}; fix the problem and run "
            "the same command again to resume the trial"
        )


def _train(plan: SearchPlan, trial: Trial, stop: StopRequest, status: StatusFile) -> TrialRow:
    use_one_thread()
    experiment = as_network(trial.experiment)
    callback = _TrialCallback(plan, trial, stop, status)
    state: TrainingState | None = None
    env: Environment | None = None
    outcome: TrialState = "complete"
    error, n_valid = "", 0
    try:
        engine = engine_for(trial.engine, chosen_device(trial.device))
        env = environment(engine.device.type, engine.name, torch.get_num_threads(), plan.command)
        env = prepare_folder(trial, env, (plan.out / RUNS, plan.pretrained), lambda _: None)
        dataset = dataset_for(experiment, load(trial.data))
        valid = dataset.valid
        n_valid = len(valid)
        state = callback.initial_state()
        no_rows = Split(valid.pixels[:0], valid.labels[:0], valid.scale)
        with stop.delay_signals():
            TrainingRun(experiment, state, engine, callback).train(replace(dataset, test=no_rows))
    except PrunedError:
        outcome = "pruned"
    except DivergedError as diverged:
        outcome, error = "diverged", str(diverged)
    except FAILURES as failure:
        # The trial has failed if its settings or a damaged checkpoint are the cause. If memory runs
        # out before the first checkpoint, the layers are too large; later, they did fit before.
        has_failed = isinstance(failure, RunFolderError | RuntimeError)
        if memory_ran_out(failure):
            has_failed = trial.state() != "stopped"
        if not has_failed:
            raise
        outcome, error = "failed", error_message(failure)
    measured: dict[str, Any] = {"state": outcome, "minutes": status.minutes()}
    if state and state.best_wrong is not None and outcome in ("complete", "pruned"):
        measured |= {"valid_wrong": state.best_wrong, "n_valid": n_valid}
        measured |= {"valid_error_percent": 100.0 * state.best_wrong / n_valid}
        measured |= {"best_epoch": state.best_epoch, "epochs": state.epoch}
    return _row(trial, env, error=error, **measured)


class _TrialCallback(CheckpointCallback):
    """The callback of a run that also prunes, by a median rule after each fine-tuning epoch."""

    def __init__(
        self, plan: SearchPlan, trial: Trial, stop: StopRequest, status: StatusFile
    ) -> None:
        super().__init__(trial, Watcher(), stop, status)
        self._cache, self._cell = plan.pretrained, trial.search
        self._plan = replace(plan, cells=(trial.search,))
        self._read_at, self._curves = 0, list[dict[int, float]]()

    def save(self, state: TrainingState) -> None:
        """Save a checkpoint, and cache the layers if the trial has just pretrained them."""
        super().save(state)
        pretrained = state.phase == "finetune" and not state.epoch and state.interim is None
        if pretrained and self._experiment.pretrain.epochs:
            cache_pretraining(self._job, self._cache, MOST_PRETRAINED)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Prune the trial if it is hopeless, else save a checkpoint if one is due."""
        if self._is_hopeless(state.history):
            write_text(self._job.partial / METRICS, metrics_csv(state.history), make_folder=False)
            raise PrunedError
        super().on_epoch_end(state)

    def _is_hopeless(self, history: Sequence[EpochRecord]) -> bool:
        settings, epoch = self._cell.prune, history[-1].epoch
        errors = [r.valid_error_percent for r in history if r.valid_error_percent is not None]
        if not errors or epoch < settings.from_epoch:
            return False
        others = [curve[epoch] for curve in self._complete_curves() if epoch in curve]
        if len(others) < settings.after_trials:
            return False
        return bool(min(errors) > np.percentile(others, 50))

    def _complete_curves(self) -> list[dict[int, float]]:
        """Return the validation errors by epoch of the cell's complete trials in this folder."""
        with suppress(OSError, RunFolderError):  # tried again after the next epoch
            changed_at = self._plan.table.stat().st_mtime_ns
            if changed_at != self._read_at:
                (trials,) = trials_of(self._plan)
                ended = [n for n, row in trials.rows.items() if row.state == "complete"]
                jobs = [self._plan.job(self._cell, number) for number in ended]
                # In this order, since another process may rename the first folder to the second.
                self._curves = [
                    errors_by_epoch(job.partial) or errors_by_epoch(job.folder) for job in jobs
                ]
                self._read_at = changed_at
        return self._curves


def _row(trial: Trial, env: Environment | None, *, error: str, **measured: Any) -> TrialRow:
    """Return the row of a trial that has ended, with the columns it shares with a run's row."""
    spec = spec_of(trial.data.name)
    widths = (spec.n_pixels, *as_network(trial.experiment).model.hidden, spec.n_classes)
    run = row_without_result(trial, env)
    shared = {f.name: getattr(run, f.name) for f in fields(TrialRow) if hasattr(run, f.name)}
    own = {
        "search": trial.search.digest,
        "trial": trial.number,
        "sampler": trial.draw.sampler,
        "sampler_seed": trial.draw.sampler_seed,
        "settings": trial.settings,
        "weights": weights_between(widths),
        "engine": trial.engine,
        "versions": f"{env.versions}; optuna {version_of('optuna')}" if env else "",
        "error": " ".join(error.split()),
    }
    return TrialRow(**{**shared, **own, **measured})
