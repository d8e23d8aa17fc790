"""`dae ls`: list studies or cells, and which runs are done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from dae_cli.commands import completion
from dae_cli.commands.options import Format
from dae_cli.commands.tables import DASH, as_json, columns, cut
from dae_cli.config.experiments import StudyListing, list_studies, list_study, resolve_study
from dae_cli.config.names import find_target
from dae_cli.errors import ConfigError, RunFolderError, plain, shown
from dae_cli.study.results_folder import CellState, cell_states
from dae_cli.study.run.job import default_out


def ls(
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="STUDY",
            help="Name or path of a study, to list its cells.  [default: list all studies]",
            autocompletion=completion.studies,
        ),
    ] = None,
    form: Format = "table",
) -> None:
    """A run is done if results/STUDY/runs.csv has its error for the current settings."""
    if study is None:
        listed = [_listed(one, one.name) for one in list_studies()]
    else:
        target = find_target(study)
        if target.file is not None:
            name = shown(study)
            raise ConfigError(
                f"{name} is an experiment, not a study; dae show {name} prints its settings"
            )
        listed = [_listed(list_study(target.name, target.folder), study)]
    if form == "json":
        typer.echo(as_json([facts for facts, _ in listed]))
        return
    rows: list[tuple[str, ...]]
    if study is None:
        rows = [("study", "cells", "runs", "reproduces")]
        for facts, problem in listed:
            count, title = str(len(facts["cells"])), problem or facts["title"]
            rows.append((facts["name"], count, facts["runs"], title))
    else:
        ((facts, problem),) = listed
        if problem:
            typer.echo(plain(problem), err=True)
        rows = [("cell", "run", "reproduces")]
        for cell in facts["cells"]:
            rows.append((cell["name"], cell["run"] or DASH, cell["reproduces"]))
    lines = columns([[plain(" ".join(text.split())) for text in row] for row in rows])
    typer.echo("\n".join(cut(lines)))


def _listed(study: StudyListing, name: str) -> tuple[dict[str, Any], str]:
    """Return a study for JSON, with the state of its cells, and the problem in reading it."""
    states: dict[str, CellState] = {}
    problem = ""
    try:
        states = cell_states(resolve_study(name), default_out(study.name, ()))
    except ConfigError:
        problem = f"cannot be read; dae show {name} shows the reason"
    except RunFolderError as error:
        problem = str(error)
    cells = [
        {"name": f"{study.name}/{cell}", "reproduces": text, "run": states.get(cell)}
        for cell, text in zip(study.cells, study.reproduces, strict=True)
    ]
    facts = {"name": study.name, "title": study.title, "source": study.source.resolve()}
    return facts | {"runs": _summary(states), "cells": cells}, problem


def _summary(states: Mapping[str, CellState]) -> str:
    """Return `none`, `2 of 7 runs done` or `done`."""
    counts = Counter(states.values())
    if len(counts) == 1 and "failed" not in counts:
        return next(iter(counts))
    failed = f", {counts['failed']} failed" if counts["failed"] else ""
    return f"{counts['done']} of {len(states)} runs done{failed}" if states else DASH
