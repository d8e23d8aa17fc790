"""One run from start, or from its checkpoint, to a whole run folder."""

from __future__ import annotations

from contextlib import suppress

import torch
from safetensors import SafetensorError

from dae_cli.config.dump import dump_yaml
from dae_cli.config.schema import Experiment, FilterExperiment, SvmExperiment, as_network
from dae_cli.data.cache import load
from dae_cli.data.dataset import Dataset
from dae_cli.engines.engine import chosen_device, engine_for
from dae_cli.engines.names import LIBSVM
from dae_cli.errors import DaeError, RunFolderError
from dae_cli.files import force_folder_to_disk, sweep, write_json, write_text
from dae_cli.stopping import NeverStop, Stop
from dae_cli.study.locks import HeldError, hold
from dae_cli.study.progress import Watcher
from dae_cli.study.rows import RunRow
from dae_cli.study.run.filter_run import train_for_filters
from dae_cli.study.run.filters import save_run_filters
from dae_cli.study.run.folder import CONFIG, ENVIRONMENT, STATUS, Job
from dae_cli.study.run.keeper import Keeper
from dae_cli.study.run.pretrained import take_pretraining
from dae_cli.study.run.provenance import Environment, continued, environment
from dae_cli.study.run.records import FilterResult, Result, Status, read_record
from dae_cli.study.run.row import done_row, failed_row, row_of
from dae_cli.study.run.status import RunStatus, status_so_far
from dae_cli.study.run.svm import SvmRun
from dae_cli.study.run.threads import use_one_thread
from dae_cli.study.run.wrong_rows import save_wrong_rows
from dae_cli.training.evaluation import wrong_rows
from dae_cli.training.run import TrainingRun


def execute(job: Job, watcher: Watcher, command: str, stop: Stop | None = None) -> RunRow:
    """Make one run whole and return its row; a failure becomes a row that tells the error.

    A run that was stopped goes on from its checkpoint, bit for bit as if it had not been.

    Raises:
        Stopped: it was asked to stop and has kept a checkpoint.
        HeldError: another process is making the run.
    """
    use_one_thread()
    if job.is_svm:
        device, engine_name = "cpu", LIBSVM
    else:
        engine = engine_for(job.engine, chosen_device(job.device))
        device, engine_name = engine.device.type, engine.name
    env = environment(device, engine_name, torch.get_num_threads(), command)
    try:
        job.folder.parent.mkdir(parents=True, exist_ok=True)
        with hold(job.lock):
            return _execute_alone(job, watcher, env, stop or NeverStop())
    except HeldError:
        raise
    except (DaeError, OSError) as error:
        return failed_row(job, env, 0.0, told(error))


def _execute_alone(job: Job, watcher: Watcher, env: Environment, stop: Stop) -> RunRow:
    if job.state() == "done":  # by another process, since this one looked
        return row_of(job)
    run: SvmRun | Keeper
    if isinstance(job.experiment, SvmExperiment):
        run = SvmRun(job, job.experiment, watcher, stop)
    else:
        run = Keeper(job, watcher, stop)
    try:
        _make_room(job)
        if job.state() == "new" and (donor := take_pretraining(job, job.folder.parent, env)):
            watcher.note(f"{job.name}: goes on from the pretraining of {donor}, which is the same")
        if job.state() == "stopped":
            env = continued(_environment_before(job), env)
        write_text(job.partial / CONFIG, dump_yaml(job.experiment), make_folder=False)
        write_json(job.partial / ENVIRONMENT, env.as_dict(), make_folder=False)
        return _conclude(job, run, _made(job, run, stop), env)
    except (DaeError, OSError, RuntimeError, MemoryError, SafetensorError) as error:
        return _fail(job, run, env, told(error))


