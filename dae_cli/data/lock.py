"""One process at a time prepares a set; the others wait, then find it in the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dae_cli.errors import DataError

WAIT_SECONDS = 6 * 3600.0
"""Patience for the other process: longer than any download or recipe takes."""
POLL_SECONDS = 0.1


@contextmanager
def alone(folder: Path, name: str, note: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of ``name``, in the file ``folder/.NAME.lock``; wait if another holds it.

    The operating system frees the lock of a process that ends in any way, so the file may stay
    (removing it would let two processes in). ``note`` receives one line if there is a wait.
    Not to be nested for the same name.
    Raises DataError where the folder cannot be written, or when the wait has no end.
    """
    from filelock import FileLock, Timeout

    path = folder / f".{name}.lock"
    lock = FileLock(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            note(f"waiting for another dae process that prepares {name}")
            lock.acquire(timeout=WAIT_SECONDS, poll_interval=POLL_SECONDS)
    except Timeout as error:
        raise DataError(
            f"{path}: another dae process has prepared {name} for {WAIT_SECONDS / 3600:g} hours; "
            "end it, then try again"
        ) from error
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"{folder}: cannot be written ({reason}); set DAE_CACHE_DIR to another folder"
        ) from error
    try:
        yield
    finally:
        lock.release()
