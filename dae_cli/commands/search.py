"""`dae search`: settings selected on validation rows, and written into the experiment files."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dae_cli.commands.console import Lines, Quiet
from dae_cli.commands.options import (
    DataDir,
    DataOrigin,
    Device,
    DeviceOption,
    Engine,
    EngineOption,
    Study,
    check_engine,
    command_line,
)
from dae_cli.commands.options import (
    Quiet as QuietOption,
)
from dae_cli.commands.tables import DASH, columns, minutes
from dae_cli.commands.telling import hint_when_interrupted
from dae_cli.config.names import label
from dae_cli.machine import cores

if TYPE_CHECKING:
    from dae_cli.engines.names import EngineName
    from dae_cli.search.plan import SearchPlan
    from dae_cli.search.rows import TrialRow
    from dae_cli.search.run import SearchOutcome

DEFAULT_TRIALS = 25
_HEADER = ("cell", "trials", "pruned", "failed", "validation error", "settings")


class Sampler(StrEnum):
    """How settings are drawn."""

    random = "random"
    tpe = "tpe"


class SearchFormat(StrEnum):
    """How `dae search` prints."""

    table = "table"
    json = "json"


def search(
    study: Study,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="CELL", help="Search this cell only; repeatable.", show_default=False),
    ] = None,
    sampler: Annotated[
        Sampler, typer.Option(help="tpe is optuna's model-based sampler.")
    ] = Sampler.random,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Complete or pruned trials that each cell is to have.  "
            f"[default: {DEFAULT_TRIALS}; with --hours no limit]",
            show_default=False,
        ),
    ] = None,
    hours: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            metavar="H",
            help="Stop after so long; trials keep a checkpoint.",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            metavar="N",
            help="Trials at a time, one thread each.  [default: the cores]",
            show_default=False,
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL|FILE",
            help="Where trials are shared: a database that optuna knows (postgresql://…), or a "
            "journal file.  [default: results/STUDY/search/trials.journal]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, metavar="N", help="Of the sampler.")
    ] = 0,
    device: DeviceOption = Device.cpu,
    engine: EngineOption = Engine.auto,
    data_dir: DataDir = None,
    origin: DataOrigin = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            file_okay=False,
            help="Folder of search.csv and the checkpoints.  [default: results/STUDY]",
            show_default=False,
        ),
    ] = None,
    write: Annotated[
        bool,
        typer.Option(
            "--write/--no-write", help="Put the selected settings into the experiment files."
        ),
    ] = True,
    check: Annotated[
        bool, typer.Option("--check", help="Compare the files with search.csv, and stop.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be searched, and stop.")
    ] = False,
    form: Annotated[
        SearchFormat, typer.Option("--format", help="A table to read, or JSON.")
    ] = SearchFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Select the settings of a study's cells by their error on validation rows.

    The search section of study.yaml says what is searched; no test row is counted. Hopeless
    trials are pruned; what was stopped goes on; several commands share the work. Writes
    search.csv, a row a trial, and the best settings into the experiment files.
    """
    from dae_cli.config.search_cells import resolve_search

    check_engine(engine, device)
    resolved, cells = resolve_search(study, only or ())

    from dae_cli.search.chosen import check_writable
    from dae_cli.search.plan import (
        SearchPlan,
        cell_searches,
        default_search_out,
        settle_engine,
        storage_of,
    )
    from dae_cli.search.storage import require_optuna

    folder = out or default_search_out(resolved.name)
    if check:
        _check(resolved.name, cells, folder, quiet)
        return
    require_optuna()
    if write and not dry_run:
        check_writable(resolved.source)

    from dae_cli.search.run import run_search

    watcher = Quiet() if quiet else Lines(single=False)
    searches = cell_searches(
        resolved,
        cells,
        data_dir=data_dir,
        origin=origin.value if origin else None,
        watcher=watcher,
    )
    computed: tuple[EngineName, str] = ("torch", device.value)
    if not dry_run:
        computed = settle_engine(searches, folder, engine.value, device.value, watcher)
    plan = SearchPlan(
        study=resolved.name,
        cells=searches,
        order=tuple(cell.cell for cell in resolved.all_cells),
        out=folder,
        storage=storage_of(storage, folder),
        sampler=sampler.value,
        seed=seed,
        trials=trials if trials or hours is not None else DEFAULT_TRIALS,
        engine=computed[0],
        device=computed[1],
        command=command_line(),
    )
    if dry_run:
        typer.echo("\n".join(_grid(plan)))
        return
    with hint_when_interrupted("  the same command goes on from the last checkpoint"):
        outcome = run_search(
            plan,
            workers=jobs or cores(),
            hours=hours,
            watcher=watcher,
            ended=lambda row: watcher.note(_line(row)),
        )
    _write(resolved.source, outcome, write)
    _tell(outcome, form, quiet, write)
    lacking = [cell.cell for cell in outcome.cells if cell.chosen is None]
    if lacking:
        typer.echo(
            f"nothing is selected, since no trial was completed: {', '.join(lacking)}", err=True
        )
        raise typer.Exit(1)


