"""Temporary files and folders in the cache; those of killed processes are swept."""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dae_cli.errors import DataError

PREFIX = ".download-"
PART = ".part"
STALE_SECONDS = 24 * 3600.0
"""Age at which a folder is swept even where its process cannot be looked up."""


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """A folder inside ``folder``, gone on exit; first sweeps what killed processes left.

    Raises DataError where ``folder`` cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        temporary = tempfile.TemporaryDirectory(
            prefix=f"{PREFIX}{owner()}-", dir=folder, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written ({error.strerror}); set DAE_CACHE_DIR to another folder"
        ) from error
    with temporary as name:
        yield Path(name)


def owner() -> str:
    """This process, as the names of its temporary files tell: machine-pid."""
    return f"{_machine()}-{os.getpid()}"


def sweep(folder: Path) -> None:
    """Remove the temporary files and folders in ``folder`` whose process is gone."""
    for left in folder.glob(f"{PREFIX}*"):
        if _is_stale(left, left.name.removeprefix(PREFIX)):
            shutil.rmtree(left, ignore_errors=True)
    for left in folder.glob(f".*{PART}"):
        if _is_stale(left, left.name.removesuffix(PART).rpartition("@")[2]):
            left.unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """The name under which ``path`` is written until it is whole; another at each call."""
    return path.with_name(f".{path.name}@{owner()}-{secrets.token_hex(4)}{PART}")


def _is_stale(left: Path, tag: str) -> bool:
    """Old, or made on this machine by a process that is gone (the folder may be shared)."""
    try:
        if time.time() - left.stat().st_mtime > STALE_SECONDS:
            return True
    except OSError:
        return False
    parts = tag.rsplit("-", 2)
    return (
        len(parts) == 3 and parts[0] == _machine() and parts[1].isdigit() and _gone(int(parts[1]))
    )


def _gone(pid: int) -> bool:
    if os.name == "nt":  # there, signal 0 is not a question
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        return False
    return False


def _machine() -> str:
    return re.sub(r"[^A-Za-z0-9.]", "_", platform.node()) or "unknown"
