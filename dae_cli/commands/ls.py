"""`dae ls`: the studies and experiments that can be named, and what they reproduce."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from dae_cli.errors import plain

if TYPE_CHECKING:
    from rich.console import Console

    from dae_cli.config.experiments import StudyListing


class ListFormat(StrEnum):
    """How `dae ls` prints."""

    table = "table"
    json = "json"


def ls(
    form: Annotated[
        ListFormat, typer.Option("--format", help="A table to read, or JSON for programs.")
    ] = ListFormat.table,
) -> None:
    """List the studies and experiments there are."""
    from rich.console import Console

    from dae_cli.config.experiments import list_studies

    studies = list_studies()
    console = Console()
    if form is ListFormat.json:
        typer.echo(json.dumps([_as_json(study) for study in studies], indent=2))
    elif not studies:
        typer.echo("no studies here or in the installed package", err=True)
    elif console.is_terminal:
        _print_table(console, studies)
    else:
        rows = [row for study in studies for row in _rows(study)]
        width = max(len(name) for name, _ in rows)
        typer.echo("\n".join(f"{name:<{width}}  {text}".rstrip() for name, text in rows))


def _rows(study: StudyListing) -> list[tuple[str, str]]:
    """The study, then its cells: name and what it is, without what could drive a terminal."""
    title = study.title or f"cannot be read; dae show {study.name} says why"
    cells = zip(study.cells, study.reproduces, strict=True)
    rows = [(study.name, title), *((f"{study.name}/{cell}", text) for cell, text in cells)]
    return [(plain(name), plain(text)) for name, text in rows]


def _print_table(console: Console, studies: Sequence[StudyListing]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("name", no_wrap=True)
    table.add_column("reproduces", overflow="fold")
    for study in studies:
        (name, title), *cells = _rows(study)
        table.add_row(Text(name, "bold"), Text(title, "bold"))
        for cell, text in cells:
            table.add_row(Text(cell), Text(text))
    console.print(table)


def _as_json(study: StudyListing) -> dict[str, object]:
    cells = zip(study.cells, study.reproduces, strict=True)
    return {
        "name": study.name,
        "title": study.title,
        "source": str(study.source.resolve()),
        "cells": [{"name": f"{study.name}/{cell}", "reproduces": text} for cell, text in cells],
    }