def _write(folder: Path, outcome: SearchOutcome, write: bool) -> None:
    from dae_cli.search.chosen import write_files

    if write:
        write_files(folder, [cell.chosen for cell in outcome.cells if cell.chosen])


def _line(row: TrialRow) -> str:
    """What a trial came to, on one line."""
    settings = " ".join(f"{key}={text}" for key, text in row.settings.items())
    result = row.error
    if row.valid_error_percent is not None:
        result = f"{row.valid_error_percent:.2f} % validation error, epoch {row.best_epoch}"
    took = f" in {minutes(row.minutes)}" if row.counts else ""
    return f"{row.state:<8} {row.cell} trial {row.trial}: {result}{took} ({settings})"


def _grid(plan: SearchPlan) -> list[str]:
    """What --dry-run prints: each cell with its trials so far, and its space."""
    from dae_cli.search.run import so_far

    rows = [("cell", "trials", "of", "dataset", "searched")]
    for cell, counts in zip(plan.cells, so_far(plan), strict=True):
        ended = counts.get("COMPLETE", 0) + counts.get("PRUNED", 0)
        running = counts.get("RUNNING", 0)
        have = f"{ended}, {running} begun" if running else str(ended)
        data = f"{cell.data.name} ({cell.data.origin})"
        keys = ", ".join(cell.searched.space)
        rows.append((cell.cell, have, str(plan.trials or "any"), data, keys))
    return [*columns(rows, [3, 3]), f"sampler {plan.sampler}, seed {plan.seed} · {plan.storage}"]


def _tell(outcome: SearchOutcome, form: SearchFormat, quiet: bool, written: bool) -> None:
    chosen = [cell.chosen for cell in outcome.cells if cell.chosen]
    if form is SearchFormat.json:
        typer.echo(json.dumps(_as_json(outcome), indent=2, ensure_ascii=False))
        return
    if quiet:
        typer.echo(label(outcome.table))
        return
    rows: list[tuple[str, ...]] = [_HEADER]
    for cell in outcome.cells:
        states = [row.state for row in cell.rows]
        failed = states.count("failed") + states.count("diverged")
        error, settings = DASH, DASH
        if cell.chosen:
            row = cell.chosen.row
            error = f"{row.valid_error_percent:.2f} % (trial {row.trial})"
            settings = " ".join(f"{key}={text}" for key, text in row.settings.items())
        numbers = (len(states), states.count("pruned"), failed)
        rows.append((cell.cell, *map(str, numbers), error, settings))
    if not written:
        for one in chosen:
            typer.echo(f"# {label(one.path)}\n{one.text}")
    elif chosen:
        names = ", ".join(label(one.path) for one in chosen)
        typer.echo(f"written: {names}", err=True)
    trials = "1 trial" if outcome.made == 1 else f"{outcome.made} trials"
    late = ", until the time ran out" if outcome.late else ""
    typer.echo("\n".join(columns(rows, [3])))
    typer.echo(f"{trials} in {minutes(outcome.minutes)}{late} · {label(outcome.table)}")


def _as_json(outcome: SearchOutcome) -> dict[str, Any]:
    def of_cell(cell: Any) -> dict[str, Any]:
        states = [row.state for row in cell.rows]
        return {
            "cell": cell.cell,
            "trials": len(states),
            **{s: states.count(s) for s in ("complete", "pruned", "diverged", "failed")},
            "selected": cell.chosen.row.plain() if cell.chosen else None,
            "file": str(cell.chosen.path) if cell.chosen else None,
        }

    return {
        "cells": [of_cell(cell) for cell in outcome.cells],
        "made": outcome.made,
        "time_ran_out": outcome.late,
        "minutes": round(outcome.minutes, 4),
        "table": str(outcome.table),
    }


def _check(study: str, cells: Any, folder: Path, quiet: bool) -> None:
    """Tell every difference between the files and search.csv; exit code 1 if there is one."""
    from dae_cli.search.chosen import differences

    found, not_searched = differences(study, cells, folder)
    if found:
        rows = [("cell", "what", "recorded", "expected")]
        rows += [(d.cell, d.what, d.recorded, d.expected) for d in found]
        typer.echo("\n".join(columns(rows)))
    if not quiet:
        agree = len(cells) - len(not_searched) - len({d.cell for d in found})
        lacking = f", {len(not_searched)} not searched yet" if not_searched else ""
        typer.echo(f"{agree} of {len(cells)} cells agree with search.csv{lacking}")
    if found:
        raise typer.Exit(1)
