"""Signals at a moment that does not depend on the machine's speed, for `child(prepare=…)`."""

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
    """Make a command interrupt itself once it has written a file of this name `times` times."""
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
    """For `prepare`: make the command send itself a signal as soon as a condition is true.

    A busy machine delays the command and its signal alike.
    """

    def watch() -> None:
        is_true = False
        while not is_true:
            time.sleep(0.002)
            with suppress(OSError):  # a file may be renamed meanwhile
                is_true = bool(condition())
        os.kill(os.getpid(), number)

    threading.Thread(target=watch, daemon=True).start()
