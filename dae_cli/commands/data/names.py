"""The sets that a command names, and how the commands of `dae data` print."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

ALL = "all"


class DataFormat(StrEnum):
    """How the commands of `dae data` print."""

    table = "table"
    json = "json"


Format = Annotated[
    DataFormat, typer.Option("--format", help="A table to read, or JSON for programs.")
]


def chosen(names: Sequence[str], *, generated: bool = False) -> list[str]:
    """The sets that are meant, each once; `all` stands for all, or all that are `generated`.

    Raises BadParameter for another name.
    """
    from dae_cli.config.own_data import SUFFIXES, declared
    from dae_cli.data.datasets import DATASETS

    own = {
        name: declared(Path(name)) for name in names if name.endswith(SUFFIXES) and not generated
    }
    known = [name for name, spec in DATASETS.items() if spec.recipe or not generated]
    for name in names:
        if name in DATASETS and name not in known:
            raise typer.BadParameter(
                f"{name!r} has no recipe: there is the original alone; dae data fetch {name} gets "
                "it",
                param_hint="NAME",
            )
    if unknown := [name for name in names if name not in (*known, *own, ALL)]:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected {', '.join(known)} or {ALL}"
        raise typer.BadParameter(f"there is no data set {unknown[0]!r}; {hint}", param_hint="NAME")
    return known if ALL in names else list(dict.fromkeys(own.get(name, name) for name in names))


def note(text: str) -> None:
    """Print a note, such as that something slow begins."""
    typer.echo(text, err=True)


def as_json(rows: object) -> str:
    """JSON as every command prints it."""
    return json.dumps(rows, indent=2, ensure_ascii=False)
