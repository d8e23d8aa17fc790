"""Compiling functions for the processor at hand, and keeping them for later processes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from dae_cli.data.cache import cache_folder

F = TypeVar("F", bound=Callable[..., object])

_SOURCES = ("vectors.py", "tiles.py", "curves.py", "kernels.py")


def compiled(function: F) -> F:
    """Compile a function at its first call, or load what an earlier process compiled.

    It is kept in the cache, in a folder named after the sources: Numba would not notice that a
    tile has changed, which lies in another file than the kernel. Where the cache cannot be
    written to, each process compiles for itself, which takes a few seconds.
    """
    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(_folder())
    try:
        return cast(F, numba.njit(cache=True)(function))
    except (RuntimeError, OSError):
        return cast(F, numba.njit(function))
    finally:
        config.CACHE_DIR = before


def _folder() -> Path:
    here, digest = Path(__file__).parent, hashlib.sha256()
    for name in _SOURCES:
        digest.update((here / name).read_bytes())
    return cache_folder() / "kernels" / digest.hexdigest()[:12]
