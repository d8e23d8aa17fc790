"""Pretraining that has been done already is taken over, not done again.

Runs that differ in fine-tuning alone start it from the same parameters. A finished run keeps its
pretrained layers beside its best network; a new run copies them into a checkpoint of its own that
stands at the end of pretraining, and goes on from there as a run does that was stopped. Trials of a
search, which keep nothing, put them aside for the trials to come.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from dae_cli.config.experiments import load_resolved
from dae_cli.config.schema import Experiment
from dae_cli.errors import DaeError
from dae_cli.files import owner, write_json
from dae_cli.study.run.folder import (
    CHECKPOINT,
    CONFIG,
    ENVIRONMENT,
    STATUS,
    Job,
    hidden,
    run_name,
)
from dae_cli.study.run.keeper import expected_of
from dae_cli.study.run.provenance import Environment
from dae_cli.study.run.records import read_record
from dae_cli.training.checkpoint import load_checkpoint, save_checkpoint
from dae_cli.training.state import TrainingState


def take_pretraining(job: Job, runs: Path, now: Environment) -> str | None:
    """Put a checkpoint that stands at the end of pretraining into the folder of a new run.

    It is of a run whose settings before fine-tuning, seed, data, numerics, engine, device,
    versions and processor are the same: with it, the run comes out bit for bit as without.

    Args:
        job: the run; its folder to work in is there.
        runs: the folder with the finished runs, or with what trials have put aside.
        now: what the run would be computed with.

    Returns:
        The name of the run it was taken from, whose environment.json is there for the run to go on
        from; None, and nothing written, where no run has it.

    Raises:
        OutputError: it cannot be written.
    """
    experiment = job.experiment
    if job.from_start or not isinstance(experiment, Experiment) or not experiment.pretrain.epochs:
        return None
    for folder in sorted(runs.glob(f"{experiment.dataset}-*-s{experiment.seed}-*")):
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


def put_aside(job: Job, shelf: Path, most: int) -> None:
    """Copy a checkpoint that stands at the end of pretraining to where `take_pretraining` looks.

    It stays until `most` others were put there after it. What cannot be written is left undone:
    only time is lost.

    Args:
        job: the run whose checkpoint has just been kept.
        shelf: the folder for it, of this purpose alone.
        most: how many it may hold.
    """
    place = shelf / run_name(job.experiment, job.data.sha256)
    unfinished = hidden(place, f".{owner()}")
    with suppress(OSError):
        unfinished.mkdir(parents=True, exist_ok=True)
        for name in (CONFIG, ENVIRONMENT, CHECKPOINT, STATUS):
            shutil.copyfile(job.partial / name, unfinished / name)
        unfinished.rename(place)
    shutil.rmtree(unfinished, ignore_errors=True)
    with suppress(OSError):
        there = sorted(shelf.iterdir(), key=lambda kept: kept.stat().st_mtime)
        for old in there[:-most]:
            shutil.rmtree(old, ignore_errors=True)


def _computed_alike(folder: Path, now: Environment) -> Environment | None:
    """Return the environment of a run if its numbers are those that `now` would give."""
    if not (folder / STATUS).is_file():
        return None
    env = read_record(folder / ENVIRONMENT, Environment)
    alike = all(
        getattr(env, name) == getattr(now, name)
        for name in ("engine", "devices", "versions", "platform", "blas", "threads")
    )
    processors = {env.cpu, *(session.cpu for session in env.earlier)}
    return env if alike and processors == {now.cpu} else None


def _pretrained(folder: Path, wanted: Experiment, data_sha256: str) -> TrainingState | None:
    """Return a run's state as it was after pretraining, if `wanted` comes by the same."""
    donor = load_resolved(folder / CONFIG)
    if not isinstance(donor, Experiment):
        return None
    if donor.model_copy(update={"finetune": wanted.finetune}) != wanted:
        return None
    if folder.name != run_name(donor, data_sha256):  # of other data, numerics, or renamed
        return None
    expected = expected_of(donor, data_sha256)
    whole = load_checkpoint(folder / CHECKPOINT, expected)
    return TrainingState(
        phase="finetune",
        layers=whole.layers,
        layer=len(whole.layers),
        history=[record for record in whole.history if record.phase == "pretrain"],
    )
