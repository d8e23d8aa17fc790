"""Paths as options take them: `~` is the home folder wherever it stands, quoted or after `=`."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import typer

from dae_cli.errors import ConfigError
from dae_cli.files import with_home


def folder(text: str) -> Path:
    """A folder, there or to be made."""
    return _checked(text, f"Directory {text!r}", of_folder=True)


def existing_folder(text: str) -> Path:
    """A folder that is there."""
    path = folder(text)
    if _mode(path) is None:
        raise typer.BadParameter(f"Directory {text!r} does not exist.")
    return path


def file(text: str) -> Path:
    """A file, there or to be written."""
    return _checked(text, f"File {text!r}", of_folder=False)


def _checked(text: str, named: str, *, of_folder: bool) -> Path:
    try:
        path = with_home(text)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None
    mode = _mode(path)
    if mode is None:
        return path
    if of_folder and stat.S_ISREG(mode):
        raise typer.BadParameter(f"{named} is a file.")
    if not of_folder and stat.S_ISDIR(mode):
        raise typer.BadParameter(f"{named} is a directory.")
    if not os.access(path, os.R_OK):
        raise typer.BadParameter(f"{named} is not readable.")
    return path


def _mode(path: Path) -> int | None:
    """What is there; None where nothing is, or cannot be looked for."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return None
