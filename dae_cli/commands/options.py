"""Options that several commands share, and the values they take."""

from __future__ import annotations

import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Device(StrEnum):
    """What computes."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting, such as pretrain.epochs=10; repeatable.",
        show_default=False,
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="Your copies of the data sets: the original .zip, unpacked .amat, or .npz.  "
        "[default: DAE_DATA_DIR]",
        show_default=False,
    ),
]


class Origin(StrEnum):
    """Where the content of a data set comes from."""

    original = "original"
    regenerated = "regenerated"


DataOrigin = Annotated[
    Origin | None,
    typer.Option(
        "--origin",
        help="Accept these data only.  [default: what comes first: your files, the cache, the "
        "original's download, regeneration]",
        show_default=False,
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print the result's path only, and errors.")
]


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def command_line() -> str:
    """The command as it was typed, for the record; `dae` stands for the program's path."""
    return shlex.join(["dae", *sys.argv[1:]])
