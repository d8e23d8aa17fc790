"""One trial: trained on the training rows, judged on the validation rows, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from dae_cli.config.schema import Experiment, as_network
from dae_cli.data.cache import load
from dae_cli.data.dataset import Dataset, Prepared, Split
from dae_cli.data.datasets import spec_of
from dae_cli.engines.engine import chosen_device, engine_for
from dae_cli.errors import DaeError, DivergedError, RunFolderError
from dae_cli.machine import version_of
from dae_cli.search.claim import Claim, TrialLeftError
from dae_cli.search.plan import PRETRAINED, SearchPlan
from dae_cli.search.storage import ROW, open_storage, quiet
from dae_cli.stopping import Stop
from dae_cli.study.progress import Silent
from dae_cli.study.rows import TrialRow, TrialState
from dae_cli.study.run.checkpoints import CheckpointCallback
from dae_cli.study.run.job import RUNS, Job, config_sha256
from dae_cli.study.run.pretraining import cache_pretraining
from dae_cli.study.run.provenance import Environment, environment
from dae_cli.study.run.record import StatusFile
from dae_cli.study.run.run import error_message, memory_ran_out, prepare_folder, use_one_thread
from dae_cli.study.tables.trials import settings_text
from dae_cli.training.run import TrainingRun
from dae_cli.training.state import TrainingState
from dae_cli.training.version import NUMERICS_VERSION


class PrunedError(Exception):
    """The trial is hopeless: the pruner ended it."""


MOST_PRETRAINED = 8
"""So many trials' pretrained layers are there at most for those to come: 80 MB each of 3 x 2000."""


