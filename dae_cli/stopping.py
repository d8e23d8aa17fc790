"""Being asked to stop: Ctrl-C, SIGTERM of a scheduler, SIGHUP of a terminal that was closed.

A signal ends the command at once, wherever it is, unless a `StopRequest` delays it: then the first
one is only noted, so that the step can be finished and a checkpoint saved; the second ends at once.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ONE_AND_THE_SAME = 0.3
"""Seconds in which signals count as one: some senders signal a process and then its group."""


class Interrupted(BaseException):
    """A signal asked the command to end; no KeyboardInterrupt, of which Typer thinks it knows."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell reports of a process that the signal ended: 130, 143 or 129."""
        return 128 + self.number

    @property
    def word(self) -> str:
        """What the message says."""
        return "interrupted" if self.number == signal.SIGINT else "terminated"


def raise_when_signalled() -> None:
    """Let every signal to stop end what the main thread does by `Interrupted`.

    Those that this process was started deaf to stay unheard (nohup, a shell's background job).
    """
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise)


def end_when_signalled() -> None:
    """Let the system end the process: at its exit there is nothing left to be reported."""
    for number in SIGNALS:
        if signal.getsignal(number) is _raise:
            signal.signal(number, signal.SIG_DFL)


def _raise(number: int, _frame: FrameType | None) -> None:
    global _raised_at
    before, _raised_at = _raised_at, time.monotonic()
    if _raised_at - before > ONE_AND_THE_SAME:
        raise Interrupted(number)


_raised_at = -ONE_AND_THE_SAME


class StopRequest:
    """Whether a signal has asked to stop; whoever works for long looks at `signal` now and then."""

    def __init__(self, on_signal: Callable[[], None] = lambda: None) -> None:
        self._on_signal = on_signal
        self._number = 0
        self._at = 0.0

    @property
    def signal(self) -> int:
        """The number of the signal that asked to stop; 0 for none. Quick."""
        return self._number

    def request(self, number: int) -> None:
        """Ask to stop, as the first signal does."""
        if not self._number:
            self._number, self._at = number, time.monotonic()
            with suppress(RuntimeError, OSError):  # in the midst of writing to the same stream
                self._on_signal()

    @contextmanager
    def delay_signals(self) -> Iterator[None]:
        """Only note the first signal within this context; another one ends it at once.

        Where this is not the main thread, none is heard.
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
        if self._number and time.monotonic() - self._at > ONE_AND_THE_SAME:
            raise Interrupted(number)
        self.request(number)


class WorkerStopRequest(StopRequest):
    """In a worker process: SIGTERM asks to stop, however often it comes.

    What the terminal sends to all its processes is left to the command, which decides.
    """

    def __init__(self) -> None:
        """Listen; the process was started with all signals blocked."""
        super().__init__()
        for number in SIGNALS:
            signal.signal(number, self._handle if number == signal.SIGTERM else signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    @contextmanager
    def delay_signals(self) -> Iterator[None]:
        """Change nothing: all are delayed."""
        yield

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.request(number)
