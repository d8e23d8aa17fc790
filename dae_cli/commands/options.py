"""Options that several commands share, and what their values mean."""

from __future__ import annotations

import os
import re
import shlex
import stat
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dae_cli.commands.errors import show_log
from dae_cli.engines.names import EngineChoice
from dae_cli.errors import ConfigError
from dae_cli.files import with_home
from dae_cli.machine import cores

if TYPE_CHECKING:
    from dae_cli.study.cluster import Cluster
    from dae_cli.study.progress import Watcher

Device = Literal["auto", "cpu", "cuda", "mps"]
SplitName = Literal["test", "valid", "train"]

_MOST_TILES = 100
_YES_OR_NO = {
    **dict.fromkeys(("1", "true", "yes", "on", "t", "y"), True),
    **dict.fromkeys(("0", "false", "no", "off", "f", "n"), False),
}


# Paths: `~` is the home folder wherever it appears, quoted or after `=`.


def folder(text: str) -> Path:
    """A folder, whether it exists or not."""
    return _path(text, f"Directory {text!r}", is_folder=True)


def existing_folder(text: str) -> Path:
    """A folder that exists."""
    path = folder(text)
    if _mode(path) is None:
        raise typer.BadParameter(f"Directory {text!r} does not exist.")
    return path


def file(text: str) -> Path:
    """A file, whether it exists or not."""
    return _path(text, f"File {text!r}", is_folder=False)


def _path(text: str, name: str, *, is_folder: bool) -> Path:
    try:
        path = with_home(text)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None
    mode = _mode(path)
    if mode is None:
        return path
    if is_folder and stat.S_ISREG(mode):
        raise typer.BadParameter(f"{name} is a file.")
    if not is_folder and stat.S_ISDIR(mode):
        raise typer.BadParameter(f"{name} is a directory.")
    if not os.access(path, os.R_OK):
        raise typer.BadParameter(f"{name} is not readable.")
    return path


def _mode(path: Path) -> int | None:
    """What is there; None where nothing is, or cannot be looked up."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return None


def yes_or_no(text: str) -> bool:
    """A switch as an environment variable gives it; BadParameter for anything else."""
    if (value := _YES_OR_NO.get(text.strip().casefold())) is None:
        raise typer.BadParameter(
            f"{text!r} is neither yes nor no, expected 1 or 0, true or false, yes or no"
        )
    return value


Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting: pretrain.epochs=10 or 'model.hidden=[1000,1000]'; repeatable.",
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
        help="Name (dae ls lists them) or path of a study, or a folder of results, which records "
        "its own settings.",
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
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        metavar="N",
        help="Runs at a time, one thread each.  [default: the cores; or the cluster's workers]",
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
        help="Use your copies of the data sets even if nothing shows that they are the original; "
        "'unverified' then appears beside every verdict.",
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
DataOrigin = Annotated[
    Literal["original", "regenerated"] | None,
    typer.Option(
        "--origin",
        help="Accept these data only.  [default: the first there is of: your files, the cache, "
        "the original's download, regeneration]",
        show_default=False,
    ),
]
DeviceOption = Annotated[
    Device,
    typer.Option("--device", help="auto takes CUDA if it is there. CUDA and MPS are experimental."),
]
EngineOption = Annotated[
    EngineChoice,
    typer.Option(
        "--engine",
        help="How the CPU computes: auto takes compiled where Numba and the processor allow it, "
        "else torch; a resumed run keeps its engine. CUDA and MPS have torch only.",
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
Format = Annotated[
    Literal["table", "json"],
    typer.Option("--format", help="A table to read, or JSON for programs."),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", callback=show_log, help="Print the result's path only, and errors."
    ),
]


def check_engine(engine: EngineChoice, device: Device) -> None:
    """BadParameter for an engine of the CPU on another device."""
    if engine == "compiled" and device in ("cuda", "mps"):
        raise typer.BadParameter(
            f"{engine} runs on the CPU only; with --device {device} leave it out or give torch",
            param_hint="--engine",
        )


def cluster_at(
    address: str | None, data_dir: Path | None, watcher: Watcher
) -> AbstractContextManager[Cluster | None]:
    """Connect to the cluster that --scheduler names, if it is given."""
    if address is None:
        return nullcontext()
    from dae_cli.study.cluster import connected

    return connected(address, watcher, data_dir)


def at_a_time(jobs: int | None, cluster: Cluster | None) -> int:
    """How many runs or trials are made at a time: --jobs, else one a core or a worker."""
    return jobs or (sys.maxsize if cluster is not None else cores())


def grid_of_tiles(text: str) -> tuple[int, int]:
    """`10x10` to rows and columns; BadParameter for anything else."""
    match = re.fullmatch(r"(\d{1,3})[x×](\d{1,3})", text.strip().lower())
    if match and all(1 <= int(n) <= _MOST_TILES for n in match.groups()):
        return int(match[1]), int(match[2])
    raise typer.BadParameter(
        f"{text!r} is not ROWSxCOLUMNS, each from 1 to {_MOST_TILES}, such as 10x10",
        param_hint="--tiles",
    )


def list_of_units(text: str) -> list[int]:
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
    """The command as it was typed, on one line, for the record; `dae` for the program's path."""
    return " ".join(["dae", *map(_quoted, sys.argv[1:])])


def _quoted(word: str) -> str:
    """As a shell takes it; where it would break the line, as bash does: $'first\\nsecond'."""
    if word.isprintable():
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    plain = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in escaped)
    return f"$'{''.join(plain)}'"
