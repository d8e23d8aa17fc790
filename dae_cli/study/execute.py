"""One run from start, or from its checkpoint, to a whole run folder."""

from __future__ import annotations

import csv
import io
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

import torch
from safetensors import SafetensorError

from dae_cli.config.experiments import dump_yaml
from dae_cli.config.schema import Experiment
from dae_cli.data.dataset import Dataset
from dae_cli.data.provide import load
from dae_cli.engines.engine import Engine, engine_for
from dae_cli.errors import DaeError, RunFolderError
from dae_cli.files import write_json, write_text
from dae_cli.study.figures import draw_run_filters
from dae_cli.study.progress import Position, Watcher
from dae_cli.study.provenance import Environment, environment
from dae_cli.study.rows import RunRow
from dae_cli.study.run_folder import (
    CHECKPOINT,
    CONFIG,
    ENVIRONMENT,
    METRICS,
    Job,
    read_status,
    write_status,
)
from dae_cli.study.run_row import done_row, failed_row
from dae_cli.study.threads import use_one_thread
from dae_cli.training.checkpoint import load_checkpoint, save_checkpoint
from dae_cli.training.evaluation import count_wrong
from dae_cli.training.state import EpochRecord, TrainingState, initial_state
from dae_cli.training.train import chosen_device, train

CHECKPOINT_SECONDS = 20.0
STATUS_SECONDS = 0.2


def execute(job: Job, watcher: Watcher, command: str) -> RunRow:
    """Make one run whole and return its row; a failure becomes a row that tells the error.

    A run that was stopped goes on from its checkpoint, bit for bit as if it had not been.
    """
    use_one_thread()
    engine = engine_for(job.engine, chosen_device(job.device))
    env = environment(engine.device.type, engine.name, torch.get_num_threads(), command)
    keeper = _Keeper(job, watcher)
    try:
        _make_room(job)
        write_text(job.partial / CONFIG, dump_yaml(job.experiment))
        write_json(job.partial / ENVIRONMENT, env.as_dict())
        dataset = dataset_for(job.experiment, load(job.data))
        state = keeper.begin(engine.device, inputs=dataset.train.pixels.shape[1])
        train(job.experiment, dataset, state, engine, keeper)
        return _conclude(job, keeper, state, dataset, engine, env)
    except DaeError as error:
        return _fail(job, keeper, env, str(error))
    except (OSError, RuntimeError, MemoryError, SafetensorError) as error:
        return _fail(job, keeper, env, f"{type(error).__name__}: {error}")


def _make_room(job: Job) -> None:
    """Make the folder to work in, without what a killed process left half-written."""
    if job.folder.exists():
        raise RunFolderError(
            f"{job.folder}: is in the way and not a whole run; remove it, or run again with --force"
        )
    job.partial.mkdir(parents=True, exist_ok=True)
    for leftover in job.partial.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def dataset_for(experiment: Experiment, whole: Dataset) -> Dataset:
    """Return the rows that an experiment uses: all, or an even subset for quick trials."""
    subset = experiment.subset
    if subset is None:
        return whole
    return Dataset(
        name=whole.name,
        n_classes=whole.n_classes,
        train=whole.train.take(subset.train),
        valid=whole.valid.take(subset.valid),
        test=whole.test.take(subset.test),
        origin=whole.origin,
        sha256=whole.sha256,
    )


@dataclass(frozen=True)
class _Result:
    """What a finished run measured, as status.json keeps it."""

    n_test: int
    n_wrong: int
    valid_error_percent: float
    best_epoch: int
    epochs: int


def _conclude(
    job: Job,
    keeper: _Keeper,
    state: TrainingState,
    dataset: Dataset,
    engine: Engine,
    env: Environment,
) -> RunRow:
    if state.best is None:
        raise DaeError("fine-tuning ended without a single epoch")
    keeper.tell(state, phase="test")
    wrong = count_wrong(state.best, dataset.test, engine)
    valid_percent = next(
        r.valid_error_percent or 0.0
        for r in state.history
        if r.phase == "finetune" and r.epoch == state.best_epoch
    )
    result = _Result(len(dataset.test), wrong, valid_percent, state.best_epoch, state.epoch)
    state.network = None  # the last parameters are of no further use, the best ones are kept
    keeper.save(state)
    title = f"{job.cell}: first-layer filters"
    draw_run_filters(job.partial, job.experiment.dataset, title)
    keeper.write_status("done", result=asdict(result))
    job.partial.rename(job.folder)
    return done_row(job, read_status(job.folder), env)


