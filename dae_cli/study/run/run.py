"""Compute one run, from the start or its checkpoint, until its folder is complete."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from dae_cli.config.dump import dump_yaml
from dae_cli.config.schema import (
    Experiment,
    FilterExperiment,
    PretrainedExperiment,
    as_network,
    as_pretrained,
)
from dae_cli.csvfile import write_rows
from dae_cli.data.cache import load
from dae_cli.data.dataset import Dataset
from dae_cli.engines.engine import Engine, chosen_device, engine_for
from dae_cli.engines.names import LIBSVM
from dae_cli.errors import DaeError, RunFolderError
from dae_cli.files import (
    HeldError,
    file_lock,
    force_folder_to_disk,
    sweep,
    write_json,
    write_text,
)
from dae_cli.filters.measures import UnitMeasures
from dae_cli.machine import one_thread_in_processes
from dae_cli.stopping import StopRequest
from dae_cli.study.progress import Position, Watcher
from dae_cli.study.rows import RunRow
from dae_cli.study.run.filters import measures_of, save_run_filters
from dae_cli.study.run.job import (
    CHECKPOINT,
    CONFIG,
    ENVIRONMENT,
    FILTERS_CSV,
    METRICS,
    Job,
    Stopped,
    Unfinished,
    checkpoint_seconds,
)
from dae_cli.study.run.pretraining import reuse_pretraining
from dae_cli.study.run.provenance import Environment, continued, environment
from dae_cli.study.run.record import (
    StatusFile,
    failed,
    read_environment,
    row_of,
    row_without_result,
    with_result,
)
from dae_cli.study.run.svm import SvmRun
from dae_cli.study.run.wrong_rows import remark_on, save_wrong_rows
from dae_cli.training.evaluation import wrong_rows
from dae_cli.training.inputs import dataset_for, images_of, inputs_of
from dae_cli.training.run import Callbacks, TrainingRun
from dae_cli.training.state import (
    TrainingState,
    expected_of,
    initial_state,
    load_checkpoint,
    metrics_csv,
    save_checkpoint,
)

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

STATUS_SECONDS = 0.2
LEAST_SECONDS, MOST_SECONDS = 20.0, 50.0
"""Bounds of the time between two checkpoints, so that at most a minute of work is lost."""
SHARE = 1 / 100
"""Fraction of a run's time that checkpoints may take, within the bounds above."""


def run_job(job: Job, watcher: Watcher, command: str, stop: StopRequest) -> RunRow | Unfinished:
    """Compute one run in this thread and return its row, which contains the error if it failed.

    A stopped run is resumed from its checkpoint, bit for bit as if it had not been stopped.
    """
    use_one_thread()
    engine = None if job.is_svm else engine_for(job.engine, chosen_device(job.device))
    device, name = (engine.device.type, engine.name) if engine else ("cpu", LIBSVM)
    env = environment(device, name, torch.get_num_threads(), command)
    try:
        job.folder.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(job.lock):
            if job.state() == "done":  # another process finished it in the meantime
                return row_of(job)
            return _compute(job, engine, env, watcher, stop)
    except Stopped:
        return Unfinished(job.name, "stopped")
    except HeldError:
        return Unfinished(job.name, "held")
    except (DaeError, OSError) as error:
        return failed(row_without_result(job, env, 0.0), error_message(error))


def _compute(
    job: Job, engine: Engine | None, env: Environment, watcher: Watcher, stop: StopRequest
) -> RunRow:
    """Compute a run; the caller holds its lock."""
    status = StatusFile(job)
    try:
        env = prepare_folder(job, env, [job.folder.parent], watcher.note)
        if engine is None:
            result = SvmRun(job, watcher, stop, status).run(_dataset(job))
        else:
            callback = CheckpointCallback(job, watcher, stop, status)
            train = _learn_filters if isinstance(job.experiment, FilterExperiment) else _train
            result = train(job, engine, callback, stop)
        row = row_without_result(job, env, status.minutes())
        row = with_result(row, **result) if result else row
        status.write("done", row)
        for name in (CONFIG, ENVIRONMENT, CHECKPOINT):
            if not (job.partial / name).exists():
                raise RunFolderError(f"{job.partial}: {name} was removed during the run")
        job.partial.rename(job.folder)
        force_folder_to_disk(job.folder.parent)
        return row
    except (DaeError, OSError, RuntimeError, MemoryError, SafetensorError) as error:
        row = failed(row_without_result(job, env, status.minutes()), error_message(error))
        with suppress(DaeError):  # the error may be that of the disk
            status.write("failed", row)
        return row


