"""Options that several commands share, and what their values mean."""

from __future__ import annotations

import re
import shlex
import sys
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dae_cli.commands.errors import show_log
from dae_cli.engines.names import EngineChoice
from dae_cli.files import with_home
from dae_cli.machine import cores

if TYPE_CHECKING:
    from dae_cli.study.cluster import Cluster
    from dae_cli.study.progress import Watcher

Device = Literal["auto", "cpu", "cuda", "mps"]
SplitName = Literal["test", "valid", "train"]
PictureFormat = StrEnum("PictureFormat", ["PNG", "SVG", "PDF"])  # typer knows no list of Literals

_MOST_TILES = 100


# Paths: `~` is the home folder wherever it appears, quoted or after `=`.


def folder(text: str) -> Path:
    """A folder, whether it exists or not."""
    path = with_home(text)
    if path.is_file():
        raise typer.BadParameter(f"{text!r} is a file.")
    return path


def existing(text: str) -> Path:
    """A file or folder that exists."""
    path = with_home(text)
    if not path.exists():
        raise typer.BadParameter(f"{text!r} does not exist.")
    return path


def existing_folder(text: str) -> Path:
    """A folder that exists."""
    folder(text)
    return existing(text)


def file(text: str) -> Path:
    """A file, whether it exists or not."""
    path = with_home(text)
    if path.is_dir():
        raise typer.BadParameter(f"{text!r} is a directory.")
    return path


Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting: pretrain.epochs=10 or 'model.hidden=[1000,1000]'; repeatable.",
    ),
]
Study = Annotated[
    str, typer.Argument(metavar="STUDY", help="Name (dae ls lists them) or path of a study.")
]
StudyOrResults = Annotated[
    str, typer.Argument(metavar="STUDY", help="Name or path of a study, or a folder of results.")
]
ResultsFolder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        parser=folder,
        help="Folder of the results.  [default: results/STUDY; with --set a folder of its own]",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        metavar="N",
        help="Runs at a time, one thread each.  [default: one a core or worker]",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        parser=existing_folder,
        help="Your copies of the data sets: .zip, .amat or .npz.  [default: DAE_DATA_DIR]",
    ),
]
AcceptUnverified = Annotated[
    bool,
    typer.Option(
        "--accept-unverified",
        envvar="DAE_ACCEPT_UNVERIFIED",
        help="Use your copies though nothing shows that they are original; verdicts then say so.",
    ),
]
Photos = Annotated[
    Path | None,
    typer.Option(
        "--photos",
        metavar="DIR",
        parser=existing_folder,
        help="Your photographs, to cut patches from.  [default: those of scikit-image and -learn]",
    ),
]
DataOrigin = Annotated[
    Literal["original", "regenerated"] | None,
    typer.Option(
        "--origin",
        help="Accept these data only.  [default: the first there is; originals come first]",
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
        help="How the CPU computes; auto takes compiled where it works. A resumed run keeps its "
        "engine; CUDA and MPS have torch only.",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        help="Run on the Dask cluster at tcp://HOST:PORT, which shares the folder of the results.",
    ),
]
Format = Annotated[
    Literal["table", "json"],
    typer.Option("--format", help="A table to read, or JSON for programs."),
]
Plots = Annotated[
    list[PictureFormat] | None,
    typer.Option(
        "--plots",
        metavar="png|svg|pdf",
        help="Write plots and sheets of filters in this format too; PNGs always are; repeatable.",
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", callback=show_log, help="Print the result's path, and errors."),
]


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
        f"{text!r} is not ROWSxCOLUMNS, each from 1 to {_MOST_TILES}, such as 10x10"
    )


def list_of_units(text: str) -> list[int]:
    """`12,47` to the units that are named; BadParameter for anything else."""
    if re.fullmatch(r"\s*\d{1,6}\s*(,\s*\d{1,6}\s*)*", text, re.ASCII):
        units = [int(word) for word in text.split(",")]
        if len(set(units)) == len(units) <= _MOST_TILES:
            return units
    raise typer.BadParameter(
        f"{text!r} is not a list of at most {_MOST_TILES} units, each once, such as 12,47"
    )


def command_line() -> str:
    """The command as it was typed, on one line, for the record; `dae` for the program's path."""
    words = (shlex.quote(word) if word.isprintable() else repr(word) for word in sys.argv[1:])
    return " ".join(["dae", *words])
