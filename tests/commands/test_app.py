"""The command as a whole: help, exit codes, tracebacks, and what stays unimported."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dae_cli import __version__
from dae_cli.commands import ls as ls_module

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.commands.conftest import Ended

    Dae = Callable[..., Ended]

COMMANDS = ("train", "evaluate", "filters", "replicate", "verify", "data", "ls", "show")


def test_the_help_lists_every_command_and_the_exit_codes(dae: Dae) -> None:
    ended = dae("--help")
    assert ended.code == 0
    assert all(f"\n  {command} " in ended.out for command in COMMANDS)
    assert "Exit codes:\n    0    all good\n    1    a run, download or check failed" in ended.out
    assert max(map(len, ended.lines)) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_has_an_example_and_fits_80_columns(dae: Dae, command: str) -> None:
    ended = dae(command, "--help")
    assert ended.code == 0
    assert f"Example: dae {command}" in ended.out
    assert max(map(len, ended.lines)) <= 80


def test_the_version_is_printed(dae: Dae) -> None:
    assert dae("--version").out == f"dae {__version__}\n"


def test_no_arguments_show_the_help_with_exit_code_2(dae: Dae) -> None:
    ended = dae()
    assert ended.code == 2
    assert "Commands:" in ended.out + ended.err


def test_an_unknown_command_is_a_usage_error_with_the_nearest(dae: Dae) -> None:
    ended = dae("replicat")
    assert (ended.code, ended.out) == (2, "")
    assert "replicate" in ended.err


def test_the_unforeseen_is_one_line_and_a_word_on_debug(
    dae: Dae, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("something odd")

    monkeypatch.setattr("dae_cli.config.experiments.list_studies", broken)
    ended = dae("ls")
    assert ended.code == 1
    assert ended.err == "RuntimeError: something odd\n  --debug shows the traceback\n"
    for arguments in (("--debug", "ls"), ("ls", "--debug")):
        debugged = dae(*arguments)
        assert debugged.code == 1
        assert debugged.err.startswith("Traceback")
        assert debugged.err.endswith("RuntimeError: something odd\n")


def test_a_file_that_cannot_be_used_is_named(dae: Dae, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise PermissionError(13, "Permission denied", "experiments/secret")

    monkeypatch.setattr("dae_cli.config.experiments.list_studies", refused)
    assert dae("ls").err.startswith("experiments/secret: Permission denied\n")


def test_an_interrupt_is_exit_code_130(dae: Dae, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dae_cli.config.experiments.list_studies", stopped)
    ended = dae("ls")
    assert (ended.code, ended.err) == (130, "interrupted\n")
    assert ls_module.ls.__doc__


@pytest.mark.skipif(os.name != "posix", reason="pipes are those of POSIX")
def test_a_reader_that_goes_away_is_no_reason_to_complain() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "dae_cli", "ls"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_help_listings_and_mistakes_import_nothing_heavy() -> None:
    code = """
import sys
from dae_cli.commands.app import app
for words, expected in (
    ("--help", 0), ("--version", 0), *((f"{c} --help", 0) for c in %r),
    ("ls", 0), ("show tiny", 0), ("show nothing", 2), ("train tiny/rect-0 --set sed=1", 2),
    ("train tiny/rect-99", 2), ("train tiny/rect-0 --resume --force", 2),
    ("train tiny/rect-0 --engine blas --device cuda", 2), ("train tiny/rect-0 --engine no", 2),
    ("replicate tiny --engine compiled --device mps", 2),
    ("verify nothing", 2), ("verify tiny/rect-0", 2), ("verify tiny --format csv", 2),
    ("replicate nothing", 2), ("replicate tiny --jobs 0", 2), ("replicate tiny --only no", 2),
    ("data list", 0), ("data list nothing", 2), ("data fetch", 2), ("data verify --svm", 2),
    ("data show rect --tiles 1", 2), ("data make nothing", 2),
    ("filters tiny/rect-0 --tiles 1", 2), ("filters runs/no", 2), ("evaluate runs/no", 2),
):
    try:
        app(words.split(), prog_name="dae")
    except SystemExit as end:
        assert end.code == expected, (words, end.code)
    unwanted = {"torch", "numba", "pandas", "sklearn", "skimage", "scipy", "matplotlib"}
    heavy = unwanted & set(sys.modules)
    assert not heavy, (words, heavy)
"""
    command = [sys.executable, "-c", code % (COMMANDS,)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
