"""Which engine and device compute a run: those it was begun with, those asked for, or the default.

Engines agree within the rounding of float32, not to the bit. So a run has one engine and one kind
of device from its start to its end, whatever the default is where it goes on; asking for another
by name is refused, of a run that was stopped and of one that is done. Decided once, before any
worker starts: the results do not depend on the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import torch

from dae_cli.engines.engine import Engine, chosen_device, default_engine, engine_for
from dae_cli.engines.names import EngineChoice
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
    asked_for = _device(device, choice)
    if choice != "auto":
        engine_for(choice, asked_for)


class _Computed(Record):
    """What environment.json tells of how a run is computed."""

    engine: str
    """Also one that earlier versions had."""
    device: str

    @property
    def kind(self) -> str:
        """The kind of device: cpu, mps or cuda; a GPU is recorded by its name."""
        return self.device if self.device in ("cpu", "mps") else "cuda"

    def here(self) -> Engine:
        """Return the same on this machine.

        Raises:
            ConfigError: it cannot be had here.
        """
        return engine_for(self.engine, chosen_device(self.kind))


def settled(runs: Sequence[PlannedRun], watcher: Watcher) -> list[Job]:
    """Return the jobs of runs that are about to be computed, each with its engine and device.

    Raises:
        ConfigError: as above.
        RunFolderError: a stopped run was begun with another engine or device than is asked for,
            or with one that cannot be had here or that is not recorded.
    """
    if unfit := cannot_go_on(runs):
        raise RunFolderError("\n".join(f"{_name(run.job)}: {why}" for run, why in unfit))
    stopped = [run for run in _networks(runs) if run.job.state() == "stopped"]
    begun = {run.job.name: computed for run in stopped if (computed := _computed(run.job.partial))}
    _refuse_to_go_on([(run, begun[run.job.name]) for run in stopped if run.job.name in begun])
    default = cache(partial(default_engine, note=watcher.note))  # one note for all runs

    def settle(run: PlannedRun) -> Job:
        if run.job.is_svm:
            return run.job
        if computed := begun.get(run.job.name):
            same = computed.here()
            return replace(run.job, engine=same.name, device=same.device.type)
        device = _device(run.job.device, run.engine)
        engine = default(device) if run.engine == "auto" else run.engine
        return replace(run.job, engine=engine, device=device.type)

    return [settle(run) for run in runs]


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
        why, begun = "", _computed(run.job.partial)
        if begun is None:
            why = f"{run.job.partial / ENVIRONMENT} does not tell what the run was begun with"
        else:
            try:
                begun.here()
            except DaeError as error:
                why = f"the run was begun {_with(begun)}, which cannot be had here ({error})"
        if why:
            unfit.append((run, f"{why}; remove {run.job.partial} to have it made anew"))
    return unfit


def _networks(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """Return the runs that have a choice: SVMs are computed by libsvm, whatever is asked for."""
    return [run for run in runs if not run.job.is_svm]


def _refuse_to_go_on(stopped: Sequence[tuple[PlannedRun, _Computed]]) -> None:
    """Refuse to go on otherwise than runs were begun, all in one message."""
    others = [(r, b) for r, b in stopped if _asked_otherwise(r, b)]
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


def _device(name: str, choice: EngineChoice) -> torch.device:
    """Return the device; `auto` is the CPU for an engine that computes nowhere else."""
    return CPU if (name, choice) == ("auto", "compiled") else chosen_device(name)


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


def engine_for_counting(folder: Path) -> Engine:
    """Return the engine to count a finished run's errors with: its own, else the reference."""
    recorded = _computed(folder)
    try:
        return engine_for(recorded.engine if recorded else "torch", CPU)
    except DaeError:
        return engine_for("torch", CPU)
