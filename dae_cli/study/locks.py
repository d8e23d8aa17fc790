"""One process at a time makes a run, or writes the tables of a study.

The operating system frees the lock of a process that ends in any way, so a lock is never stale:
whoever comes next takes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dae_cli.errors import DaeError
from dae_cli.files import unwritable


class HeldError(DaeError):
    """Another process holds the lock."""


@contextmanager
def hold(path: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock file `path` and remove it afterwards.

    Raises:
        HeldError: another process holds it, and still did after `wait` seconds.
        OutputError: the folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        lock.acquire(timeout=wait, poll_interval=0.1)
    except Timeout:
        raise HeldError(f"{path}: another dae process holds it") from None
    except (OSError, NotImplementedError) as error:
        reason = error if isinstance(error, OSError) else OSError(str(error))
        raise unwritable(path, reason) from error
    try:
        yield
    finally:
        # While it is held: who waits for it finds it gone and makes another (filelock looks).
        with suppress(OSError):
            path.unlink(missing_ok=True)
        lock.release()
