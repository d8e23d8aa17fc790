"""`dae ls`: the studies that can be named, and what of them is done."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Annotated

import typer

from dae_cli.commands.options import Format
from dae_cli.commands.tables import DASH, as_json, columns
from dae_cli.config.experiments import StudyListing, list_studies, list_study, resolve_study
from dae_cli.config.names import find_target
from dae_cli.errors import ConfigError, RunFolderError, plain, shown
from dae_cli.study.results_folder import CellState, cell_states
from dae_cli.study.run.job import default_out


@dataclass(frozen=True)
class _Listed:
    """A study and how far each of its cells is, by results/STUDY/runs.csv."""

    study: StudyListing
    states: dict[str, CellState]
    """By cell; empty where settings or results cannot be read."""
    problem: str = ""

    @property
    def summary(self) -> str:
        """`none`, `2 of 7 runs done` or `done`."""
        counts = Counter(self.states.values())
        if self.problem or not self.states:
            return DASH
        if counts["done"] == len(self.states):
            return "done"
        failed = f", {counts['failed']} failed" if counts["failed"] else ""
        if not counts["done"] and not failed:
            return "none"
        return f"{counts['done']} of {len(self.states)} runs done{failed}"


def ls(
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="STUDY",
            help="Name or path of a study, to list its cells.  [default: list all studies]",
            show_default=False,
        ),
    ] = None,
    form: Format = "table",
) -> None:
    """A run is done if results/STUDY/runs.csv has its error, with the settings of today's files."""
    if study is None:
        listed = [_listed(one) for one in list_studies()]
    else:
        target = find_target(study)
        if target.file is not None:
            raise ConfigError(
                f"{shown(study)} is one experiment, not a study; dae show {shown(study)} prints "
                "its settings"
            )
        listed = [_listed(list_study(target.name, target.folder), study)]
    if form == "json":
        typer.echo(as_json([_facts(one) for one in listed]))
        return
    if not listed:
        typer.echo("no studies here or in the installed package", err=True)
        return
    rows: list[tuple[str, ...]] = [("study", "cells", "runs", "reproduces")]
    if study is None:
        for one in listed:
            about = one.problem or one.study.title
            rows.append((one.study.name, str(len(one.study.cells)), one.summary, about))
    else:
        (one,) = listed
        if one.problem:
            typer.echo(plain(one.problem), err=True)
        rows = [("cell", "run", "reproduces")]
        for cell, text in zip(one.study.cells, one.study.reproduces, strict=True):
            rows.append((f"{one.study.name}/{cell}", one.states.get(cell, DASH), text))
    lines = columns([[plain(" ".join(text.split())) for text in row] for row in rows])
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        lines = [line if len(line) <= width else f"{line[: width - 1]}…" for line in lines]
    typer.echo("\n".join(lines))


def _listed(study: StudyListing, name: str = "") -> _Listed:
    try:
        resolved = resolve_study(name or study.name)
    except ConfigError:
        return _Listed(study, {}, f"cannot be read; dae show {name or study.name} says why")
    try:
        return _Listed(study, cell_states(resolved, default_out(study.name, ())))
    except RunFolderError as error:
        return _Listed(study, {}, str(error))


def _facts(listed: _Listed) -> dict[str, object]:
    study = listed.study
    return {
        "name": study.name,
        "title": study.title,
        "source": str(study.source.resolve()),
        "runs": listed.summary,
        "cells": [
            {"name": f"{study.name}/{cell}", "reproduces": text, "run": listed.states.get(cell)}
            for cell, text in zip(study.cells, study.reproduces, strict=True)
        ],
    }