def _fail(job: Job, keeper: _Keeper, env: Environment, error: str) -> RunRow:
    with suppress(OSError):  # the disk may be what failed
        keeper.write_status("failed", error=error)
    return failed_row(job, env, keeper.minutes(), error)


class _Keeper:
    """Hangs on the training loop: keeps checkpoints and metrics, and tells the progress."""

    def __init__(self, job: Job, watcher: Watcher) -> None:
        self._job = job
        self._watcher = watcher
        self._before = 0.0  # seconds spent before this process took over
        self._start = self._saved = self._told = time.monotonic()
        self._place: tuple[str, int] | None = None
        self._share = 0.0

    def begin(self, device: torch.device, inputs: int) -> TrainingState:
        """Return the state to go on from: the checkpoint's, or a fresh one."""
        job = self._job
        resumed = job.state() == "stopped"
        self._watcher.started(job.name, resumed)
        if resumed:
            state = load_checkpoint(job.partial / CHECKPOINT, job.experiment, device)
            self._before = 60.0 * float(read_status(job.partial).get("minutes", 0.0))
        else:
            state = initial_state(job.experiment, inputs, torch.float32)
            for autoencoder in state.autoencoders:
                autoencoder.to(device)
        self.tell(state)
        return state

    def epoch_done(self, state: TrainingState) -> None:
        """Save at the end of a phase or when the last checkpoint is old; tell the progress."""
        now = time.monotonic()
        place = (state.phase, state.layer)
        if place != self._place or now - self._saved >= CHECKPOINT_SECONDS:
            self.save(state)
            self._place, self._saved = place, time.monotonic()
        if now - self._told >= STATUS_SECONDS:
            self.tell(state)
            self._told = now

    def save(self, state: TrainingState) -> None:
        """Write metrics, status and checkpoint; the checkpoint, which counts, comes last."""
        write_text(self._job.partial / METRICS, metrics_csv(state.history))
        self.write_status("running")
        save_checkpoint(self._job.partial / CHECKPOINT, state)

    def tell(self, state: TrainingState, phase: str | None = None) -> None:
        """Pass the position on to the watcher."""
        place = position(state, self._job.experiment, phase)
        # A better validation error prolongs the run; what was told as done stays done.
        self._share = max(self._share, place.fraction)
        self._watcher.moved(self._job.name, replace(place, fraction=self._share))

    def minutes(self) -> float:
        """Return the time this run has taken, all its sessions together."""
        return (self._before + time.monotonic() - self._start) / 60.0

    def write_status(self, outcome: str, **more: Any) -> None:
        """Write status.json; `more` is the result or the error."""
        data = self._job.data
        status = {
            "state": outcome,
            "cell": self._job.cell,
            "data": {"origin": data.origin, "sha256": data.sha256, "source": data.source},
            "minutes": round(self.minutes(), 4),
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            **more,
        }
        write_status(self._job.partial, status)


def position(state: TrainingState, experiment: Experiment, phase: str | None = None) -> Position:
    """Describe where a state stands; the share done counts a layer's epoch as one unit."""
    last = state.history[-1] if state.history else None
    pretraining = experiment.pretrain.epochs * len(experiment.model.hidden)
    done = sum(r.phase == "pretrain" for r in state.history)
    finetuned = len(state.history) - done
    # Early stopping rarely needs all epochs: expect the patience, once more from the best epoch.
    expected = min(experiment.finetune.max_epochs, state.best_epoch + experiment.finetune.patience)
    tuning = state.phase != "pretrain"
    return Position(
        phase=phase or ("finetune" if tuning else "pretrain"),
        layer=None if tuning else state.layer + 1,
        epoch=state.epoch,
        epochs=experiment.finetune.max_epochs if tuning else experiment.pretrain.epochs,
        cost=last.cost if last else None,
        valid_error_percent=last.valid_error_percent if last else None,
        fraction=min(1.0, (done + finetuned) / max(1, pretraining + expected)),
    )


def metrics_csv(history: list[EpochRecord]) -> str:
    """Return metrics.csv: one row an epoch; costs with all their digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [f.name for f in fields(EpochRecord)]
    writer.writerow(names)
    for record in history:
        values = (getattr(record, name) for name in names)
        writer.writerow(["" if value is None else value for value in values])
    return text.getvalue()
