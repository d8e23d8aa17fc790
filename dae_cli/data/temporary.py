"""Temporary folders in the cache; those of killed processes are swept."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dae_cli.errors import DataError
from dae_cli.files import is_stale, owner, sweep

PREFIX = ".download-"


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """A folder inside ``folder``, gone on exit; first sweeps what killed processes left.

    Raises DataError where ``folder`` cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep_cache(folder)
        temporary = tempfile.TemporaryDirectory(
            prefix=f"{PREFIX}{owner()}-", dir=folder, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written ({error.strerror}); set DAE_CACHE_DIR to another folder"
        ) from error
    with temporary as name:
        yield Path(name)


def sweep_cache(folder: Path) -> None:
    """Remove the temporary files and folders in ``folder`` whose process is gone."""
    for left in folder.glob(f"{PREFIX}*"):
        if is_stale(left, left.name.removeprefix(PREFIX)):
            shutil.rmtree(left, ignore_errors=True)
    sweep(folder)
