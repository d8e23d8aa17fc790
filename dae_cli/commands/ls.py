"""`dae ls`: list studies or cells, and which runs are done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from dae_cli.commands import completion
from dae_cli.commands.options import Format
from dae_cli.commands.tables import DASH, as_json, columns, cut
from dae_cli.config.experiments import StudyListing, list_studies, list_study, resolve_study
from dae_cli.config.names import find_target
from dae_cli.config.saved_settings import SETTINGS, read_settings
from dae_cli.errors import ConfigError, RunFolderError, plain, shown
from dae_cli.study.results_folder import CellState, cell_states
from dae_cli.study.run.job import PARTIAL, RUNS, STATUS, default_out


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
    """A run is done if results/STUDY/runs.csv has its error for the current settings. Studies
    elsewhere are listed if results/ has results of them.
    """
    if study is None:
        listed = [_listed(one, one.name) for one in list_studies()]
        listed += _with_results({facts["name"] for facts, _ in listed})
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
            rows.append(
                (facts["name"], count, _with_mark(facts["runs"], facts["cells"], facts), title)
            )
    else:
        ((facts, problem),) = listed
        if problem:
            typer.echo(plain(problem), err=True)
        rows = [("cell", "run", "reproduces")]
        for cell in facts["cells"]:
            run = _with_mark(cell["run"] or DASH, [cell], facts)
            rows.append((cell["name"], run, cell["reproduces"]))
    lines = columns([[plain(" ".join(text.split())) for text in row] for row in rows])
    typer.echo("\n".join(cut(lines)))


def _listed(
    study: StudyListing, name: str, recorded: Path | None = None
) -> tuple[dict[str, Any], str]:
    """Return a study for JSON, with the state of its cells, and the problem in reading it.

    The settings are those of the study's files, or those that a results folder has `recorded`.
    """
    states: dict[str, CellState] = {}
    problem, results = "", recorded or default_out(study.name, ())
    try:
        current = read_settings(results / SETTINGS, results) if recorded else resolve_study(name)
        states = cell_states(current, results)
    except ConfigError:
        problem = f"cannot be read; dae show {name} shows the reason"
    except RunFolderError as error:
        problem = str(error)
    cells = [
        {"name": f"{study.name}/{cell}", "reproduces": text, "run": states.get(cell)}
        for cell, text in zip(study.cells, study.reproduces, strict=True)
    ]
    facts = {"name": study.name, "title": study.title, "source": study.source.resolve()}
    folders = (path.parent.suffix for path in (results / RUNS).glob(f"*/{STATUS}"))
    has_folders = any(suffix != PARTIAL for suffix in folders)
    return facts | {"runs": _summary(states), "run_folders": has_folders, "cells": cells}, problem


def _with_results(known: Collection[str]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield further studies with results in ./results, by name if that is found, else by folder."""
    for path in sorted(Path("results").glob(f"*/{SETTINGS}")):
        name = path.parent.name
        with suppress(ConfigError):
            if name in known or (saved := read_settings(path, path.parent)).name != name:
                continue
            try:
                target = find_target(name)
            except ConfigError:
                cells = tuple(cell.cell for cell in saved.cells)
                notes = ("",) * len(cells)
                one = StudyListing(str(path.parent), saved.title, cells, path.parent, notes)
                yield _listed(one, name, path.parent)
            else:
                yield _listed(list_study(name, target.folder), name)


def _with_mark(state: str, cells: Sequence[dict[str, Any]], facts: dict[str, Any]) -> str:
    """Return a state; with a note if the results of cells are only in runs.csv, as in a clone."""
    is_done = any(cell["run"] == "done" for cell in cells)
    return f"{state} (run folders not here)" if is_done and not facts["run_folders"] else state


def _summary(states: Mapping[str, CellState]) -> str:
    """Return `none`, `2 of 7 runs done` or `done`."""
    counts = Counter(states.values())
    if len(counts) == 1 and "failed" not in counts:
        return next(iter(counts))
    failed = f", {counts['failed']} failed" if counts["failed"] else ""
    return f"{counts['done']} of {len(states)} runs done{failed}" if states else DASH
