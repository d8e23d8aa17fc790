"""Options that several commands share, and the values they take."""

from __future__ import annotations

import re
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dae_cli.commands.paths import existing_folder, folder


class Device(StrEnum):
    """Where it is computed."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Engine(StrEnum):
    """How it is computed there."""

    auto = "auto"
    torch = "torch"
    compiled = "compiled"


class SplitName(StrEnum):
    """The rows that are counted."""

    test = "test"
    valid = "valid"
    train = "train"


_MOST_TILES = 100
_YES_OR_NO = {
    **dict.fromkeys(("1", "true", "yes", "on", "t", "y"), True),
    **dict.fromkeys(("0", "false", "no", "off", "f", "n"), False),
}


def yes_or_no(text: str) -> bool:
    """A switch as an environment variable tells it; BadParameter for anything else."""
    if (told := _YES_OR_NO.get(text.strip().casefold())) is None:
        raise typer.BadParameter(
            f"{text!r} is neither yes nor no, expected 1 or 0, true or false, yes or no"
        )
    return told


Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting, such as pretrain.epochs=10; repeatable.",
        show_default=False,
    ),
]
Study = Annotated[
    str,
    typer.Argument(
        metavar="STUDY", help="Name (dae ls lists them) or path of a study.", show_default=False
    ),
]
StudyOrResults = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="Name (dae ls lists them) or path of a study, or a folder of results, which keeps "
        "the settings that it was made with.",
        show_default=False,
    ),
]
ResultsFolder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        parser=folder,
        help="Folder of the results.  [default: results/STUDY; with --set a folder of its own]",
        show_default=False,
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        parser=existing_folder,
        help="Your copies of the data sets: the original .zip, unpacked .amat, or .npz.  "
        "[default: DAE_DATA_DIR]",
        show_default=False,
    ),
]

AcceptUnverified = Annotated[
    bool,
    typer.Option(
        "--accept-unverified",
        envvar="DAE_ACCEPT_UNVERIFIED",
        parser=yes_or_no,
        help="Take your copies of the data sets even if nothing shows that they are the original; "
        "'unverified' then stands beside every verdict.",
    ),
]

Photos = Annotated[
    Path | None,
    typer.Option(
        "--photos",
        metavar="DIR",
        parser=existing_folder,
        help="Your photographs, for what is trained on patches of them.  "
        "[default: those that scikit-image and scikit-learn ship]",
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
DeviceOption = Annotated[
    Device,
    typer.Option("--device", help="auto takes CUDA if it is there. CUDA and MPS are experimental."),
]
EngineOption = Annotated[
    Engine,
    typer.Option(
        "--engine",
        help="How the CPU computes: auto takes compiled where Numba and the processor allow it, "
        "else torch, or goes on with the one a stopped run was begun with. CUDA and MPS have torch "
        "alone.",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        help="Run on the workers of the Dask cluster whose scheduler is at tcp://HOST:PORT; all "
        "machines share the folder of the results.  [default: run on this machine]",
        show_default=False,
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print the result's path only, and errors.")
]


def check_engine(engine: Engine, device: Device) -> None:
    """BadParameter for an engine of the CPU on another device."""
    if engine is Engine.compiled and device in (Device.cuda, Device.mps):
        raise typer.BadParameter(
            f"{engine} runs on the CPU alone; with --device {device} leave it out or give torch",
            param_hint="--engine",
        )


def tiles_of(text: str) -> tuple[int, int]:
    """`10x10` to rows and columns; BadParameter for anything else."""
    match = re.fullmatch(r"(\d{1,3})[x×](\d{1,3})", text.strip().lower())
    if match and all(1 <= int(n) <= _MOST_TILES for n in match.groups()):
        return int(match[1]), int(match[2])
    raise typer.BadParameter(
        f"{text!r} is not ROWSxCOLUMNS, each from 1 to {_MOST_TILES}, such as 10x10",
        param_hint="--tiles",
    )


def units_of(text: str) -> list[int]:
    """`12,47` to the units that are named; BadParameter for anything else."""
    words = [word.strip() for word in text.split(",")]
    if all(re.fullmatch(r"[0-9]{1,6}", word) for word in words):
        units = [int(word) for word in words]
        if len(set(units)) == len(units) <= _MOST_TILES:
            return units
    raise typer.BadParameter(
        f"{text!r} is not a list of at most {_MOST_TILES} units, each once, such as 12,47",
        param_hint="--units",
    )


def command_line() -> str:
    """The command as it was typed, for the record, on one line; `dae` stands for its path."""
    return " ".join(["dae", *map(_quoted, sys.argv[1:])])


def _quoted(word: str) -> str:
    """As a shell takes it; where it would break the line, as bash does: $'first\\nsecond'."""
    if word.isprintable():
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    plain = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in escaped)
    return f"$'{''.join(plain)}'"
