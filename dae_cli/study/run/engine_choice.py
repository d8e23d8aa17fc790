"""Which engine and device compute a run: those it was begun with, those asked for, or the default.

Engines agree within the rounding of float32, not to the bit. So a run keeps its engine and its
kind of device, whatever the default is where it is resumed, and a finished run does not stand for
one of another engine. Decided before any worker starts: results do not depend on their number.

Engines are imported when one is needed: torch takes a second, and a command that finds all its runs
done needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dae_cli.engines.names import EngineChoice
from dae_cli.errors import DaeError, RunFolderError
from dae_cli.study.rows import RunRow
from dae_cli.study.run.job import ENVIRONMENT, Job, PlannedRun
from dae_cli.study.run.record import read_environment

if TYPE_CHECKING:
    import torch

    from dae_cli.engines.engine import Engine


def check_choice(choice: EngineChoice, device: str) -> None:
    """Make sure, before anything takes time, that this machine has what is asked for.

    Raises:
        ConfigError: there is no such device, or the engine does not run here.
    """
    if (device, choice) == ("cpu", "auto"):
        return
    asked_for = _device(device, choice)
    if choice != "auto":
        _engine_for(choice, asked_for)


class _Computed(NamedTuple):
    """How a run is or was computed."""

    engine: str
    device: str
    """A GPU is recorded by its name."""

    @property
    def kind(self) -> str:
        """The kind of device: cpu, mps or cuda."""
        return self.device if self.device in ("cpu", "mps") else "cuda"

    def differs(self, run: PlannedRun) -> str:
        """Return what the command asks for by name and is not so; empty if there is nothing."""
        engine = "" if run.accepts(self.engine) else f"the engine {run.engine}"
        device = "" if run.job.device in ("auto", self.kind) else f"on {run.job.device}"
        return f"{engine} {device}".strip()

    def __str__(self) -> str:
        return f"with the engine {self.engine} on {self.device}"


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
    others: list[tuple[PlannedRun, _Computed]] = []
    for run in runs:
        job = run.job
        if job.is_svm:  # computed by libsvm, whatever is asked for
            jobs.append(job)
        elif job.state() != "stopped":
            device = _device(job.device, run.engine)
            name = default(device) if run.engine == "auto" else run.engine
            jobs.append(replace(job, engine=name, device=device.type))
        else:
            begun, why = _begun(job)
            if begun is None:
                unresumable[job.name] = f"{why}; remove {job.partial} to have it made anew"
            elif begun.differs(run):
                others.append((run, begun))
            else:
                engine = _engine_for(begun.engine, _device(begun.kind))
                jobs.append(replace(job, engine=engine.name, device=engine.device.type))
    if others:
        remedy = "to go on as it was begun, or give --force to start over"
        raise RunFolderError(_refusal("begun", others, remedy))
    return jobs, unresumable


def refuse_other_engines(done: Iterable[tuple[PlannedRun, RunRow]]) -> None:
    """Refuse to take finished runs for runs of another engine or device that is asked for by name.

    Raises:
        RunFolderError: with all of them.
    """
    recorded = [(run, _Computed(row.engine, row.device.rpartition(" / ")[2])) for run, row in done]
    others = [(run, how) for run, how in recorded if not run.job.is_svm and how.differs(run)]
    if others:
        remedy = (
            "to accept what there is, give --force to make it anew, or --out DIR for a folder of "
            "its own"
        )
        raise RunFolderError(_refusal("made", others, remedy))


def _begun(job: Job) -> tuple[_Computed | None, str]:
    """Return how a stopped run was begun, or why it cannot be computed so here."""
    try:
        env = read_environment(job.partial)
    except RunFolderError:
        return None, f"{job.partial / ENVIRONMENT} does not tell what the run was begun with"
    begun = _Computed(env.engine, env.device)
    try:
        _engine_for(begun.engine, _device(begun.kind))
    except DaeError as error:
        return None, f"the run was begun {begun}, which cannot be had here ({error})"
    return begun, ""


def _refusal(verb: str, others: Sequence[tuple[PlannedRun, _Computed]], remedy: str) -> str:
    """Return a line for each run, and how a command takes it as it is."""
    lines = [f"{run.label}: was {verb} {how}, not {how.differs(run)}\n" for run, how in others]
    ways = []
    if any(not run.accepts(how.engine) for run, how in others):
        ways.append("leave --engine out")
    if any(run.job.device not in ("auto", how.kind) for run, how in others):
        ways.append("give --device auto")
    return f"{''.join(lines)}  {' and '.join(ways)} {remedy}"


def engine_for_counting(folder: Path) -> Engine:
    """Return the engine to count a finished run's errors with: its own, else the reference."""
    try:
        return _engine_for(read_environment(folder).engine, _device("cpu"))
    except DaeError:
        return _engine_for("torch", _device("cpu"))


def _engine_for(name: str, device: torch.device) -> Engine:
    from dae_cli.engines.engine import engine_for

    return engine_for(name, device)


def _device(name: str, choice: EngineChoice = "auto") -> torch.device:
    """Return the device; `auto` is the CPU for an engine that computes nowhere else."""
    from dae_cli.engines.engine import chosen_device

    return chosen_device("cpu" if (name, choice) == ("auto", "compiled") else name)
