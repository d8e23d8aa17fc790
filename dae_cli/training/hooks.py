"""What training asks and tells the outside; progress, metrics and checkpoints hang here."""

from __future__ import annotations

from typing import Protocol

from dae_cli.training.state import TrainingState


class Hooks(Protocol):
    """Called by the training loops. A hook that raises ends the training where it stands."""

    def due(self) -> bool:
        """Asked after each step, so it must be quick: is the state wanted now?"""

    def keep(self, state: TrainingState) -> None:
        """It was due: `state` is whole, in the middle of an epoch (`state.interim`)."""

    def epoch_done(self, state: TrainingState) -> None:
        """An epoch is complete and `state` is whole: it may be saved."""

    def phase_done(self, state: TrainingState) -> None:
        """A layer is pretrained, or fine-tuning is over; `state` stands where the next begins."""


class NoHooks:
    """Hooks for a run that nobody watches."""

    def due(self) -> bool:
        """Never."""
        return False

    def keep(self, state: TrainingState) -> None:
        """Do nothing."""

    def epoch_done(self, state: TrainingState) -> None:
        """Do nothing."""

    def phase_done(self, state: TrainingState) -> None:
        """Do nothing."""
