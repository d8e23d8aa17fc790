"""Compiling functions for the processor at hand, and keeping them for later processes.

Numba's index of what is kept is a pickle, so loading it runs what is in it. It is loaded from a
folder only where this user alone can have put it there.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from dae_cli.files import cache_folder

F = TypeVar("F", bound=Callable[..., object])

# Kernels work on addresses, which Python cannot; NUMBA_DISABLE_JIT is for debugging other programs.
cast(Any, numba.config).DISABLE_JIT = 0


def compiled(function: F) -> F:
    """Compile a function at its first call, or load what an earlier process compiled.

    It is kept in the cache, in a folder named after the sources beside the function: Numba would
    not notice a change in another file than the function's own. Where the cache cannot be written
    to, or others can write to it, each process compiles for itself, which takes a few seconds.
    """
    folder = _folder(Path(function.__code__.co_filename))
    if folder is None:
        return cast(F, numba.njit(function))
    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    try:
        with _for_us_alone():
            dispatcher: Any = numba.njit(cache=True)(function)
        _guard(dispatcher._cache, folder)
        return cast(F, dispatcher)
    except RuntimeError:  # Numba finds no place after all
        return cast(F, numba.njit(function))
    finally:
        config.CACHE_DIR = before


def _guard(kept: Any, folder: Path) -> None:
    """Let nothing be loaded that others may have put there, and damage or a full disk pass.

    What is damaged is compiled anew, and what cannot be written is forgotten.
    """
    load, save = kept.load_overload, kept.save_overload

    def load_or_nothing(*arguments: Any) -> Any:
        if not _is_ours_alone(folder):
            return None
        try:
            return load(*arguments)
        except Exception:  # whatever half a file makes of its reader
            with suppress(OSError):
                kept.flush()
            return None

    def save_if_possible(*arguments: Any) -> None:
        if not _is_ours_alone(folder):
            return
        with suppress(OSError), _for_us_alone():
            save(*arguments)

    kept.load_overload, kept.save_overload = load_or_nothing, save_if_possible


@cache
def _folder(source: Path) -> Path | None:
    """Return where to keep what is compiled from a source; None where nothing can be written."""
    digest = hashlib.sha256()
    for path in sorted(source.parent.glob("*.py")):
        digest.update(path.read_bytes())
    folder = cache_folder() / "kernels" / digest.hexdigest()[:12]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _for_us_alone():
            folder.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder if _is_ours_alone(folder) else None
    except OSError:
        return None


def _is_ours_alone(folder: Path) -> bool:
    """Tell whether the folder and all in it are this user's, and nobody else may write there."""
    if os.name != "posix":
        return True  # the cache lies in the user's profile, which the system keeps from others
    try:
        return all(_may_be_loaded(path) for path in (folder, *folder.rglob("*")))
    except OSError:
        return False


def _may_be_loaded(path: Path) -> bool:
    try:
        about = path.lstat()
    except FileNotFoundError:  # another process has just given its file the final name
        return True
    plain = stat.S_ISDIR(about.st_mode) or stat.S_ISREG(about.st_mode)  # a link leads elsewhere
    return plain and about.st_uid == os.getuid() and not about.st_mode & 0o022


@contextmanager
def _for_us_alone() -> Iterator[None]:
    """Have files and folders made in the block be nobody else's, however lax the umask is."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
