"""Options that several commands share, and the parsers of their values."""

from __future__ import annotations

import re
import shlex
import sys
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dae_cli.commands import completion
from dae_cli.commands.errors import show_log
from dae_cli.commands.help import DATA, OUTPUT, RUNS, SETTINGS
from dae_cli.engines.names import EngineChoice
from dae_cli.files import with_home
from dae_cli.machine import cores

if TYPE_CHECKING:
    from dae_cli.study.cluster import Cluster
    from dae_cli.study.progress import Watcher

Device = Literal["auto", "cpu", "cuda", "mps"]
SplitName = Literal["test", "valid", "train"]
PictureFormat = StrEnum(
    "PictureFormat", ["PNG", "SVG", "PDF"]
)  # Typer supports no list of Literals

_MOST_TILES = 100


# Paths: a leading `~` is the home folder, also where the shell does not expand it.


def folder(text: str) -> Path:
    """Parse a folder that need not exist."""
    path = with_home(text)
    if path.is_file():
        raise typer.BadParameter(f"{text!r} is a file.")
    return path


def existing(text: str) -> Path:
    """Parse a file or folder that exists."""
    path = with_home(text)
    if not path.exists():
        raise typer.BadParameter(f"{text!r} does not exist.")
    return path


def existing_folder(text: str) -> Path:
    """Parse a folder that exists."""
    folder(text)
    return existing(text)


def file(text: str) -> Path:
    """Parse a file that need not exist."""
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
        autocompletion=completion.settings,
        rich_help_panel=SETTINGS,
    ),
]
Grid = Annotated[
    list[str] | None,
    typer.Option(
        "--grid",
        metavar="KEY=A,B",
        help="Run a variant for each value: pretrain.learning_rate=0.01,0.1 or "
        "'model.hidden=[1000],[1000,1000]'; if repeated, for each combination.",
        autocompletion=completion.settings,
        rich_help_panel=SETTINGS,
    ),
]
Seeds = Annotated[
    int | None,
    typer.Option(
        "--seeds",
        min=1,
        metavar="N",
        help="Run each cell with N seeds.  [default: 1]",
        rich_help_panel=RUNS,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="List the runs and downloads and estimate the time; run nothing. Fails if the command "
        "would be refused.",
    ),
]
Study = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="Name (dae ls lists them) or path of a study.",
        autocompletion=completion.studies,
    ),
]
StudyOrResults = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="Name or path of a study, or a results folder.",
        autocompletion=completion.studies,
    ),
]
ResultsFolder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        parser=folder,
        help="Results folder.  [default: results/STUDY; a separate folder if settings are changed]",
        rich_help_panel=OUTPUT,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        metavar="N",
        help="Number of runs at a time, one thread each.  [default: one per core or worker]",
        rich_help_panel=RUNS,
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        parser=existing_folder,
        help="Folder with your copies of the data sets (.zip, .amat or .npz).  "
        "[default: DAE_DATA_DIR]",
        rich_help_panel=DATA,
    ),
]
AcceptUnverified = Annotated[
    bool,
    typer.Option(
        "--accept-unverified",
        envvar="DAE_ACCEPT_UNVERIFIED",
        help="Use your copies even if they cannot be verified as original; verdicts then say so.",
        rich_help_panel=DATA,
    ),
]
Photos = Annotated[
    Path | None,
    typer.Option(
        "--photos",
        metavar="DIR",
        parser=existing_folder,
        help="Folder with your photographs for the patches.  "
        "[default: those of scikit-image and scikit-learn]",
        rich_help_panel=DATA,
    ),
]
DataOrigin = Annotated[
    Literal["original", "regenerated"] | None,
    typer.Option(
        "--origin",
        help="Use only these data.  [default: original if available, else regenerated]",
        rich_help_panel=DATA,
    ),
]
DeviceOption = Annotated[
    Device,
    typer.Option(
        "--device",
        help="auto uses CUDA if available. CUDA and MPS are experimental.",
        rich_help_panel=SETTINGS,
    ),
]
EngineOption = Annotated[
    EngineChoice,
    typer.Option(
        "--engine",
        help="Implementation of the training steps on the CPU; auto uses compiled if available. "
        "A resumed run keeps its engine. On CUDA and MPS only torch is available.",
        rich_help_panel=SETTINGS,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        help="Run on the Dask cluster at tcp://HOST:PORT; its workers must share the results "
        "folder.",
        rich_help_panel=RUNS,
    ),
]
Format = Annotated[
    Literal["table", "json"],
    typer.Option("--format", help="A table to read, or JSON for programs.", rich_help_panel=OUTPUT),
]
Plots = Annotated[
    list[PictureFormat] | None,
    typer.Option(
        "--plots",
        metavar="png|svg|pdf",
        help="Also write plots and filter sheets in this format; PNGs are always written; "
        "repeatable.",
        rich_help_panel=OUTPUT,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        callback=show_log,
        help="Print only the path of the result, and errors.",
        rich_help_panel=OUTPUT,
    ),
]


def cluster_at(
    address: str | None, data_dir: Path | None, watcher: Watcher
) -> AbstractContextManager[Cluster | None]:
    """Connect to the cluster at the address that --scheduler gives, if any."""
    if address is None:
        return nullcontext()
    from dae_cli.study.cluster import connected

    return connected(address, watcher, data_dir)


def at_a_time(jobs: int | None, cluster: Cluster | None) -> int:
    """Return the number of runs or trials at a time: --jobs, else one per core or worker."""
    return jobs or (sys.maxsize if cluster is not None else cores())


def grid_of_tiles(text: str) -> tuple[int, int]:
    """Parse `10x10` as rows and columns; raise BadParameter for anything else."""
    match = re.fullmatch(r"(\d{1,3})[x×](\d{1,3})", text.strip().lower())
    if match and all(1 <= int(n) <= _MOST_TILES for n in match.groups()):
        return int(match[1]), int(match[2])
    raise typer.BadParameter(
        f"{text!r} is not ROWSxCOLUMNS with numbers from 1 to {_MOST_TILES}, such as 10x10"
    )


def list_of_units(text: str) -> list[int]:
    """Parse `12,47` as a list of units; raise BadParameter for anything else."""
    if re.fullmatch(r"\s*\d{1,6}\s*(,\s*\d{1,6}\s*)*", text, re.ASCII):
        units = [int(word) for word in text.split(",")]
        if len(set(units)) == len(units) <= _MOST_TILES:
            return units
    raise typer.BadParameter(
        f"{text!r} is not a list of at most {_MOST_TILES} different units, such as 12,47"
    )


def command_line() -> str:
    """Return the command as typed, on one line, with `dae` for the program's path."""
    words = (shlex.quote(word) if word.isprintable() else repr(word) for word in sys.argv[1:])
    return " ".join(["dae", *words])
