"""`dae search`: settings selected on validation rows, and written into the experiment files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dae_cli.commands.errors import hint_when_interrupted
from dae_cli.commands.options import (
    AcceptUnverified,
    DataDir,
    DataOrigin,
    DeviceOption,
    EngineOption,
    Format,
    Quiet,
    Scheduler,
    Study,
    at_a_time,
    check_engine,
    cluster_at,
    command_line,
    folder,
)
from dae_cli.commands.progress import Display, Lines
from dae_cli.commands.tables import DASH, as_json, columns, minutes, not_run
from dae_cli.config.names import label
from dae_cli.errors import DaeError

if TYPE_CHECKING:
    from dae_cli.config.search_cells import SearchedCell
    from dae_cli.engines.names import EngineName
    from dae_cli.search.plan import SearchPlan
    from dae_cli.search.run import SearchOutcome
    from dae_cli.study.rows import TrialRow

DEFAULT_TRIALS = 25


def search(
    study: Study,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CELL",
            help="Search this cell only, or those of a glob; repeatable.",
            show_default=False,
        ),
    ] = None,
    sampler: Annotated[
        Literal["random", "tpe"], typer.Option(help="tpe is optuna's model-based sampler.")
    ] = "random",
    trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Complete or pruned trials that each cell is to have.  "
            f"[default: as study.yaml says, else {DEFAULT_TRIALS}, with --hours no limit]",
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
            help="Trials at a time, one thread each.  "
            "[default: the cores; or the cluster's workers]",
            show_default=False,
        ),
    ] = None,
    scheduler: Scheduler = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=2**32 - 1,
            metavar="N",
            help="Of the sampler.  [default: as study.yaml says, else 0]",
            show_default=False,
        ),
    ] = None,
    device: DeviceOption = "cpu",
    engine: EngineOption = "auto",
    data_dir: DataDir = None,
    origin: DataOrigin = None,
    accept_unverified: AcceptUnverified = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            parser=folder,
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
        bool,
        typer.Option(
            "--dry-run", help="Show what would be searched, fetched, regenerated; do nothing."
        ),
    ] = False,
    form: Format = "table",
    quiet: Quiet = False,
) -> None:
    """The search section of study.yaml says what is searched; no test row is counted. Hopeless
    trials are pruned; what was stopped goes on; several commands share the work. Writes
    search.csv, a row a trial, and the best settings into the experiment files; trials of an
    earlier space or other fixed settings go to search_earlier.csv.
    """
    from dae_cli.config.search_cells import resolve_search

    check_engine(engine, device)
    resolved, cells = resolve_search(study, only or ())

    from dae_cli.search.plan import SearchPlan, cell_searches, settle_engine
    from dae_cli.search.sampling import require_extra
    from dae_cli.search.selection import check_writable, write_files

    results = out or Path("results") / resolved.name
    if check:
        _check(resolved.name, cells, results, form, quiet)
        return
    require_extra()
    if write and not dry_run:
        check_writable(resolved.source)

    from dae_cli.data.sources import DataOptions
    from dae_cli.search.run import run_search

    watcher = Display() if quiet else Lines()
    address = None if dry_run else scheduler
    with cluster_at(address, data_dir, watcher) as cluster:
        searches, without_data = cell_searches(
            resolved,
            cells,
            options=DataOptions(data_dir, origin, accept_unverified),
            trials=trials,
            usual_trials=DEFAULT_TRIALS if hours is None else None,
            sampler_seed=seed,
            watcher=watcher,
            dry=dry_run,
        )
        computed: tuple[EngineName, str] = ("torch", device)
        if not dry_run:
            computed = settle_engine(searches, results, engine, device, watcher)
        plan = SearchPlan(
            study=resolved.name,
            cells=searches,
            order=tuple(cell.cell for cell in resolved.all_cells),
            out=results,
            sampler=sampler,
            engine=computed[0],
            device=computed[1],
            command=command_line(),
            lacking=without_data,
        )
        if dry_run:
            typer.echo(_plan_text(plan, form))
            return
        with hint_when_interrupted("  the same command goes on from the last checkpoint"):
            outcome = run_search(
                plan,
                workers=at_a_time(jobs, cluster),
                hours=hours,
                watcher=watcher,
                on_end=lambda row: watcher.note(_trial_line(row)),
                cluster=cluster,
            )
    if write:
        write_files(resolved.source, outcome.selections)
    _print_outcome(outcome, form, quiet, write)
    if write and not quiet:
        _hint_at_outdated_results(study, results)
    lacking = [cell.cell for cell in outcome.cells if cell.selection is None]
    if lacking:
        typer.echo(
            f"nothing is selected, since no trial was completed: {', '.join(lacking)}", err=True
        )
    for line in not_run(plan.lacking):
        typer.echo(line, err=True)
    if lacking or plan.lacking:
        raise typer.Exit(1)


def _trial_line(row: TrialRow) -> str:
    """What a trial came to, on one line."""
    result = row.error
    if row.valid_error_percent is not None:
        result = f"{row.valid_error_percent:.2f} % validation error, epoch {row.best_epoch}"
    took = f" in {minutes(row.minutes)}" if row.counts else ""
    return f"{row.state:<8} {row.cell} trial {row.trial}: {result}{took} ({_settings(row)})"


def _settings(row: TrialRow) -> str:
    return " ".join(f"{key}={text}" for key, text in row.settings.items())


def _plan_text(plan: SearchPlan, form: Format) -> str:
    """What --dry-run prints: each cell with its trials so far, and its space."""
    from dae_cli.search.trials import trials_of

    counts = [trials.count_by_state for trials in trials_of(plan)]
    cells = list(zip(plan.cells, counts, strict=True))
    if form == "json":
        searched = [
            {
                "cell": cell.cell,
                "complete": states["complete"],
                "pruned": states["pruned"],
                "begun": states["unfinished"],
                "wanted": cell.trials,
                "sampler_seed": cell.sampler_seed,
                "dataset": cell.data.name,
                "data_origin": cell.data.origin,
                "trust": cell.data.trust,
                "searched": list(cell.searched.space),
            }
            for cell, states in cells
        ]
        lacking = [
            {"cell": cell, "dataset": one.dataset, "why": one.why}
            for one in plan.lacking
            for cell in one.cells
        ]
        whole = {"cells": searched, "lacking": lacking, "sampler": plan.sampler}
        return as_json(whole | {"table": str(plan.table)})
    rows = [("cell", "trials", "of", "dataset", "searched")]
    for cell, states in cells:
        have, begun = states["complete"] + states["pruned"], states["unfinished"]
        shown = f"{have}, {begun} begun" if begun else str(have)
        data = f"{cell.data.name} ({cell.data.standing})"
        keys = ", ".join(cell.searched.space)
        rows.append((cell.cell, shown, str(cell.trials or "any"), data, keys))
    for one in plan.lacking:
        rows += [(cell, DASH, DASH, f"{one.dataset} ({one.why})", DASH) for cell in one.cells]
    seeds = " and ".join(str(seed) for seed in dict.fromkeys(c.sampler_seed for c in plan.cells))
    last = f"sampler {plan.sampler}, seed {seeds} · {label(plan.table)}"
    return "\n".join([*columns(rows, [3, 3]), last])


def _print_outcome(outcome: SearchOutcome, form: Format, quiet: bool, written: bool) -> None:
    """Print a table, JSON, or the path of search.csv."""
    if form == "json":
        typer.echo(as_json(_outcome_values(outcome)))
        return
    if quiet:
        typer.echo(label(outcome.table))
        return
    rows: list[tuple[str, ...]] = [
        ("cell", "trials", "pruned", "failed", "validation error", "settings")
    ]
    for cell in outcome.cells:
        states = [row.state for row in cell.rows]
        failed = states.count("failed") + states.count("diverged")
        error, settings = DASH, DASH
        if cell.selection:
            row = cell.selection.row
            error = f"{row.valid_error_percent:.2f} % (trial {row.trial})"
            settings = _settings(row)
        counts = (len(states), states.count("pruned"), failed)
        rows.append((cell.cell, *map(str, counts), error, settings))
    if not written:
        for one in outcome.selections:
            typer.echo(f"# {label(one.path)}\n{one.text}")
    elif outcome.selections:
        names = ", ".join(label(one.path) for one in outcome.selections)
        typer.echo(f"written: {names}", err=True)
    count = "1 trial" if outcome.ended == 1 else f"{outcome.ended} trials"
    late = ", until the time ran out" if outcome.is_late else ""
    typer.echo("\n".join(columns(rows, [3])))
    typer.echo(f"{count} in {minutes(outcome.minutes)}{late} · {label(outcome.table)}")


def _outcome_values(outcome: SearchOutcome) -> dict[str, Any]:
    cells = []
    for cell in outcome.cells:
        states = [row.state for row in cell.rows]
        counts = {s: states.count(s) for s in ("complete", "pruned", "diverged", "failed")}
        selected = cell.selection
        values = {
            "selected": asdict(selected.row) if selected else None,
            "file": str(selected.path) if selected else None,
        }
        cells.append({"cell": cell.cell, "trials": len(states), **counts, **values})
    return {
        "cells": cells,
        "made": outcome.ended,
        "time_ran_out": outcome.is_late,
        "minutes": round(outcome.minutes, 4),
        "table": str(outcome.table),
    }


def _hint_at_outdated_results(study: str, folder: Path) -> None:
    """Say how results of other settings than those selected now are replaced, if there are any.

    Args:
        study: its name or path, as it was given.
        folder: that may have results of it.
    """
    from dae_cli.config.experiments import resolve_study
    from dae_cli.study.plan import Plan
    from dae_cli.study.results_folder import EarlierRows
    from dae_cli.study.run.job import default_out

    with suppress(DaeError):  # a damaged runs.csv is not the search's concern
        resolved = resolve_study(study)
        if EarlierRows(Plan(resolved, folder, ())).lost:
            usual = folder.absolute() == default_out(resolved.name, ()).absolute()
            own = "" if usual else f" --out {label(folder)}"
            typer.echo(
                f"{label(folder)} has results of other settings than those selected now: "
                f"dae replicate {study}{own} --replace makes them anew; with another --out both "
                "stay",
                err=True,
            )


def _check(
    study: str, cells: Sequence[SearchedCell], folder: Path, form: Format, quiet: bool
) -> None:
    """Print every difference between the files and search.csv; exit code 1 if there is one."""
    from dae_cli.search.selection import differences

    differing, not_searched = differences(study, cells, folder)
    agree = len(cells) - len(not_searched) - len({one.cell for one in differing})
    if form == "json":
        counts = {"cells": len(cells), "agree": agree}
        lists = {"differences": [asdict(one) for one in differing], "not_searched": not_searched}
        typer.echo(as_json(counts | lists))
    elif differing:
        rows = [("cell", "what", "recorded", "expected")]
        rows += [(one.cell, one.what, one.recorded, one.expected) for one in differing]
        typer.echo("\n".join(columns(rows)))
    if not quiet and form == "table":
        lacking = f", {len(not_searched)} not searched yet" if not_searched else ""
        typer.echo(f"{agree} of {len(cells)} cells agree with search.csv{lacking}")
    if differing:
        raise typer.Exit(1)
