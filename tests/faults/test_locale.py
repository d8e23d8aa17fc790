"""A locale that writes 0,5 for 0.5: every file is the same as anywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

# Python runs it at its start, in the command and in every worker.
GERMAN = """\
import locale
locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
"""


@pytest.fixture
def german(tmp_path: Path) -> dict[str, str]:
    """The environment in which the C library writes decimal commas."""
    if not shutil.which("localedef") or not Path("/usr/share/i18n/locales/de_DE").exists():
        pytest.skip("needs localedef and the sources of the locales")
    folder = tmp_path / "locales"
    folder.mkdir()
    command = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "sitecustomize.py").write_text(GERMAN)
    path = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        "LOCPATH": str(folder),
        "LC_ALL": "de_DE.UTF-8",
        "PYTHONPATH": os.pathsep.join(path),
    }


def test_decimal_commas_change_no_file(
    here: Run, child: Run, study: Any, german: dict[str, str]
) -> None:
    program = "import locale; print(locale.format_string('%.1f', 0.5))"
    command = [sys.executable, "-c", program]
    shown = subprocess.run(command, env=os.environ | german, stdout=subprocess.PIPE, text=True)
    assert shown.stdout == "0,5\n"

    ended = child("replicate", "tiny", "--engine", "torch", "--jobs", "2", environment=german)
    ended.told(0)
    assert ",00 ±" not in ended.out and "± 4.90" in ended.out
    out = Path("results/tiny")
    study.assert_same(out)
    ended = child("evaluate", *sorted(out.glob("runs/*")), "--format", "csv", environment=german)
    assert ended.out == here("evaluate", *sorted(out.glob("runs/*")), "--format", "csv").out
    assert child("show", "tiny/rect-25", environment=german).out == here("show", "tiny/rect-25").out
