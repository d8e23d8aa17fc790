"""Options that several commands share, and the values they take."""

from __future__ import annotations

import os
import re
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


class SplitName(StrEnum):
    """The rows that are counted."""

    test = "test"
    valid = "valid"
    train = "train"


_MOST_TILES = 100

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


def tiles_of(text: str) -> tuple[int, int]:
    """`10x10` to rows and columns; BadParameter for anything else."""
    match = re.fullmatch(r"(\d{1,3})[x×](\d{1,3})", text.strip().lower())
    if match and all(1 <= int(n) <= _MOST_TILES for n in match.groups()):
        return int(match[1]), int(match[2])
    raise typer.BadParameter(
        f"{text!r} is not ROWSxCOLUMNS, each from 1 to {_MOST_TILES}, such as 10x10",
        param_hint="--tiles",
    )


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def command_line() -> str:
    """The command as it was typed, for the record; `dae` stands for the program's path."""
    return shlex.join(["dae", *sys.argv[1:]])
