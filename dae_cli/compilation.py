"""Compile functions for this processor and cache them for later processes.

The index of Numba's cache is a pickle, which can run code when it is loaded. It is only loaded from
a folder that no other user can enter.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import caching

from dae_cli.files import cache_folder

F = TypeVar("F", bound=Callable[..., object])
FunctionCache: Any = caching.FunctionCache


def compiled(function: F) -> F:
    """Compile a function at its first call, or load what an earlier process compiled.

    Without a cache, each process compiles for itself, which takes a few seconds.
    """
    dispatcher: Any = numba.njit(error_model="numpy")(function)
    if folder := private_cache(Path(function.__code__.co_filename).parent):
        cast(Any, numba.config).CACHE_DIR = str(folder)
        with suppress(RuntimeError):  # Numba cannot use the folder
            dispatcher._cache = _Cache(function)
    return cast(F, dispatcher)


def inlined(function: F) -> F:
    """Compile a function as a part of its callers."""
    return cast(F, numba.njit(error_model="numpy")(function))


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache of a function; when it fails, the function is compiled again."""

    def load_overload(self, *arguments: Any) -> Any:
        try:
            return super().load_overload(*arguments)
        except Exception:  # a truncated file can raise anything
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, *arguments: Any) -> None:
        with suppress(OSError):
            super().save_overload(*arguments)


@cache
def private_cache(sources: Path) -> Path | None:
    """Return the cache folder, of mode 0700, for functions compiled from a folder of sources.

    Its name is a digest of all source files, because Numba only notices changes in the function's
    own file. None if the folder cannot be written or other users can enter it.
    """
    digest = hashlib.sha256()
    for path in sorted(sources.glob("*.py")):
        digest.update(path.read_bytes())
    folder = cache_folder() / "kernels" / digest.hexdigest()[:12]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if not _is_private(folder):
            return None
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


def _is_private(folder: Path) -> bool:
    """Return whether a folder belongs to this user and no other user may enter it."""
    about = folder.lstat()  # not of the target of a link
    private = stat.S_ISDIR(about.st_mode) and not about.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    return private and about.st_uid == os.getuid()
