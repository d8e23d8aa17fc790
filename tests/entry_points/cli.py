"""The command line as Typer runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from dae_cli.commands.app import app

__all__ = ["app", "dae_with_numerics"]

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
    """Run commands of a dae with another numerics version in a separate process."""
    command = [sys.executable, "-c", _WITH_NUMERICS, str(numerics), json.dumps(commands)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
