"""Which engine computes a run: the one asked for, the one it was begun with, or the fastest.

Engines agree within the rounding of float32, not to the bit. So a run has one engine from its
start to its end, whatever is the fastest where it goes on, unless another is asked for by name.
Decided once, before any worker starts: the results do not depend on the number of workers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from dae_cli.engines.choice import can_be_had, fastest_engine
from dae_cli.engines.engine import Engine, engine_for
from dae_cli.engines.names import ENGINES, EngineChoice, EngineName
from dae_cli.errors import DaeError, RunFolderError
from dae_cli.study.progress import Watcher
from dae_cli.study.run_folder import ENVIRONMENT, Job, PlannedRun
from dae_cli.training.train import chosen_device

CPU = torch.device("cpu")


def check_choice(choice: EngineChoice, device: str) -> None:
    """Make sure, before anything takes time, that what is asked for is there.

    Raises:
        ConfigError: there is no such device here, or the engine cannot be had.
    """
    if choice == "auto":
        chosen_device(device)
    else:
        engine_for(choice, _device(device, choice))


def settled(runs: Sequence[PlannedRun], watcher: Watcher) -> list[Job]:
    """Return the jobs of runs that are about to be computed, each with its engine and device.

    Raises:
        ConfigError: as above.
        RunFolderError: a stopped run was begun with an engine that cannot be had here.
    """
    fastest: EngineName | None = None
    jobs = []
    for run in runs:
        stopped = run.job.state() == "stopped"
        begun = recorded_engine(run.job.partial) if stopped else None
        engine = _engine_of(run, begun)
        if engine is None:
            engine = fastest = fastest or fastest_engine(watcher.note)
        if stopped and begun != engine:
            before = begun or "(not recorded)"
            watcher.note(
                f"{_name(run.job)}: begun with the engine {before}, goes on with {engine}; "
                "its last digits may differ from those of one engine throughout"
            )
        jobs.append(replace(run.job, engine=engine, device=_device(run.job.device, engine).type))
    return jobs


def _engine_of(run: PlannedRun, begun: EngineName | None) -> EngineName | None:
    """Return a run's engine; None where the fastest may be taken."""
    if run.engine != "auto":
        return run.engine
    if _device(run.job.device, begun or "torch") != CPU:
        return "torch"
    if begun and not can_be_had(begun):
        raise RunFolderError(
            f"{_name(run.job)} was begun with the engine {begun}, which cannot be had here: "
            "--engine torch goes on with another, --force starts over"
        )
    return begun


def _device(name: str, engine: EngineName) -> torch.device:
    """Return the device; `auto` is the CPU for an engine that computes nowhere else."""
    return CPU if name == "auto" and engine != "torch" else chosen_device(name)


def _name(job: Job) -> str:
    return f"{job.cell}, seed {job.experiment.seed}"


def recorded_engine(folder: Path) -> EngineName | None:
    """Return the engine that environment.json of a run tells; None if it tells none."""
    try:
        told = json.loads((folder / ENVIRONMENT).read_text(encoding="utf-8"))["engine"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return next((name for name in ENGINES if name == told), None)


def engine_for_counting(folder: Path) -> Engine:
    """Return the engine to count a finished run's errors with: its own, else the reference."""
    own = recorded_engine(folder) or "torch"
    try:
        return engine_for(own, CPU)
    except DaeError:
        return engine_for("torch", CPU)
