"""matplotlib as it is shipped, whatever surrounds the command.

While it is imported, it reads the variables MPLBACKEND, MATPLOTLIBRC and MPLCONFIGDIR, a file
``matplotlibrc`` of the current folder, and the user's own. What they say may be unknown here or
unreadable: a notebook, for one, sets a backend of its own for every command that it starts.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, nullcontext
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

BACKEND = "agg"
"""Draws into memory; what a kernel or a desktop would show pictures with is of no use here."""


@cache
def load_matplotlib() -> None:
    """Import what plots are drawn with; early, so that nothing of it can fail after the runs."""
    found = find_spec("matplotlib")
    package = Path(found.origin).parent if found and found.origin else Path()
    shipped = package / "mpl-data"
    # It warns of its users' settings and folders, which are of no concern here.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with (
        _environment(MPLBACKEND=BACKEND, MATPLOTLIBRC=str(shipped)),
        chdir(shipped) if shipped.is_dir() else nullcontext(),
    ):
        try:
            _import()
        except Exception:  # its folder for settings and fonts is of no use: give it one
            folder = mkdtemp(prefix="dae-matplotlib-")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            with _environment(MPLCONFIGDIR=folder):
                _import()


@contextmanager
def plain_style(settings: Mapping[str, Any]) -> Iterator[None]:
    """The defaults of matplotlib with ``settings`` over them, put back afterwards."""
    load_matplotlib()
    # Not its module `style`, which reads the user's own styles when it is imported.
    from matplotlib import rc_context, rcParamsDefault

    values: Any = {name: value for name, value in rcParamsDefault.items() if name != "backend"}
    values.update(settings)
    with rc_context(values):
        yield


def _import() -> None:
    for name in ("backends.backend_agg", "figure", "font_manager"):
        import_module(f"matplotlib.{name}")


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
