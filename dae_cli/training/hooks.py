"""What training tells the outside after each epoch."""

from __future__ import annotations

from typing import Protocol

from dae_cli.training.state import TrainingState


class Hooks(Protocol):
    """Called by the training loops; progress, metrics and checkpoints hang here."""

    def epoch_done(self, state: TrainingState) -> None:
        """An epoch is complete and `state` is whole: it may be saved."""


class NoHooks:
    """Hooks for a run that nobody watches."""

    def epoch_done(self, state: TrainingState) -> None:
        """Do nothing."""
