"""`dae search`: select settings on validation rows and write them into the experiment files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dae_cli.commands import completion
from dae_cli.commands.errors import checks_of_dry_run, hint_when_interrupted
from dae_cli.commands.help import OUTPUT
from dae_cli.commands.options import (
    AcceptUnverified,
    DataDir,
    DataOrigin,
    DeviceOption,
    EngineOption,
    Format,
    Jobs,
    Quiet,
    Scheduler,
    Study,
    at_a_time,
    cluster_at,
    command_line,
    folder,
)
from dae_cli.commands.progress import Display
from dae_cli.commands.tables import DASH, as_json, columns, minutes, not_run
from dae_cli.config.names import label

if TYPE_CHECKING:
    from dae_cli.config.search_cells import SearchedCell
    from dae_cli.search.plan import SearchPlan
    from dae_cli.search.run import SearchOutcome
    from dae_cli.study.rows import TrialRow

DEFAULT_TRIALS = 25
SEARCH = "Search"
"""Panel of the options that only a search has."""


def search(
    study: Study,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CELL",
            help="Search only this cell, or the cells that match a glob; repeatable.",
            autocompletion=completion.cells,
            rich_help_panel=SEARCH,
        ),
    ] = None,
    sampler: Annotated[
        Literal["random", "tpe"],
        typer.Option(help="tpe is optuna's model-based sampler.", rich_help_panel=SEARCH),
    ] = "random",
    trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Number of complete or pruned trials of each cell.  [default: from study.yaml, "
            f"else {DEFAULT_TRIALS}; no limit with --hours]",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    hours: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            metavar="H",
            help="Stop after this time; unfinished trials keep a checkpoint.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=2**32 - 1,
            metavar="N",
            help="Seed of the sampler.  [default: from study.yaml, else 0]",
            rich_help_panel=SEARCH,
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
            metavar="DIR",
            parser=folder,
            help="Folder for search.csv and the checkpoints.  [default: results/STUDY]",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    write: Annotated[
        bool,
        typer.Option(
            help="Write the selected settings into the experiment files.", rich_help_panel=OUTPUT
        ),
    ] = True,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Compare the experiment files with search.csv; search nothing."
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="List the trials and the data to be downloaded; search nothing."
        ),
    ] = False,
    form: Format = "table",
    quiet: Quiet = False,
) -> None:
    """The search section of study.yaml defines the search space; test rows are never used. Stopped
    trials are resumed, and several commands can share the work. Writes search.csv with one row per
    trial, and the best settings into the experiment files.
    """
    from dae_cli.config.search_cells import resolve_search

    resolved, cells = resolve_search(study, only or ())

    from dae_cli.data.sources import DataOptions
    from dae_cli.search.plan import plan_search
    from dae_cli.search.sampling import require_extra
    from dae_cli.search.selection import check_writable, write_files
    from dae_cli.study.results_folder import check_writable as check_results_writable

    results = out or Path("results") / resolved.name
    if check:
        _check(resolved.name, cells, results, form, quiet)
        return
    require_extra()
    if write and not dry_run:
        check_writable(resolved.source)
    watcher = Display(quiet=quiet)
    with cluster_at(None if dry_run else scheduler, data_dir, watcher) as cluster:
        plan = plan_search(
            resolved,
            cells,
            out=results,
            options=DataOptions(data_dir, origin, accept_unverified),
            trials=trials,
            usual_trials=DEFAULT_TRIALS if hours is None else None,
            sampler=sampler,
            sampler_seed=seed,
            engine=engine,
            device=device,
            command=command_line(),
            watcher=watcher,
            dry=dry_run,
        )
        if dry_run:
            typer.echo(_plan_text(plan, form))
            with checks_of_dry_run():
                if write:
                    check_writable(resolved.source)
                check_results_writable(plan.trials, dry=True)
            return

        from dae_cli.search.run import run_search

        with hint_when_interrupted("  to resume from the last checkpoint, run the same command"):
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
    _print_outcome(outcome, plan.table, form, quiet, write)
    problems = not_run(plan.lacking)
    if lacking := ", ".join(cell for cell in outcome.rows if cell not in outcome.selections):
        problems.append(f"no settings selected, because no trial was completed: {lacking}")
    for line in problems:
        typer.echo(line, err=True)
    if problems:
        raise typer.Exit(1)


def _trial_line(row: TrialRow) -> str:
    """Return the result of a trial, on one line."""
    result = row.error
    if row.valid_error_percent is not None:
        result = f"{row.valid_error_percent:.2f} % validation error, epoch {row.best_epoch}"
    took = f" in {minutes(row.minutes)}" if row.counts else ""
    return f"{row.state:<8} {row.cell} trial {row.trial}: {result}{took} ({_settings(row)})"


def _settings(row: TrialRow) -> str:
    return " ".join(f"{key}={text}" for key, text in row.settings.items())


def _states(rows: Sequence[TrialRow]) -> dict[str, int]:
    states = [row.state for row in rows]
    return {name: states.count(name) for name in ("complete", "pruned", "diverged", "failed")}


def _plan_text(plan: SearchPlan, form: Format) -> str:
    """Return the text of --dry-run: each cell with its trials so far and its search space."""
    from dae_cli.search.trials import trials_of

    rows = [("cell", "trials", "of", "dataset", "searched")]
    searched: list[dict[str, Any]] = []
    for trials in trials_of(plan):
        cell, begun = trials.cell, len(trials.unfinished)
        states, data = _states([*trials.rows.values()]), cell.data
        searched.append(
            {
                "cell": cell.cell,
                **states,
                "begun": begun,
                "wanted": cell.trials,
                "sampler_seed": cell.sampler_seed,
                "dataset": data.name,
                "data_origin": data.origin,
                "trust": data.trust,
                "searched": list(cell.space),
            }
        )
        have = f"{states['complete'] + states['pruned']}" + (f", {begun} begun" if begun else "")
        keys = ", ".join(cell.space)
        named = f"{data.name} ({data.standing})"
        rows.append((cell.cell, have, str(cell.trials or "any"), named, keys))
    lacking = [
        {"cell": cell, "dataset": one.dataset, "why": one.why}
        for one in plan.lacking
        for cell in one.cells
    ]
    if form == "json":
        whole = {"cells": searched, "lacking": lacking, "sampler": plan.sampler}
        return as_json(whole | {"table": str(plan.table)})
    rows += [(o["cell"], DASH, DASH, f"{o['dataset']} ({o['why']})", DASH) for o in lacking]
    seeds = " and ".join(str(seed) for seed in dict.fromkeys(c.sampler_seed for c in plan.cells))
    last = f"sampler {plan.sampler}, seed {seeds} · {label(plan.table)}"
    return "\n".join([*columns(rows, [3, 3]), last])


def _print_outcome(
    outcome: SearchOutcome, path: Path, form: Format, quiet: bool, written: bool
) -> None:
    """Print a table, JSON, or the path of search.csv."""
    cells: list[dict[str, Any]] = []
    table: list[tuple[str, ...]] = [
        ("cell", "trials", "pruned", "failed", "validation error", "settings")
    ]
    for cell, rows in outcome.rows.items():
        states, error, settings = _states(rows), DASH, DASH
        selected: dict[str, Any] = {"selected": None, "file": None}
        if selection := outcome.selections.get(cell):
            row = selection.row
            error = f"{row.valid_error_percent:.2f} % (trial {row.trial})"
            settings = _settings(row)
            selected = {"selected": asdict(row), "file": str(selection.path)}
        cells.append({"cell": cell, "trials": len(rows), **states, **selected})
        counts = (len(rows), states["pruned"], states["failed"] + states["diverged"])
        table.append((cell, *map(str, counts), error, settings))
    if form == "json":
        whole = {"cells": cells, "made": outcome.ended, "time_ran_out": outcome.is_late}
        whole |= {"minutes": round(outcome.minutes, 4), "table": str(path)}
        typer.echo(as_json(whole))
        return
    if quiet:
        typer.echo(label(path))
        return
    for one in outcome.selections.values():
        if written:
            typer.echo(f"written: {label(one.path)}", err=True)
        else:
            typer.echo(f"# {label(one.path)}\n{one.text}")
    count = "1 trial" if outcome.ended == 1 else f"{outcome.ended} trials"
    late = ", stopped by --hours" if outcome.is_late else ""
    typer.echo("\n".join(columns(table, [3])))
    typer.echo(f"{count} in {minutes(outcome.minutes)}{late} · {label(path)}")


def _check(
    study: str, cells: Sequence[SearchedCell], results: Path, form: Format, quiet: bool
) -> None:
    """Print the differences between the files and search.csv; exit with code 1 if there are any."""
    from dae_cli.search.selection import differences

    differing, not_searched = differences(study, cells, results)
    agree = len(cells) - len(not_searched) - len({one["cell"] for one in differing})
    if form == "json":
        counts = {"cells": len(cells), "agree": agree}
        typer.echo(as_json({**counts, "differences": differing, "not_searched": not_searched}))
    else:
        if differing:
            lines = [list(one.values()) for one in differing]
            typer.echo("\n".join(columns([list(differing[0]), *lines])))
        if not quiet:
            lacking = f", {len(not_searched)} not searched yet" if not_searched else ""
            typer.echo(f"{agree} of {len(cells)} cells agree with search.csv{lacking}")
    if differing:
        raise typer.Exit(1)
