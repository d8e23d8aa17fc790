"""What `dae search` prints: a line a trial, the table of cells, and what does not agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dae_cli.commands.options import Format
from dae_cli.commands.tables import DASH, as_json, columns, minutes
from dae_cli.config.names import label
from dae_cli.errors import DaeError

if TYPE_CHECKING:
    from dae_cli.config.search_cells import SearchedCell
    from dae_cli.search.plan import SearchPlan
    from dae_cli.search.run import CellOutcome, SearchOutcome
    from dae_cli.study.rows import TrialRow

_HEADER = ("cell", "trials", "pruned", "failed", "validation error", "settings")


def trial_line(row: TrialRow) -> str:
    """Return what a trial came to, on one line."""
    settings = " ".join(f"{key}={text}" for key, text in row.settings.items())
    result = row.error
    if row.valid_error_percent is not None:
        result = f"{row.valid_error_percent:.2f} % validation error, epoch {row.best_epoch}"
    took = f" in {minutes(row.minutes)}" if row.counts else ""
    return f"{row.state:<8} {row.cell} trial {row.trial}: {result}{took} ({settings})"


def grid(plan: SearchPlan, form: Format) -> list[str]:
    """Return what --dry-run prints: each cell with its trials so far, and its space."""
    from dae_cli.search.run import so_far
    from dae_cli.search.storage import without_password

    known = so_far(plan)
    if form == "json":
        return [as_json(_plan_as_json(plan, known))]
    rows = [("cell", "trials", "of", "dataset", "searched")]
    for cell, counts in zip(plan.cells, known, strict=True):
        ended = counts.get("COMPLETE", 0) + counts.get("PRUNED", 0)
        running = counts.get("RUNNING", 0)
        have = f"{ended}, {running} begun" if running else str(ended)
        data = f"{cell.data.name} ({cell.data.standing})"
        keys = ", ".join(cell.searched.space)
        rows.append((cell.cell, have, str(cell.trials or "any"), data, keys))
    for lacking in plan.lacking:
        told = f"{lacking.dataset} ({lacking.why})"
        rows += [(cell, DASH, DASH, told, DASH) for cell in lacking.cells]
    seeds = " and ".join(str(seed) for seed in dict.fromkeys(c.sampler_seed for c in plan.cells))
    return [
        *columns(rows, [3, 3]),
        f"sampler {plan.sampler}, seed {seeds} · {without_password(plan.storage)}",
    ]


def tell(outcome: SearchOutcome, form: Format, quiet: bool, written: bool) -> None:
    """Print the outcome: a table, JSON, or the path of search.csv."""
    chosen = [cell.chosen for cell in outcome.cells if cell.chosen]
    if form == "json":
        typer.echo(as_json(_as_json(outcome)))
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


def tell_what_is_next(study: str, folder: Path) -> None:
    """Say how results of other settings than those selected now are made anew, if there are any.

    Args:
        study: its name or path, as it was given.
        folder: where its results may stand.
    """
    from dae_cli.config.experiments import resolve_study
    from dae_cli.study.earlier_rows import EarlierRows
    from dae_cli.study.plan import Plan, default_out

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


def _as_json(outcome: SearchOutcome) -> dict[str, Any]:
    def of_cell(cell: CellOutcome) -> dict[str, Any]:
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


def _plan_as_json(plan: SearchPlan, known: Sequence[Mapping[str, int]]) -> dict[str, Any]:
    from dae_cli.search.storage import without_password

    return {
        "cells": [
            {
                "cell": cell.cell,
                "complete": counts.get("COMPLETE", 0),
                "pruned": counts.get("PRUNED", 0),
                "begun": counts.get("RUNNING", 0),
                "wanted": cell.trials,
                "sampler_seed": cell.sampler_seed,
                "dataset": cell.data.name,
                "data_origin": cell.data.origin,
                "trust": cell.data.trust,
                "searched": list(cell.searched.space),
            }
            for cell, counts in zip(plan.cells, known, strict=True)
        ],
        "lacking": [
            {"cell": cell, "dataset": one.dataset, "why": one.why}
            for one in plan.lacking
            for cell in one.cells
        ],
        "sampler": plan.sampler,
        "storage": without_password(plan.storage),
    }


def check_files(
    study: str, cells: Sequence[SearchedCell], folder: Path, form: Format, quiet: bool
) -> None:
    """Tell every difference between the files and search.csv; exit code 1 if there is one."""
    from dae_cli.search.chosen import differences

    found, not_searched = differences(study, cells, folder)
    agree = len(cells) - len(not_searched) - len({d.cell for d in found})
    if form == "json":
        told = {"differences": [asdict(d) for d in found], "not_searched": list(not_searched)}
        typer.echo(as_json({"cells": len(cells), "agree": agree, **told}))
    elif found:
        rows = [("cell", "what", "recorded", "expected")]
        rows += [(d.cell, d.what, d.recorded, d.expected) for d in found]
        typer.echo("\n".join(columns(rows)))
    if not quiet and form == "table":
        lacking = f", {len(not_searched)} not searched yet" if not_searched else ""
        typer.echo(f"{agree} of {len(cells)} cells agree with search.csv{lacking}")
    if found:
        raise typer.Exit(1)