def prepare_folder(
    job: Job, env: Environment, sources: Iterable[Path], note: Callable[[str], None]
) -> Environment:
    """Create the working folder with config.yaml and environment.json.

    Reuses the pretraining of a run in the folders `sources` if it is the same, and reports this to
    `note`. Returns the environment, with the earlier sessions of the run.
    """
    if job.folder.exists():
        raise RunFolderError(f"{job.folder}: is not a complete run; delete it, or use --force")
    job.partial.mkdir(parents=True, exist_ok=True)
    sweep(job.partial, every=True)
    if job.state() == "new":
        reused = (reuse_pretraining(job, folder, env) for folder in sources)
        if source := next(filter(None, reused), None):
            note(f"{job.name}: reusing the pretrained weights of {source}")
    if job.state() == "stopped":
        before = None
        with suppress(RunFolderError):
            before = read_environment(job.partial)
        env = continued(before, env)
    write_text(job.partial / CONFIG, dump_yaml(job.experiment), make_folder=False)
    write_json(job.partial / ENVIRONMENT, env.model_dump(mode="json"), make_folder=False)
    return env


def _train(
    job: Job, engine: Engine, callback: CheckpointCallback, stop: StopRequest
) -> dict[str, Any]:
    """Train a network, write its files and return the measured columns of its row."""
    dataset = _dataset(job)
    state = callback.initial_state()
    with stop.delay_signals():
        TrainingRun(as_network(job.experiment), state, engine, callback).train(dataset)
    if state.best is None:
        raise DaeError("fine-tuning ended before its first epoch")
    callback.report(state, phase="test")
    wrong = wrong_rows(state.best, dataset.test, engine)
    save_wrong_rows(job.partial, wrong)
    best = (r for r in state.history if (r.phase, r.epoch) == ("finetune", state.best_epoch))
    state.network = None  # only the best network is saved, not the last
    callback.save(state)
    save_run_filters(job.partial, job.experiment.dataset, f"{job.cell}: first-layer filters")
    return {
        "n_test": len(dataset.test),
        "n_wrong": int(wrong.sum()),
        "remark": remark_on(wrong, dataset.test.labels),
        "valid_error_percent": next(best).valid_error_percent or 0.0,
        "best_epoch": state.best_epoch,
        "epochs": state.epoch,
    }


def _learn_filters(
    job: Job, engine: Engine, callback: CheckpointCallback, stop: StopRequest
) -> dict[str, Any]:
    """Train one layer for its filters, measure them and write the files; there is no test error."""
    experiment = job.experiment
    assert isinstance(experiment, FilterExperiment)
    inputs = inputs_of(images_of(job.data, experiment), experiment.pretrain.batch_size, engine)
    state = callback.initial_state()
    with stop.delay_signals():
        TrainingRun(experiment, state, engine, callback).pretrain(inputs)
    callback.report(state, phase="measure")
    callback.save(state)
    measures = measures_of(state.layers[0].weight.cpu().numpy(), experiment.dataset)
    write_rows(job.partial / FILTERS_CSV, measures, UnitMeasures, make_folder=False)
    save_run_filters(job.partial, experiment.dataset, f"{job.cell}: filters")
    return {}


def _dataset(job: Job) -> Dataset:
    assert not isinstance(job.experiment, FilterExperiment)
    return dataset_for(job.experiment, load(job.data))


