"""The names: the same on the command line, and free of anything heavy."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

from dae_cli.commands.options import Engine
from dae_cli.engines.names import ENGINES, EngineChoice


def test_the_command_line_takes_auto_and_every_engine() -> None:
    assert [option.value for option in Engine] == ["auto", *ENGINES]
    assert set(get_args(EngineChoice)) == {"auto", *ENGINES}


def test_the_names_import_nothing_heavy() -> None:
    code = """
import sys
import dae_cli.engines.names
heavy = {"torch", "numba", "numpy", "scipy", "pandas", "sklearn"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
