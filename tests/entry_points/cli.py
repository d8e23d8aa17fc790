"""The command line as Typer runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dae_cli.commands.app import app

__all__ = ["app", "dae_with_numerics"]

_WITH_NUMERICS = """\
import sys
import dae_cli.training.version as version
version.NUMERICS_VERSION = int(sys.argv.pop(1))
from dae_cli.commands.app import app
app(prog_name="dae")
"""


def dae_with_numerics(numerics: int, *words: str | Path) -> None:
    """Run a command of a dae whose numerics have another version, in a process of its own."""
    command = [sys.executable, "-c", _WITH_NUMERICS, str(numerics), *map(str, words)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
