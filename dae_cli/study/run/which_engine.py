"""Which engine and device compute a run: those asked for, those it was begun with, or the fastest.

Engines agree within the rounding of float32, not to the bit. So a run has one engine and one kind
of device from its start to its end, whatever is the fastest where it goes on; asking for another
by name is refused, of a run that was stopped and of one that is done. Decided once, before any
worker starts: the results do not depend on the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from dae_cli.engines.choice import fastest_engine
from dae_cli.engines.engine import Engine, chosen_device, engine_for
from dae_cli.engines.names import EngineChoice, EngineName
from dae_cli.errors import DaeError, RunFolderError
from dae_cli.study.progress import Watcher
from dae_cli.study.run.folder import ENVIRONMENT, Job, PlannedRun
from dae_cli.study.run.records import Record, read_record

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


class _Computed(Record):
    """What environment.json tells of how a run is computed."""

    engine: EngineName
    device: str

    @property
    def kind(self) -> str:
        """The kind of device: cpu, mps or cuda; a GPU is recorded by its name."""
        return self.device if self.device in ("cpu", "mps") else "cuda"


def settled(runs: Sequence[PlannedRun], watcher: Watcher) -> list[Job]:
    """Return the jobs of runs that are about to be computed, each with its engine and device.

    Raises:
        ConfigError: as above.
        RunFolderError: a stopped run was begun with another engine or device than is asked for,
            or with one that cannot be had here or that is not recorded.
    """
    begun = {
        run.job.name: _computed(run.job.partial)
        for run in _networks(runs)
        if run.job.state() == "stopped"
    }
    _refuse_to_go_on([(run, begun[run.job.name]) for run in runs if run.job.name in begun])
    if unfit := cannot_go_on(runs):
        raise RunFolderError("\n".join(f"{_name(run.job)}: {why}" for run, why in unfit))
    fastest: EngineName | None = None
    jobs = []
    for run in runs:
        if run.job.is_svm:
            jobs.append(run.job)
            continue
        before = begun.get(run.job.name)
        engine = before.engine if before else _engine_asked_for(run)
        if engine is None:
            engine = fastest = fastest or fastest_engine(watcher.note)
        device = before.kind if before else _device(run.job.device, engine).type
        jobs.append(replace(run.job, engine=engine, device=device))
    return jobs


def refuse_other_engine(runs: Sequence[PlannedRun]) -> None:
    """Refuse to pass runs that are done for runs of the engine or device that is asked for.

    For a command that would skip what is done; not with --force, which makes it anew.

    Raises:
        RunFolderError: done runs were made otherwise; the message lists them.
    """
    done = [run for run in _networks(runs) if run.job.state() == "done"]
    others = [(r, m) for r in done if (m := _computed(r.job.folder)) and _asked_otherwise(r, m)]
    if others:
        raise RunFolderError(
            _listed(
                f"{_name(r.job)}: was made {_with(m)}, not {_asked_otherwise(r, m)}"
                for r, m in others
            )
            + f"{_leave_open(others)} to accept what there is, give --force to make it anew, "
            "or --out DIR for a folder of its own"
        )


def cannot_go_on(runs: Sequence[PlannedRun]) -> list[tuple[PlannedRun, str]]:
    """Return the stopped runs that cannot go on as they were begun, and why; others can."""
    unfit = []
    for run in _networks(runs):
        if run.job.state() != "stopped":
            continue
        begun, path = _computed(run.job.partial), run.job.partial / ENVIRONMENT
        if begun is None:
            why = f"{path} does not tell what the run was begun with"
        elif not _is_here(begun) and not _asked_otherwise(run, begun):
            why = f"the run was begun {_with(begun)}, which cannot be had here"
        else:
            continue
        unfit.append((run, f"{why}; remove {run.job.partial} to have it made anew"))
    return unfit


def _networks(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """Return the runs that have a choice: SVMs are computed by libsvm, whatever is asked for."""
    return [run for run in runs if not run.job.is_svm]


def _refuse_to_go_on(stopped: Sequence[tuple[PlannedRun, _Computed | None]]) -> None:
    """Refuse to go on otherwise than runs were begun, all in one message."""
    others = [(r, b) for r, b in stopped if b is not None and _asked_otherwise(r, b)]
    if others:
        raise RunFolderError(
            _listed(
                f"{_name(r.job)}: was begun {_with(b)}, not {_asked_otherwise(r, b)}"
                for r, b in others
            )
            + f"{_leave_open(others)} to go on as it was begun, or give --force to start over"
        )


def _asked_otherwise(run: PlannedRun, told: _Computed) -> str:
    """Return what is asked for by name and is not so; empty if all is as asked for."""
    engine = "" if run.engine in ("auto", told.engine) else f"the engine {run.engine}"
    device = "" if run.job.device in ("auto", told.kind) else f"on {run.job.device}"
    return f"{engine} {device}".strip()


def _leave_open(others: Sequence[tuple[PlannedRun, _Computed]]) -> str:
    """Return what not to ask for, so that a run is taken as it is."""
    engine = any(run.engine not in ("auto", told.engine) for run, told in others)
    device = any(run.job.device not in ("auto", told.kind) for run, told in others)
    ways = [
        *(["leave --engine out"] if engine else []),
        *(["give --device auto"] if device else []),
    ]
    return " and ".join(ways)


def _is_here(begun: _Computed) -> bool:
    try:
        engine_for(begun.engine, chosen_device(begun.kind))
    except DaeError:
        return False
    return True


def _engine_asked_for(run: PlannedRun) -> EngineName | None:
    """Return the engine of a new run; None where the fastest may be taken."""
    if run.engine != "auto":
        return run.engine
    return None if _device(run.job.device, "torch") == CPU else "torch"


def _device(name: str, engine: EngineName) -> torch.device:
    """Return the device; `auto` is the CPU for an engine that computes nowhere else."""
    return CPU if name == "auto" and engine != "torch" else chosen_device(name)


def _name(job: Job) -> str:
    return f"{job.cell}, seed {job.experiment.seed}"


def _with(told: _Computed) -> str:
    return f"with the engine {told.engine} on {told.device}"


def _listed(lines: Iterable[str]) -> str:
    """One problem a line; the way out follows on a line of its own."""
    return "".join(f"{line}\n" for line in lines) + "  "


def _computed(folder: Path) -> _Computed | None:
    """Return what environment.json of a run tells; None if it cannot be read."""
    try:
        return read_record(folder / ENVIRONMENT, _Computed)
    except RunFolderError:
        return None


def recorded_engine(folder: Path) -> EngineName | None:
    """Return the engine that environment.json of a run tells; None if it tells none."""
    told = _computed(folder)
    return told.engine if told else None


def engine_for_counting(folder: Path) -> Engine:
    """Return the engine to count a finished run's errors with: its own, else the reference."""
    own = recorded_engine(folder) or "torch"
    try:
        return engine_for(own, CPU)
    except DaeError:
        return engine_for("torch", CPU)