def _made(job: Job, run: SvmRun | Keeper, stop: Stop) -> Result | FilterResult:
    """Do what the run is for, and write its files but for the status."""
    if isinstance(job.experiment, FilterExperiment):
        assert isinstance(run, Keeper)
        return train_for_filters(job, job.experiment, run, stop)
    dataset = dataset_for(job.experiment, load(job.data))
    if isinstance(run, Keeper):
        return _train_network(job, run, dataset, stop)
    with stop.deferred():
        return run.make(dataset)


def told(error: Exception) -> str:
    """Say what failed, in words that a user can act on."""
    if isinstance(error, DaeError):
        return str(error)
    if memory_ran_out(error):
        return f"the memory ran out ({error}); fewer --jobs or smaller layers need less"
    return f"{type(error).__name__}: {error}"


def memory_ran_out(error: Exception) -> bool:
    """Tell whether it is for want of memory; torch has no MemoryError of its own."""
    return isinstance(error, MemoryError) or "can't allocate memory" in str(error)


def _environment_before(job: Job) -> Environment | None:
    """Return what the run was computed with so far; None where that cannot be read."""
    try:
        return read_record(job.partial / ENVIRONMENT, Environment)
    except RunFolderError:
        return None


def _make_room(job: Job) -> None:
    """Make the folder to work in, without what a killed process left half-written."""
    if job.folder.exists():
        raise RunFolderError(
            f"{job.folder}: is in the way and not a whole run; remove it, or run again with --force"
        )
    job.partial.mkdir(parents=True, exist_ok=True)
    sweep(job.partial, alone=True)


def dataset_for(experiment: Experiment | SvmExperiment, whole: Dataset) -> Dataset:
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


def _train_network(job: Job, keeper: Keeper, dataset: Dataset, stop: Stop) -> Result:
    """Train, count the test rows, and write the last checkpoint and the filters."""
    engine = engine_for(job.engine, chosen_device(job.device))
    state = keeper.begin()
    with stop.deferred():
        TrainingRun(as_network(job.experiment), state, engine, keeper).train(dataset)
    if state.best is None:
        raise DaeError("fine-tuning ended without a single epoch")
    keeper.tell(state, phase="test")
    wrong = wrong_rows(state.best, dataset.test, engine)
    save_wrong_rows(job.partial, wrong)
    valid_percent = next(
        r.valid_error_percent or 0.0
        for r in state.history
        if r.phase == "finetune" and r.epoch == state.best_epoch
    )
    state.network = None  # the last parameters are of no further use, the best ones are kept
    keeper.save(state)
    title = f"{job.cell}: first-layer filters"
    save_run_filters(job.partial, job.experiment.dataset, title)
    return Result(
        n_test=len(dataset.test),
        n_wrong=int(wrong.sum()),
        valid_error_percent=valid_percent,
        best_epoch=state.best_epoch,
        epochs=state.epoch,
    )


def _conclude(job: Job, run: RunStatus, made: Result | FilterResult, env: Environment) -> RunRow:
    """Give the folder its name when all is in it."""
    key = "filters" if isinstance(made, FilterResult) else "result"
    run.write_status("done", **{key: made.model_dump(exclude_defaults=True)})
    if missing := [name for name in job.whole if not (job.partial / name).exists()]:
        raise RunFolderError(f"{job.partial}: somebody removed {', '.join(missing)} meanwhile")
    job.partial.rename(job.folder)
    force_folder_to_disk(job.folder.parent)
    return done_row(job, read_record(job.folder / STATUS, Status), env)


def _fail(job: Job, run: RunStatus, env: Environment, error: str) -> RunRow:
    with suppress(DaeError):  # the disk may be what failed
        run.write_status("failed", error=error)
    return failed_row(job, env, run.minutes(), error)


def lost_row(job: Job, error: str, command: str) -> RunRow:
    """Return the row of a run whose process is gone."""
    device, engine = ("cpu", LIBSVM) if job.is_svm else (job.device, job.engine)
    env = environment(device, engine, 1, command)
    before = status_so_far(job)
    return failed_row(job, env, before.minutes if before else 0.0, error)
