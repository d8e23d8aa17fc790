"""How a running study reports its progress. Lower layers call a watcher and never print."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dae_cli.study.rows import RunRow


@dataclass(frozen=True)
class Position:
    """How far a run has got."""

    phase: str
    """pretrain, finetune, select (SVMs), test, or measure (filters)."""
    layer: int | None
    epoch: int
    """Number of finished epochs; for an SVM, of finished trials."""
    epochs: int
    """Maximum number of epochs of this phase or layer."""
    cost: float | None = None
    valid_error_percent: float | None = None
    fraction: float = 0.0
    """Share of the run's expected work that is done, 0 to 1; a guess during fine-tuning."""


class Watcher:
    """Receives progress; methods that are not overridden ignore it.

    Any method may be called from a thread other than the main one.
    """

    def note(self, text: str) -> None:
        """Show a line of text, for example that a download began or a source failed."""

    def started(self, run: str, resumed: bool) -> None:
        """A run started, or resumed from its checkpoint."""

    def moved(self, run: str, position: Position) -> None:
        """A run finished an epoch; not every epoch is reported."""

    def finished(self, row: RunRow) -> None:
        """A run is done or has failed (`row.error`)."""


class SendingWatcher(Watcher):
    """Sends every call as a message, for `receive` at the other end."""

    def __init__(self, send: Callable[[tuple[Any, ...]], None]) -> None:
        self._send = send

    def note(self, text: str) -> None:
        self._send(("note", text))

    def started(self, run: str, resumed: bool) -> None:
        self._send(("started", run, resumed))

    def moved(self, run: str, position: Position) -> None:
        self._send(("moved", run, position))


def receive(message: tuple[Any, ...], watcher: Watcher) -> None:
    """Pass a message of a `SendingWatcher` to a watcher."""
    name, *arguments = message
    getattr(watcher, name)(*arguments)
