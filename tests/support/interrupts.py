"""Signals at a moment that does not depend on how fast the machine is: for `child(prepare=…)`."""

from __future__ import annotations

import functools
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


def interrupt_when_written(name: str, times: int = 1) -> tuple[Callable[[], None], ...]:
    """Let a command interrupt itself once it has written a file of this name so often."""
    return (functools.partial(_watch, name, times),)


def _watch(name: str, times: int) -> None:
    replace: Any = os.replace
    written = 0

    def replacing(source: Any, target: Any, **how: Any) -> None:
        nonlocal written
        replace(source, target, **how)
        written += Path(target).name == name
        if Path(target).name == name and written == times:
            os.kill(os.getpid(), signal.SIGINT)

    setattr(os, "replace", replacing)  # noqa: B010


def signal_itself(number: int, condition: Callable[[], object]) -> None:
    """For `prepare`: have the command send itself a signal as soon as something is so.

    A busy machine delays the command and its signal alike.
    """

    def watch() -> None:
        is_so = False
        while not is_so:
            time.sleep(0.002)
            with suppress(OSError):  # what is looked at may get its final name just now
                is_so = bool(condition())
        os.kill(os.getpid(), number)

    threading.Thread(target=watch, daemon=True).start()
