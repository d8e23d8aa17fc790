"""Which engine and device compute a run: those it was begun with, those asked for, or the default.

Engines agree within the rounding of float32, not to the bit. So a run keeps its engine and its
kind of device, whatever the default is where it is resumed, and a finished run does not stand for
one of another engine. Decided before any worker starts: results do not depend on their number.
torch, which takes a second, is imported when an engine is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from dae_cli.engines.names import EngineChoice
from dae_cli.errors import ConfigError, DaeError, RunFolderError
from dae_cli.study.rows import RunRow
from dae_cli.study.run.job import Job, PlannedRun
from dae_cli.study.run.record import read_environment

if TYPE_CHECKING:
    import torch

    from dae_cli.engines.engine import Engine

Computed = tuple[PlannedRun, str, str]
"""A run, and the engine and the device (a GPU by its name) that it is recorded with."""


def check_choice(choice: EngineChoice, device: str) -> None:
    """Make sure, before anything takes time, that this machine has what is asked for.

    Raises:
        ConfigError: there is no such device, or the engine does not run here.
    """
    if (device, choice) != ("cpu", "auto"):
        asked_for = _device(device, choice)
        if choice != "auto":
            _engine(choice, asked_for)


def with_engines(
    runs: Sequence[PlannedRun], note: Callable[[str], None]
) -> tuple[list[Job], dict[str, str]]:
    """Choose engine and device of runs that are about to be computed.

    Returns:
        The jobs of those that can be; of the others, by name, why they cannot be resumed.

    Raises:
        ConfigError: this machine does not have what is asked for.
        RunFolderError: runs were begun with another engine or device than is asked for by name.
    """
    from dae_cli.engines.engine import default_engine

    default = cache(partial(default_engine, note=note))  # one note for all runs
    jobs: list[Job] = []
    unresumable: dict[str, str] = {}
    resumed: list[Computed] = []
    for run in runs:
        job = run.job
        if job.is_svm:  # computed by libsvm, whatever is asked for
            jobs.append(job)
        elif job.state() != "stopped":
            device = _device(job.device, run.engine)
            name = default(device) if run.engine == "auto" else run.engine
            jobs.append(replace(job, engine=name, device=device.type))
        else:
            try:
                engine, recorded = _engine_of_stopped(job)
            except RunFolderError as error:
                unresumable[job.name] = f"{error}; remove {job.partial} to have it made anew"
            else:
                resumed.append((run, engine.name, recorded))
                jobs.append(replace(job, engine=engine.name, device=engine.device.type))
    _refuse_others("begun", resumed, "to go on as it was begun, or give --force to start over")
    return jobs, unresumable


def refuse_other_engines(done: Iterable[tuple[PlannedRun, RunRow]]) -> None:
    """Refuse to take finished runs for runs of another engine or device that is asked for by name.

    Raises:
        RunFolderError: with all of them.
    """
    networks = ((run, row) for run, row in done if not run.job.is_svm)
    _refuse_others(
        "made",
        [(run, row.engine, row.device.rpartition(" / ")[2]) for run, row in networks],
        "to accept what there is, give --force to make it anew, or --out DIR for another folder",
    )


def engine_for_counting(folder: Path) -> Engine:
    """Return the engine to count a finished run's errors with: its own, else the reference."""
    try:
        return _engine(read_environment(folder).engine, _device("cpu"))
    except DaeError:
        return _engine("torch", _device("cpu"))


def _engine_of_stopped(job: Job) -> tuple[Engine, str]:
    """Return the engine that a run was begun with, on its kind of device, and the device's name."""
    env = read_environment(job.partial)
    try:
        return _engine(env.engine, _device(_kind(env.device))), env.device
    except ConfigError as error:
        raise RunFolderError(
            f"the run was begun with the engine {env.engine} on {env.device}, which cannot be had "
            f"here ({error})"
        ) from error


def _refuse_others(verb: str, computed: Sequence[Computed], remedy: str) -> None:
    lines, ways = "", dict[str, None]()
    for run, engine, device in computed:
        asked = []
        if not run.accepts(engine):
            asked.append(f"the engine {run.engine}")
            ways["leave --engine out"] = None
        if run.job.device not in ("auto", _kind(device)):
            asked.append(f"on {run.job.device}")
            ways["give --device auto"] = None
        if asked:
            lines += f"{run.label}: was {verb} with the engine {engine} on {device}, "
            lines += f"not {' '.join(asked)}\n"
    if lines:
        raise RunFolderError(f"{lines}  {' and '.join(ways)} {remedy}")


def _kind(device: str) -> str:
    """The kind of a recorded device: cpu, mps or cuda."""
    return device if device in ("cpu", "mps") else "cuda"


def _engine(name: str, device: torch.device) -> Engine:
    from dae_cli.engines.engine import engine_for

    return engine_for(name, device)


def _device(name: str, choice: EngineChoice = "auto") -> torch.device:
    """Return the device; `auto` is the CPU for an engine that computes nowhere else."""
    from dae_cli.engines.engine import chosen_device

    return chosen_device("cpu" if (name, choice) == ("auto", "compiled") else name)
