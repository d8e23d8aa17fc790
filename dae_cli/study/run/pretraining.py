"""Pretraining that another run has done already is reused.

Runs that differ only in fine-tuning start it from the same parameters. A finished run keeps its
pretrained layers beside its best network; a new run copies them into a checkpoint of its own that
stands at the end of pretraining, and is resumed from there. Trials of a search, which keep nothing,
put theirs into a cache for the trials to come.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from dae_cli.config.experiments import load_resolved
from dae_cli.config.schema import Experiment
from dae_cli.errors import DaeError
from dae_cli.files import owner, write_json
from dae_cli.study.run.checkpoints import expected_of
from dae_cli.study.run.job import CHECKPOINT, CONFIG, ENVIRONMENT, STATUS, Job, hidden, run_name
from dae_cli.study.run.provenance import Environment
from dae_cli.study.run.record import read_environment
from dae_cli.training.checkpoint import load_checkpoint, save_checkpoint
from dae_cli.training.state import TrainingState


def reuse_pretraining(job: Job, runs: Path, now: Environment) -> str | None:
    """Put a checkpoint that stands at the end of pretraining into the folder of a new run.

    It is of a run whose settings before fine-tuning, seed, data, numerics, engine, device,
    versions and processor are the same: the run comes out bit for bit as without.

    Args:
        job: the run; its folder to work in is there.
        runs: the folder with the finished runs, or the cache of a search.
        now: what the run would be computed with.

    Returns:
        The name of the run it was taken from, whose environment.json is then in the new run's
        folder; None, and nothing written, where there is no such run.

    Raises:
        OutputError: it cannot be written.
    """
    experiment = job.experiment
    if job.from_start or not isinstance(experiment, Experiment) or not experiment.pretrain.epochs:
        return None
    # Of a name, fine-tuning changes only the digest.
    begin = run_name(experiment, job.data.sha256).rpartition("-")[0]
    for folder in sorted(runs.glob(f"{begin}-*")):
        state = env = None
        with suppress(DaeError, OSError):
            if (env := _computed_alike(folder, now)) is not None:
                state = _pretrained(folder, experiment, job.data.sha256)
        if state is not None and env is not None:
            write_json(job.partial / ENVIRONMENT, env.as_dict(), make_folder=False)
            expected = expected_of(experiment, job.data.sha256)
            save_checkpoint(job.partial / CHECKPOINT, state, expected)
            return folder.name
    return None


def cache_pretraining(job: Job, cache_dir: Path, most: int) -> None:
    """Copy a checkpoint that stands at the end of pretraining to a cache, for runs that reuse it.

    What cannot be written is left undone: only time is lost.

    Args:
        job: the run whose checkpoint has just been saved.
        cache_dir: a folder for nothing else.
        most: how many it may hold; the oldest go.
    """
    place = cache_dir / run_name(job.experiment, job.data.sha256)
    unfinished = hidden(place, f".{owner()}")
    with suppress(OSError):
        unfinished.mkdir(parents=True, exist_ok=True)
        for name in (CONFIG, ENVIRONMENT, CHECKPOINT, STATUS):
            shutil.copyfile(job.partial / name, unfinished / name)
        unfinished.rename(place)
    shutil.rmtree(unfinished, ignore_errors=True)
    with suppress(OSError):
        cached = sorted(cache_dir.iterdir(), key=lambda folder: folder.stat().st_mtime)
        for old in cached[:-most]:
            shutil.rmtree(old, ignore_errors=True)


def _computed_alike(folder: Path, now: Environment) -> Environment | None:
    """Return the environment of a run if its numbers are those that `now` would give."""
    if not (folder / STATUS).is_file():
        return None
    env = read_environment(folder)
    alike = all(
        getattr(env, name) == getattr(now, name)
        for name in ("engine", "devices", "versions", "platform", "blas", "threads")
    )
    processors = {env.cpu, *(session.cpu for session in env.earlier)}
    return env if alike and processors == {now.cpu} else None


def _pretrained(folder: Path, wanted: Experiment, data_sha256: str) -> TrainingState | None:
    """Return a run's state as it was after pretraining, if `wanted` has the same."""
    source = load_resolved(folder / CONFIG)
    if not isinstance(source, Experiment):
        return None
    if source.model_copy(update={"finetune": wanted.finetune}) != wanted:
        return None
    if folder.name != run_name(source, data_sha256):  # of other data, numerics, or renamed
        return None
    expected = expected_of(source, data_sha256)
    whole = load_checkpoint(folder / CHECKPOINT, expected)
    return TrainingState(
        phase="finetune",
        layers=whole.layers,
        layer=len(whole.layers),
        history=[record for record in whole.history if record.phase == "pretrain"],
    )
