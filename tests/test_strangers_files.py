"""Files in the current folder that are named like modules or programs are never run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.children import Child
from tests.support.tiny import read_csv

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = Path(sys.executable).with_name("dae")
MODULES = (
    *("random", "numpy", "tempfile", "yaml", "torch", "joblib", "scipy", "pandas", "threadpoolctl"),
    *("selectors", "signal", "socket", "subprocess", "pickle", "struct", "typing", "re", "pathlib"),
    *("__future__", "logging", "pyarrow", "multiprocessing"),
)
"""Modules of Python and of our dependencies, and one that libraries try to import."""
UNLOADED = ("sitecustomize", "usercustomize", "dae_cli", "contextlib", "types")
"""Modules that `-m` or PYTHONPATH makes Python import before any program."""
PROGRAMS = ("git", "lscpu", "uname", "fc-list")

Start = Callable[..., Child]


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """The log of the modules and programs in the current folder that were run."""
    ran = tmp_path / "ran"
    for name in MODULES:
        log = f"import os\nwith open({str(ran)!r}, 'a') as file:\n    file.write({name + ' '!r})\n"
        (tmp_path / f"{name}.py").write_text(f"{log}raise ImportError('a file of the user')\n")
    for name in PROGRAMS:
        (tmp_path / name).write_text(f"#!/bin/sh\necho -n '{name} ' >> '{ran}'\n")
        (tmp_path / name).chmod(0o755)
    return ran


def test_workers_import_and_start_nothing_from_the_current_folder(
    child: Start, tiny: Path, ran: Path
) -> None:
    for name in UNLOADED:
        Path(f"{name}.py").write_text(Path("random.py").read_text())
    environment = {
        "PYTHONPATH": os.pathsep.join(["", str(ROOT)]),
        "PATH": os.pathsep.join([".", os.environ["PATH"]]),
    }
    child("replicate", "tiny", "--jobs", "2", environment=environment).wait().succeeded()
    assert not ran.exists(), ran.read_text()
    assert [row["error"] for row in read_csv(tiny / "runs.csv")] == ["", ""]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("entry", [None, "", ".", os.curdir + os.sep])
def test_python_m_imports_nothing_from_the_current_folder(
    child: Start, ran: Path, entry: str | None
) -> None:
    environment = {"PYTHONPATH": os.pathsep.join([*([] if entry is None else [entry]), str(ROOT)])}
    child("show", "tiny/rect-0", environment=environment, executed=True).wait().succeeded()
    assert not ran.exists(), ran.read_text()


@pytest.mark.usefixtures("tiny")
def test_the_script_imports_nothing_from_the_current_folder(ran: Path) -> None:
    if not SCRIPT.is_file():
        pytest.skip(f"no console script: {SCRIPT}")
    for name in UNLOADED:
        Path(f"{name}.py").write_text(Path("random.py").read_text())
    subprocess.run([SCRIPT, "show", "tiny/rect-0"], check=True, stdout=subprocess.DEVNULL)
    assert not ran.exists(), ran.read_text()


def test_isolated_python_imports_nothing_from_the_current_folder_at_startup(ran: Path) -> None:
    """This is the advice of docs/reliability.md if PYTHONPATH has an empty entry."""
    if not SCRIPT.is_file():
        pytest.skip(f"not installed: {SCRIPT}")
    for name in UNLOADED:
        Path(f"{name}.py").write_text(Path("random.py").read_text())
    subprocess.run(
        [sys.executable, "-I", "-m", "dae_cli", "--version"],
        env={**os.environ, "PYTHONPATH": os.pathsep},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    assert not ran.exists(), ran.read_text()


def test_uninstalled_sources_run_in_their_own_folder(tmp_path: Path) -> None:
    """The package is found there; the files next to it come after the standard library."""
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "dae_cli").symlink_to(ROOT / "dae_cli")
    (sources / "random.py").write_text("raise ImportError('a file of the user')\n")
    command = [sys.executable, "-m", "dae_cli", "ls"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(command, cwd=sources, env=environment, check=True, stdout=subprocess.DEVNULL)


def test_the_current_folder_is_imported_from_if_pythonpath_names_it(
    child: Start, tmp_path: Path
) -> None:
    """A full path in PYTHONPATH is a deliberate choice of the user."""
    (tmp_path / "yaml.py").write_text("raise ImportError('chosen by the user')\n")
    environment = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    ended = child("ls", environment=environment, executed=True).wait()
    assert ended.code == 1 and "chosen by the user" in ended.err
