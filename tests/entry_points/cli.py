"""The command line as Typer runs it."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dae_cli.commands.app import app
from dae_cli.files import write_whole

__all__ = ["app", "dae_with_numerics", "draw_plots_once"]

_WITH_NUMERICS = """\
import json, sys
import dae_cli.training.version as version
version.NUMERICS_VERSION = int(sys.argv[1])
from dae_cli.commands.app import app
for words in json.loads(sys.argv[2]):
    if code := app(words, prog_name="dae", standalone_mode=False):
        sys.exit(code)
"""


def dae_with_numerics(numerics: int, *commands: Sequence[str]) -> None:
    """Run commands of a dae whose numerics have another version, in a process of its own."""
    command = [sys.executable, "-c", _WITH_NUMERICS, str(numerics), json.dumps(commands)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def draw_plots_once(folder: Path) -> None:
    """Draw no plot again that was drawn before, which takes half of a command on a small study.

    The same values give the same picture, until a source beside the function changes.
    """
    from dae_cli.study.report import figures

    plots = ("error_vs_destruction", "learning_curves", "plot_errors", "plot_learning")
    for name in plots:
        if draw := getattr(figures, name, None):
            sources = sorted(Path(draw.__code__.co_filename).parent.glob("*.py"))
            made_of = b"".join(path.read_bytes() for path in sources)
            made_of += f"{version('matplotlib')} {version('pillow')} {name}".encode()
            setattr(figures, name, partial(_drawn_once, folder, draw, made_of))


def _drawn_once(folder: Path, draw: Callable[..., None], made_of: bytes, *shown: Any) -> None:
    *values, path = shown
    key = hashlib.sha256(made_of + pickle.dumps((values, path.suffix))).hexdigest()
    before = folder / key
    if before.exists():
        write_whole(path, before.read_bytes())
        return
    draw(*values, path)
    part = folder / f"{key}-{os.getpid()}"
    part.write_bytes(path.read_bytes())
    part.replace(before)
