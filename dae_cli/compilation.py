"""Compiling functions for the processor at hand, and keeping them for later processes."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from dae_cli.data.cache import cache_folder

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile a function at its first call, or load what an earlier process compiled.

    It is kept in the cache, in a folder named after the sources beside the function: Numba would
    not notice a change in another file than the function's own. Where the cache cannot be written
    to, each process compiles for itself, which takes a few seconds.
    """
    folder = _folder(Path(function.__code__.co_filename))
    if folder is None:
        return cast(F, numba.njit(function))
    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    try:
        dispatcher: Any = numba.njit(cache=True)(function)
        _forgive(dispatcher._cache)
        return cast(F, dispatcher)
    except RuntimeError:  # Numba finds no place after all
        return cast(F, numba.njit(function))
    finally:
        config.CACHE_DIR = before


def _forgive(kept: Any) -> None:
    """Let what is kept but damaged be compiled anew, and what cannot be written be forgotten."""
    load, save = kept.load_overload, kept.save_overload

    def load_or_nothing(*arguments: Any) -> Any:
        try:
            return load(*arguments)
        except Exception:  # whatever half a file makes of its reader
            with suppress(OSError):
                kept.flush()
            return None

    def save_if_possible(*arguments: Any) -> None:
        with suppress(OSError):
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
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None
