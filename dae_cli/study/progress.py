"""What a running study reports to whoever watches it. Lower layers call this; they never print."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dae_cli.study.rows import RunRow


@dataclass(frozen=True)
class Position:
    """How far a run is."""

    phase: str
    """pretrain, finetune, select (of an SVM), test, or measure (of filters)."""
    layer: int | None
    epoch: int
    """Of an SVM, the number of finished trials."""
    epochs: int
    """The most epochs that this phase (or layer) can take."""
    cost: float | None = None
    valid_error_percent: float | None = None
    fraction: float = 0.0
    """Share of the run's expected work that is done, 0 to 1; a guess while fine-tuning."""


class Watcher:
    """Receives progress, and ignores it where a method is not overridden.

    Every method may be called from a thread that is not the main one.
    """

    def note(self, text: str) -> None:
        """Something worth a line happened (a download began, a source failed)."""

    def started(self, run: str, resumed: bool) -> None:
        """A run began, or resumed from its checkpoint."""

    def moved(self, run: str, position: Position) -> None:
        """A run finished an epoch; not every epoch is reported."""

    def finished(self, row: RunRow) -> None:
        """A run is done or has failed (`row.error`)."""


class SendingWatcher(Watcher):
    """Sends what it hears as messages, which `receive` takes at the other end."""

    def __init__(self, send: Callable[[tuple[Any, ...]], None]) -> None:
        self._send = send

    def note(self, text: str) -> None:
        self._send(("note", text))

    def started(self, run: str, resumed: bool) -> None:
        self._send(("started", run, resumed))

    def moved(self, run: str, position: Position) -> None:
        self._send(("moved", run, position))


def receive(message: tuple[Any, ...], watcher: Watcher) -> None:
    """Let a watcher hear the message of a `SendingWatcher`."""
    name, *arguments = message
    getattr(watcher, name)(*arguments)
