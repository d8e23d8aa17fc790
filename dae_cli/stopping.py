"""Signals to stop: Ctrl-C, SIGTERM from a scheduler, SIGHUP from a closed terminal.

A signal ends the command at once unless a `StopRequest` delays it. Then the first signal is only
recorded, so that a step can finish and a checkpoint be saved, and the second ends the command.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAME_SIGNAL = 0.3
"""Seconds in which signals count as one: some senders signal a process and then its group."""


class Interrupted(BaseException):
    """A signal asked the command to end; not a KeyboardInterrupt, which Typer would handle."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    @property
    def exit_code(self) -> int:
        """The exit code that a shell reports for the signal: 130, 143 or 129."""
        return 128 + self.number

    @property
    def word(self) -> str:
        """The word in the message."""
        return "interrupted" if self.number == signal.SIGINT else "terminated"


def raise_when_signalled() -> None:
    """Raise `Interrupted` in the main thread on every signal to stop.

    Signals ignored since the start of the process stay ignored (nohup, background jobs).
    """
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise)


def end_when_signalled() -> None:
    """Let signals end the process without a message, at its exit."""
    for number in SIGNALS:
        if signal.getsignal(number) is _raise:
            signal.signal(number, signal.SIG_DFL)


def _raise(number: int, _frame: FrameType | None) -> None:
    global _raised_at
    before, _raised_at = _raised_at, time.monotonic()
    if _raised_at - before > SAME_SIGNAL:
        raise Interrupted(number)


_raised_at = -SAME_SIGNAL


class StopRequest:
    """A request to stop by a signal; long computations check `signal` regularly."""

    def __init__(self, on_signal: Callable[[], None] = lambda: None) -> None:
        self._on_signal = on_signal
        self._number = 0
        self._at = 0.0

    @property
    def signal(self) -> int:
        """The number of the signal that asked to stop; 0 for none. Cheap to read."""
        return self._number

    def request(self, number: int) -> None:
        """Ask to stop, as the first signal does."""
        if not self._number:
            self._number, self._at = number, time.monotonic()
            with suppress(RuntimeError, OSError):  # the stream is being written to
                self._on_signal()

    @contextmanager
    def delay_signals(self) -> Iterator[None]:
        """Record the first signal within this context; a second one ends it at once.

        Does nothing in a thread other than the main one.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}
        heard = {n: was for n, was in before.items() if was not in (None, signal.SIG_IGN)}
        try:
            for number in heard:
                signal.signal(number, self._handle)
            yield
        finally:
            for number, was in heard.items():
                signal.signal(number, was)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._number and time.monotonic() - self._at > SAME_SIGNAL:
            raise Interrupted(number)
        self.request(number)


class WorkerStopRequest(StopRequest):
    """The request in a worker process: every SIGTERM asks to stop.

    Signals from the terminal are ignored; the command handles them.
    """

    def __init__(self) -> None:
        """Install the handlers; the process was started with all signals blocked."""
        super().__init__()
        for number in SIGNALS:
            signal.signal(number, self._handle if number == signal.SIGTERM else signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    @contextmanager
    def delay_signals(self) -> Iterator[None]:
        """Do nothing, because all signals are delayed."""
        yield

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.request(number)
