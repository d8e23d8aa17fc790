"""Runs: what is told while one is made, and what was done to its filters."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from dae_cli.commands.console import Lines
from dae_cli.config.experiments import resolve_experiment
from dae_cli.study.run import keeper
from dae_cli.study.run.corruption import corruption_told

__all__ = ["Place", "hear_every_epoch", "what_was_done"]


class Place(NamedTuple):
    """Where a run is said to be."""

    phase: str
    layer: int | None
    epoch: int
    epochs: int
    cost: float | None
    valid_error_percent: float | None
    share_done: float


def hear_every_epoch(monkeypatch: pytest.MonkeyPatch) -> list[Place]:
    """Have runs tell each epoch, however quick it was, and return the list of what they tell.

    Without it they tell five places a second.
    """
    places: list[Place] = []
    tell = Lines.moved

    def listening(lines: Lines, run: str, position: Any) -> None:
        names = ("phase", "layer", "epoch", "epochs", "cost", "valid_error_percent", "fraction")
        places.append(Place(*(getattr(position, name) for name in names)))
        tell(lines, run, position)

    monkeypatch.setattr(Lines, "moved", listening)
    monkeypatch.setattr(keeper, "STATUS_SECONDS", 0.0)
    return places


def what_was_done(experiment: str, *overrides: str) -> str:
    """Return the words over a picture of filters: what was done while they were trained."""
    settings: Any = resolve_experiment(experiment, overrides).experiment
    return corruption_told(settings)
