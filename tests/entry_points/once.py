"""Make commands in the tests' process read a data file and draw the same plot only once.

Both depend only on their arguments, and take most of the time of a tiny study. Commands in
separate processes do them each time.
"""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dae_cli.data.sources  # noqa: F401 - imported first, so it keeps the function unpatched
from dae_cli.data import cache, user_files
from dae_cli.files import write_whole
from dae_cli.study.report import pictures, render

__all__ = ["compile_templates", "draw_each_time", "read_and_draw_once"]

Function = Callable[..., Any]
_EACH_TIME: list[bool] = []
"""Not empty while every plot is drawn."""


@functools.cache
def read_and_draw_once() -> None:
    """Make functions of the package remember their results for the same file or data."""
    digest = cache.checked_entry
    vars(cache).update(
        read_entry=_once_a_file(cache.read_entry, most=2),  # 40 MB each
        checked_entry=_once_a_file(lambda *words: (None, digest(*words)[1])),
    )
    vars(user_files).update(file_digest=_once_a_file(cache.file_digest))
    for name in ("plot_errors", "plot_learning"):
        vars(pictures)[name] = _drawn_once(getattr(pictures, name))


def compile_templates() -> None:
    """Compile the templates of reports, which Jinja then keeps."""
    environment = render._environment()
    for name in environment.list_templates(extensions=["j2"]):
        environment.get_template(name)


@contextmanager
def draw_each_time() -> Iterator[None]:
    """Draw every plot, for tests that look at plots."""
    _EACH_TIME.append(True)
    yield
    _EACH_TIME.pop()


def _once_a_file(function: Function, most: int = 1000) -> Function:
    """Remember at most `most` results, each until its file changes."""
    results: dict[tuple[object, ...], Any] = {}

    def remembered(path: Path, *others: Any) -> Any:
        try:
            about = path.stat()
        except OSError:
            return function(path, *others)
        key = (path, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns, *others)
        if key not in results:
            results[key] = function(path, *others)
        while len(results) > most:
            del results[next(iter(results))]
        return results[key]

    return remembered


def _drawn_once(plot: Function) -> Function:
    """Remember the bytes of a plot by its data."""
    drawn: dict[bytes, bytes] = {}

    def remembered(series: Any, path: Path) -> None:
        key = pickle.dumps(series)
        if key in drawn and not _EACH_TIME:
            write_whole(path, drawn[key])
        else:
            plot(series, path)
            drawn[key] = path.read_bytes()

    return remembered