class CheckpointCallback(Callbacks):
    """Saves checkpoints of a run and reports its progress; raises Stopped on request."""

    def __init__(self, job: Job, watcher: Watcher, stop: StopRequest, status: StatusFile) -> None:
        self._job, self._watcher, self._stop, self._status = job, watcher, stop, status
        self._saved = self._reported = time.monotonic()
        self._fixed_interval = checkpoint_seconds()
        self._interval = LEAST_SECONDS if self._fixed_interval is None else self._fixed_interval
        self._fraction = 0.0
        self._experiment = as_pretrained(job.experiment)
        self._expected = expected_of(self._experiment, job.data.sha256)

    def initial_state(self) -> TrainingState:
        """Return the state to train from: the checkpoint's, or a new one."""
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
        return bool(self._stop.signal) or time.monotonic() - self._saved >= self._interval

    def on_checkpoint(self, state: TrainingState) -> None:
        self.save(state)
        if self._stop.signal:
            raise Stopped

    def on_epoch_end(self, state: TrainingState) -> None:
        if self.is_checkpoint_due():
            self.on_checkpoint(state)
        if time.monotonic() - self._reported >= STATUS_SECONDS:
            self.report(state)
            self._reported = time.monotonic()

    def on_phase_end(self, state: TrainingState) -> None:
        self.on_checkpoint(state)

    def save(self, state: TrainingState) -> None:
        """Write metrics and status, then the checkpoint, from which the run is resumed."""
        start = time.monotonic()
        write_text(self._job.partial / METRICS, metrics_csv(state.history), make_folder=False)
        self._status.write("running")
        save_checkpoint(self._job.partial / CHECKPOINT, state, self._expected)
        self._saved = time.monotonic()
        if self._fixed_interval is None:
            seconds = (self._saved - start) / SHARE
            self._interval = min(MOST_SECONDS, max(LEAST_SECONDS, seconds))

    def report(self, state: TrainingState, phase: str | None = None) -> None:
        place = _position(state, self._experiment, phase)
        # A better validation error prolongs the run; the reported fraction must not decrease.
        self._fraction = max(self._fraction, place.fraction)
        self._watcher.moved(self._job.name, replace(place, fraction=self._fraction))


def _position(
    state: TrainingState, experiment: PretrainedExperiment, phase: str | None
) -> Position:
    """Return the progress of a state; in its fraction, each epoch of a layer counts as one step."""
    last = state.history[-1] if state.history else None
    epochs, depth = experiment.pretrain.epochs, len(experiment.model.hidden)
    # Early stopping rarely needs all epochs: assume that it ends `patience` after the best epoch.
    expected, most = 0, 0
    if isinstance(experiment, Experiment):
        most = experiment.finetune.max_epochs
        expected = min(most, state.best_epoch + experiment.finetune.patience)
    tuning = most > 0 and state.phase != "pretrain"
    return Position(
        phase=phase or ("finetune" if tuning else "pretrain"),
        layer=None if tuning else min(state.layer + 1, depth),
        epoch=state.epoch if tuning or state.phase == "pretrain" else epochs,
        epochs=most if tuning else epochs,
        cost=last.cost if last else None,
        valid_error_percent=last.valid_error_percent if last else None,
        fraction=min(1.0, len(state.history) / max(1, epochs * depth + expected)),
    )


def error_message(error: Exception) -> str:
    """Return the message of an error, with advice if memory ran out."""
    if isinstance(error, DaeError):
        return str(error)
    if memory_ran_out(error):
        return f"out of memory ({error}); use fewer --jobs or smaller layers"
    return f"{type(error).__name__}: {error}"


def memory_ran_out(error: Exception) -> bool:
    """Return whether memory ran out; torch raises a RuntimeError instead of a MemoryError."""
    return isinstance(error, MemoryError) or "can't allocate memory" in str(error)


# One thread per process is faster than several, and results do not depend on the number of cores.


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread within the block, so that it gives the same bits as the commands.

    The number of threads is a setting of the process, so concurrent blocks wait for each other.
    """
    with _ONE_AT_A_TIME, _thread_pools().limit(limits=1):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


_ONE_AT_A_TIME = RLock()


@cache
def _thread_pools() -> ThreadpoolController:
    """All loaded BLAS and OpenMP libraries; cached, since finding them is slow."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def use_one_thread() -> None:
    """Let this process and the processes that it starts compute with one thread from now on."""
    from threadpoolctl import threadpool_limits

    one_thread_in_processes()
    threadpool_limits(limits=1)  # permanent for all loaded libraries if not used in a `with`
    torch.set_num_threads(1)
    with suppress(RuntimeError):  # raised if these threads already work; our code uses none
        torch.set_num_interop_threads(1)
