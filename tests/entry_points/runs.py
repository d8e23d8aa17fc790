"""Runs: progress reports, saved checkpoints, and the title of a picture of filters."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dae_cli.commands import progress
from dae_cli.commands.progress import Display
from dae_cli.config.experiments import resolve_experiment
from dae_cli.study.run import run as runner
from dae_cli.study.run.filters import describe_corruption

__all__ = [
    "Place",
    "corruption_in_words",
    "report_every_epoch",
    "saved_checkpoints",
    "say_where_runs_are_every",
]


class Place(NamedTuple):
    """Progress of a run as reported to the display."""

    phase: str
    layer: int | None
    epoch: int
    epochs: int
    cost: float | None
    valid_error_percent: float | None
    share_done: float


def say_where_runs_are_every(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a log report progress after this many seconds without a line."""
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", seconds)


def report_every_epoch(monkeypatch: pytest.MonkeyPatch) -> list[Place]:
    """Make runs report every epoch, and return the list of their reports.

    By default they report at most five times a second.
    """
    places: list[Place] = []
    moved = Display.moved

    def listening(display: Display, run: str, position: Any) -> None:
        names = ("phase", "layer", "epoch", "epochs", "cost", "valid_error_percent", "fraction")
        places.append(Place(*(getattr(position, name) for name in names)))
        moved(display, run, position)

    monkeypatch.setattr(Display, "moved", listening)
    monkeypatch.setattr(runner, "STATUS_SECONDS", 0.0)
    return places


def saved_checkpoints(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which every saved checkpoint of a run appends its phase."""
    saved: list[str] = []
    module: Any = runner
    save = module.save_checkpoint

    def listening(path: Path, state: Any, expected: Any) -> None:
        save(path, state, expected)
        saved.append(state.phase)

    monkeypatch.setattr(module, "save_checkpoint", listening)
    return saved


def corruption_in_words(experiment: str, *overrides: str) -> str:
    """Return the description of the corruption in the title of a picture of filters."""
    settings: Any = resolve_experiment(experiment, overrides).experiment
    return describe_corruption(settings)
