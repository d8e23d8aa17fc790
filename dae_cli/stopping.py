"""Being asked to stop: Ctrl-C, SIGTERM of a scheduler, SIGHUP of a terminal that was closed.

A signal ends the command at once, wherever it is, but for a `Stop` that defers it: then the first
one is only noted, so that the step can be finished and a checkpoint kept; the second ends at once.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from types import FrameType
from typing import Protocol

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
LOOK_SECONDS = 0.2
"""Between two looks of a worker whether it is to stop."""
ONE_AND_THE_SAME = 0.3
"""Seconds in which signals count as one: some senders signal a process and then its group."""


class Interrupted(BaseException):
    """A signal asked the command to end; no KeyboardInterrupt, of which Typer thinks it knows.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell reports of a process that the signal ended: 130, 143 or 129."""
        return 128 + self.number

    @property
    def word(self) -> str:
        """How it is told."""
        return "interrupted" if self.number == signal.SIGINT else "terminated"


class Stop(Protocol):
    """Asked in the middle of a run whether to go on."""

    def asked(self) -> int:
        """Return the number of the signal that asked to stop; 0 for none. Quick."""

    def deferred(self) -> AbstractContextManager[None]:
        """Within it the first signal is only noted: whoever works there looks at `asked`."""


class NeverStop:
    """Nobody asks."""

    def asked(self) -> int:
        """Return 0."""
        return 0

    def deferred(self) -> AbstractContextManager[None]:
        """Change nothing."""
        return nullcontext()


def raise_when_signalled() -> None:
    """Let every signal to stop end what the main thread does by `Interrupted`.

    Those that this process was started deaf to stay unheard (nohup, a shell's background job).
    """
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise)


def end_when_signalled() -> None:
    """Let the system end the process: at its exit there is nothing left to be told."""
    for number in SIGNALS:
        if signal.getsignal(number) is _raise:
            signal.signal(number, signal.SIG_DFL)


def _raise(number: int, _frame: FrameType | None) -> None:
    global _raised_at
    before, _raised_at = _raised_at, time.monotonic()
    if _raised_at - before > ONE_AND_THE_SAME:
        raise Interrupted(number)


_raised_at = -ONE_AND_THE_SAME


class SignalStop:
    """Listens to the signals of this process; where it is not in the main thread, to none."""

    def __init__(self, tell: Callable[[], None]) -> None:
        """Listen. `tell` is called once, when the first signal is deferred."""
        self._tell = tell
        self._number = 0
        self._at = 0.0

    def asked(self) -> int:
        """Return the number of the signal that was deferred; 0 for none."""
        return self._number

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer the first signal within this context; another one ends it at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}
        heard = {n: was for n, was in before.items() if was not in (None, signal.SIG_IGN)}
        try:
            for number in heard:
                signal.signal(number, self._heard)
            yield
        finally:
            for number, was in heard.items():
                signal.signal(number, was)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._number and now - self._at > ONE_AND_THE_SAME:
            raise Interrupted(number)
        if not self._number:
            self._number, self._at = number, now
            with suppress(RuntimeError, OSError):  # in the midst of writing to the same stream
                self._tell()


class WorkerStop:
    """In a worker process: the command asks by SIGTERM, as a scheduler does.

    What the terminal sends to all its processes is left to the command, which decides.
    """

    def __init__(self) -> None:
        """Listen; the process was started with all signals blocked."""
        self._number = 0
        for number in SIGNALS:
            signal.signal(number, self._heard if number == signal.SIGTERM else signal.SIG_IGN)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def asked(self) -> int:
        """Return SIGTERM's number if it was heard, else 0."""
        return self._number

    def deferred(self) -> AbstractContextManager[None]:
        """Change nothing: all is deferred here, and the command ends who takes too long."""
        return nullcontext()

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        self._number = number