class TrialKeeper(CheckpointCallback):
    """Keeps the checkpoints of a trial, and tells the pruner of each epoch of fine-tuning.

    Args:
        job: the trial.
        shelf: where the layers are put when they are pretrained, for trials that share them.
        stop: asked after every step.
        status: its status.json.
        hopeless: told of each epoch, tells whether to give up.
    """

    def __init__(
        self,
        job: Job,
        shelf: Path,
        stop: Stop,
        status: StatusFile,
        hopeless: Callable[[int, float], bool],
    ) -> None:
        super().__init__(job, Silent(), stop, status)
        self._shelf, self._hopeless = shelf, hopeless

    def save(self, state: TrainingState) -> None:
        """Save; put the layers aside where the trial has just pretrained them."""
        super().save(state)
        pretrained = state.phase == "finetune" and not state.epoch and state.interim is None
        if pretrained and self._experiment.pretrain.epochs:
            cache_pretraining(self._job, self._shelf, MOST_PRETRAINED)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Report the validation error; then save if it is due.

        Raises:
            PrunedError: the trial is given up.
        """
        percent = state.history[-1].valid_error_percent
        if percent is not None and self._hopeless(state.epoch, percent):
            raise PrunedError
        super().on_epoch_end(state)


def selection_rows(experiment: Experiment, data: Prepared) -> Dataset:
    """Return the rows that selection may see: the test split is empty, whatever it held.

    Raises:
        DataError: the set cannot be read.
    """
    whole = load(data)
    train_rows, valid = whole.train, whole.valid
    if experiment.subset is not None:
        train_rows = train_rows.take(experiment.subset.train)
        valid = valid.take(experiment.subset.valid)
    nothing = Split(valid.pixels[:0], valid.labels[:0], valid.scale)
    return Dataset(
        whole.name, whole.n_classes, train_rows, valid, nothing, whole.origin, whole.sha256
    )


def make_trial(plan: SearchPlan, claim: Claim, stop: Stop) -> TrialRow:
    """Train a trial, or go on from its checkpoint, and put its end into the storage.

    A trial that diverges or fails ends with a row that says so.

    Raises:
        Stopped: it was asked to stop and has kept a checkpoint.
        TrialLeftError: the disk, the data or the storage failed, or others took the memory.
    """
    use_one_thread()
    job, experiment = claim.job, as_network(claim.job.experiment)
    shelf = plan.folder / PRETRAINED
    status = StatusFile(job)
    keeper = TrialKeeper(job, shelf, stop, status, _pruning(plan, claim))
    state: TrainingState | None = None
    valid = 0
    env: Environment | None = None
    try:
        engine = engine_for(job.engine, chosen_device(job.device))
        env = environment(engine.device.type, engine.name, torch.get_num_threads(), plan.command)
        env = prepare_folder(job, env, (plan.out / RUNS, shelf), Silent().note)
        dataset = selection_rows(experiment, job.data)
        valid = len(dataset.valid)
        state = keeper.initial_state()
        with stop.deferred():
            TrainingRun(experiment, state, engine, keeper).train(dataset)
        outcome, error = _outcome(state)
    except PrunedError:
        outcome, error = "pruned", ""
    except DivergedError as diverged:
        outcome, error = "diverged", str(diverged)
    except (DaeError, OSError, RuntimeError, MemoryError, SafetensorError) as failure:
        if not _is_its_doing(job, failure):
            raise TrialLeftError(
                f"{claim.cell.cell} trial {claim.number + 1}: {error_message(failure)}; the trial "
                "is not over: when that is mended, the same command goes on with it"
            ) from failure
        outcome, error = "failed", error_message(failure)
    row = row_of(claim, env, outcome, error, minutes=status.minutes())
    if state is not None and outcome in ("complete", "pruned"):
        row = _measured(row, state, valid)
    return conclude(plan, claim, row)


def _is_its_doing(job: Job, failure: Exception) -> bool:
    """Tell whether a failure comes of a trial's settings, or of its checkpoint that is damaged.

    Memory that ran out before the first checkpoint is too little for the layers; after it, it was
    enough before.
    """
    if memory_ran_out(failure):
        return job.state() != "stopped"
    return isinstance(failure, RunFolderError | RuntimeError)


def _outcome(state: TrainingState) -> tuple[TrialState, str]:
    if state.best_wrong is None:
        return "failed", "fine-tuning ended without a single epoch"
    return "complete", ""


def _pruning(plan: SearchPlan, claim: Claim) -> Callable[[int, float], bool]:
    """Return what reports an epoch to optuna and tells whether the trial is hopeless.

    A trial that goes on from a checkpoint passes epochs again; what was decided about them
    stands, but for the last, after which the process may have been killed before it decided.
    """
    from optuna.pruners import MedianPruner

    settings, storage = claim.cell.searched.prune, open_storage(plan.storage)
    pruner = MedianPruner(
        n_startup_trials=settings.after_trials,
        n_warmup_steps=settings.from_epoch,
        n_min_trials=settings.after_trials,
    )

    def hopeless(epoch: int, percent: float) -> bool:
        last = max(storage.get_trial(claim.trial_id).intermediate_values, default=0)
        if epoch < last:
            return False
        with quiet():
            if epoch > last:
                storage.set_trial_intermediate_value(claim.trial_id, epoch, percent)
            return pruner.prune(claim.study, storage.get_trial(claim.trial_id))

    return hopeless


def row_of(
    claim: Claim, env: Environment | None, outcome: TrialState, error: str, *, minutes: float
) -> TrialRow:
    """Return the row of a trial that has ended, without what was measured."""
    job = claim.job
    about = claim.study.get_trials(deepcopy=False)[claim.number].user_attrs
    told_of: dict[str, Any] = {}
    if env is not None:
        versions = f"{env.versions}; optuna {version_of('optuna')}"
        told_of = {"device": env.devices, "versions": versions, "commit": env.commits}
    return TrialRow(
        cell=claim.cell.cell,
        search=claim.cell.digest,
        trial=claim.number + 1,
        sampler=about["sampler"],
        sampler_seed=about["sampler_seed"],
        state=outcome,
        weights=weights_of(as_network(job.experiment)),
        minutes=round(minutes, 4),
        dataset=job.data.name,
        data_origin=job.data.origin,
        trust=job.data.trust,
        data_sha256=job.data.sha256,
        seed=job.experiment.seed,
        engine=job.engine,
        numerics=NUMERICS_VERSION,
        config_sha256=config_sha256(job.experiment),
        error=" ".join(error.split()),
        settings=settings_text(claim.values),
        **told_of,
    )


def _measured(row: TrialRow, state: TrainingState, n_valid: int) -> TrialRow:
    wrong = state.best_wrong
    return replace(
        row,
        valid_wrong=wrong,
        n_valid=n_valid,
        valid_error_percent=None if wrong is None else 100.0 * wrong / n_valid,
        best_epoch=state.best_epoch,
        epochs=state.epoch,
    )


def weights_of(experiment: Experiment) -> int:
    """Return the weights of the network that is fine-tuned, without biases."""
    spec = spec_of(experiment.dataset)
    widths = (spec.n_pixels, *experiment.model.hidden, spec.n_classes)
    return sum(below * above for below, above in pairwise(widths))


def conclude(plan: SearchPlan, claim: Claim, row: TrialRow) -> TrialRow:
    """Put the end of a trial into the storage, then remove its checkpoint.

    Killed in between, the next process takes the trial up again, to the same end.
    """
    from optuna.trial import TrialState as State

    states = {"complete": State.COMPLETE, "pruned": State.PRUNED}
    storage = open_storage(plan.storage)
    values = [row.valid_error_percent] if row.valid_error_percent is not None else None
    with quiet():
        storage.set_trial_user_attr(claim.trial_id, ROW, row.plain())
        storage.set_trial_state_values(
            claim.trial_id, states.get(row.state, State.FAIL), values if row.counts else None
        )
    with suppress(OSError):
        shutil.rmtree(claim.job.partial)
    return row
