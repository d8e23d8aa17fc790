"""Choose the engine and device of a run: those it started with, the requested ones or the default.

Engines agree to float32 rounding, not to the bit. A resumed run therefore keeps its engine and kind
of device, even if the default differs on this machine, and a finished run is not accepted in place
of one with another engine. Engines are chosen before any worker starts, so results do not depend
on the number of workers. Importing torch takes a second, so we import it only when needed.
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
"""A run with its recorded engine and device (for a GPU, the GPU's name)."""


def check_choice(choice: EngineChoice, device: str) -> None:
    """Check that this machine has the requested engine and device, before any slow step.

    Raises:
        ConfigError: the device does not exist, or the engine does not run on this machine.
    """
    if (device, choice) != ("cpu", "auto"):
        requested = _device(device, choice)
        if choice != "auto":
            _engine(choice, requested)


def with_engines(
    runs: Sequence[PlannedRun], note: Callable[[str], None]
) -> tuple[list[Job], dict[str, str]]:
    """Choose the engine and device of runs that are about to be computed.

    Returns:
        The jobs that can be computed, and for each run that cannot be resumed its name and reason.

    Raises:
        ConfigError: this machine does not have the requested engine or device.
        RunFolderError: a stopped run uses another engine or device than the one requested by name.
    """
    from dae_cli.engines.engine import default_engine

    default = cache(partial(default_engine, note=note))  # cached: one note for all runs
    jobs: list[Job] = []
    unresumable: dict[str, str] = {}
    resumed: list[Computed] = []
    for run in runs:
        job = run.job
        if job.is_svm:  # libsvm computes every SVM, regardless of --engine
            jobs.append(job)
        elif job.from_start or job.state() != "stopped":
            device = _device(job.device, run.engine)
            name = default(device) if run.engine == "auto" else run.engine
            jobs.append(replace(job, engine=name, device=device.type))
        else:
            try:
                engine, recorded = _engine_of_stopped(job)
            except RunFolderError as error:
                unresumable[job.name] = f"{error}; delete {job.partial} to start over"
            else:
                resumed.append((run, engine.name, recorded))
                jobs.append(replace(job, engine=engine.name, device=engine.device.type))
    _refuse_others("started", resumed, "to resume, or use --force to start over")
    return jobs, unresumable


def refuse_other_engines(done: Iterable[tuple[PlannedRun, RunRow]]) -> None:
    """Refuse finished runs if another engine or device is requested by name.

    Raises:
        RunFolderError: lists all such runs.
    """
    networks = ((run, row) for run, row in done if not run.job.is_svm)
    _refuse_others(
        "computed",
        [(run, row.engine, row.device.rpartition(" / ")[2]) for run, row in networks],
        "to accept the existing runs, use --force to run again, or pass another folder with --out",
    )


def engine_for_counting(folder: Path) -> Engine:
    """Return the engine to count a finished run's errors with: its own if available, else torch."""
    try:
        return _engine(read_environment(folder).engine, _device("cpu"))
    except DaeError:
        return _engine("torch", _device("cpu"))


def _engine_of_stopped(job: Job) -> tuple[Engine, str]:
    """Return the engine that a run started with, on its kind of device, and the device's name."""
    env = read_environment(job.partial)
    try:
        return _engine(env.engine, _device(_kind(env.device))), env.device
    except ConfigError as error:
        raise RunFolderError(
            f"the run was started with the engine {env.engine} on {env.device}, which is not "
            f"available here ({error})"
        ) from error


def _refuse_others(verb: str, computed: Sequence[Computed], remedy: str) -> None:
    lines, fixes = "", dict[str, None]()
    for run, engine, device in computed:
        requested = []
        if not run.accepts(engine):
            requested.append(f"the engine {run.engine}")
            fixes["omit --engine"] = None
        if run.job.device not in ("auto", _kind(device)):
            requested.append(f"on {run.job.device}")
            fixes["pass --device auto"] = None
        if requested:
            lines += f"{run.label}: was {verb} with the engine {engine} on {device}, "
            lines += f"not {' '.join(requested)}\n"
    if lines:
        raise RunFolderError(f"{lines}  {' and '.join(fixes)} {remedy}")


def _kind(device: str) -> str:
    """Return the kind of a recorded device: cpu, mps or cuda."""
    return device if device in ("cpu", "mps") else "cuda"


def _engine(name: str, device: torch.device) -> Engine:
    from dae_cli.engines.engine import engine_for

    return engine_for(name, device)


def _device(name: str, choice: EngineChoice = "auto") -> torch.device:
    """Return the device; `auto` means the CPU for an engine that runs only there."""
    from dae_cli.engines.engine import chosen_device

    return chosen_device("cpu" if (name, choice) == ("auto", "compiled") else name)
