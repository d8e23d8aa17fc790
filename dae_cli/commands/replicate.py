"""`dae replicate`: every cell of a study, and the table beside the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dae_cli.commands.conditions import FailIf, conditions, fail, failures
from dae_cli.commands.errors import hint_when_interrupted
from dae_cli.commands.options import (
    AcceptUnverified,
    DataDir,
    DataOrigin,
    DeviceOption,
    EngineOption,
    Format,
    Jobs,
    Overrides,
    Photos,
    Quiet,
    ResultsFolder,
    Scheduler,
    Study,
    at_a_time,
    check_engine,
    cluster_at,
    command_line,
)
from dae_cli.commands.progress import progress_display
from dae_cli.commands.tables import DASH, as_json, columns, minutes, not_run, results, row_facts
from dae_cli.config.experiments import resolve_study
from dae_cli.config.names import label
from dae_cli.data.sources import DataOptions
from dae_cli.errors import RunFolderError
from dae_cli.machine import cores
from dae_cli.study.processes import start_server
from dae_cli.study.results_folder import cell_states
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.run.job import default_out
from dae_cli.study.run.provenance import not_known

if TYPE_CHECKING:
    from dae_cli.study.plan import Plan
    from dae_cli.study.replicate import Outcome

_STATES = {"new": "new", "stopped": "goes on", "done": "done"}


def replicate(
    study: Study,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CELL",
            help="Run this cell only, or those of a glob; repeatable.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Run each cell with N seeds.  [default: 1]", show_default=False
        ),
    ] = None,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    overrides: Overrides = None,
    device: DeviceOption = "cpu",
    engine: EngineOption = "auto",
    data_dir: DataDir = None,
    origin: DataOrigin = None,
    accept_unverified: AcceptUnverified = False,
    photos: Photos = None,
    out: ResultsFolder = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Show what would be run, fetched and regenerated; do nothing."
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Run again what is done, from the start.")
    ] = False,
    replaces: Annotated[
        bool,
        typer.Option(
            "--replace", help="Remove the folder's rows that have other settings or data."
        ),
    ] = False,
    fail_if: FailIf = None,
    quiet: Quiet = False,
    form: Format = "table",
) -> None:
    """Finished runs are skipped, stopped ones resumed; a cell that fails, or whose data cannot be
    fetched, does not stop the others. Runs of a dae with other numerics are run again; rows that
    are not asked for stay. Stops if earlier results would be lost, unless --replace is given.
    Where the study has reference rows, the last lines say how many runs are identical to them, and
    what the others likely differ by.

    Writes runs.csv, table.csv, wrong_rows.csv, mcnemar.csv, REPORT.md, report.html, settings.yaml
    and pictures; of a study on filters runs.csv, filters.csv, figures.csv, REPORT.md,
    settings.yaml and its figures.
    """
    check_engine(engine, device)
    asked = conditions(fail_if or (), TableRow)
    resolved = resolve_study(study, overrides or (), only or ())
    folder = out or default_out(resolved.name, overrides or ())
    if (jobs or cores()) > 1 and not scheduler and not dry_run:
        states = cell_states(resolved, folder).values()
        if force or seeds or any(state != "done" for state in states):
            start_server()  # it imports at the same time as this process

    from dae_cli.study.plan import plan_study
    from dae_cli.study.replicate import run_plan
    from dae_cli.study.results_folder import EarlierRows

    with (
        progress_display(quiet=quiet) as display,
        cluster_at(scheduler, data_dir, display) as cluster,
    ):
        plan = plan_study(
            resolved,
            seeds=seeds,
            out=folder,
            options=DataOptions(data_dir, origin, accept_unverified, photos),
            device=device,
            engine=engine,
            replaces=replaces,
            watcher=display,
            dry=dry_run,
        )
        if not dry_run:
            EarlierRows(plan).require_none_lost()
            ahead = [run.job for run in plan.runs if force or run.state != "done"]
            places = cluster.size if cluster else cores()
            display.note(_announcement(len(plan.runs), len(ahead), jobs or places))
            display.expect(ahead)
            how = "the same command without --force" if force else "the same command"
            with hint_when_interrupted(f"  {how} goes on from the last checkpoint"):
                outcome = run_plan(
                    plan,
                    jobs=at_a_time(jobs, cluster),
                    force=force,
                    watcher=display,
                    command=command_line(),
                    cluster=cluster,
                )
    if dry_run:
        typer.echo("\n".join(_planned_runs(plan, force)) if form == "table" else _as_json(plan))
        try:
            EarlierRows(plan).require_none_lost()
        except RunFolderError as error:
            typer.echo(f"without --dry-run this would be refused: {error}", err=True)
        return

    every = {(row.cell, row.run): row for row in outcome.rows}
    rows = [every[run.job.cell, run.job.name] for run in plan.runs]
    problems = [f"{row.run} failed: {row.error}" for row in rows if row.error]
    problems += not_run(plan.lacking)
    if form == "json":
        typer.echo("".join(f"{line}\n" for line in problems), err=True, nl=False)
        typer.echo(_as_json(plan, outcome, rows))
    elif quiet:
        typer.echo("".join(f"{line}\n" for line in problems), err=True, nl=False)
        typer.echo(label(outcome.report))
    else:
        if unknown_commit := not_known(row.commit for row in rows):
            problems.append(unknown_commit)
        typer.echo("\n".join(["", *_ended_runs(plan, rows, force), *problems, ""]), err=True)
        typer.echo("\n".join(_results(plan, outcome, rows)))
    ours = [row for row in outcome.table if row.cell in {run.job.cell for run in plan.runs}]
    fail(failures(asked, ours))
    if outcome.failed or plan.lacking:
        raise typer.Exit(1)


def _announcement(total: int, ahead: int, places: int) -> str:
    runs = "1 run" if total == 1 else f"{total} runs"
    if not ahead:
        return f"{runs}, all done already; --force runs them again"
    done = f", {total - ahead} of them done already" if ahead < total else ""
    together = min(places, ahead)
    return f"{runs}{done}" + (f", {together} at a time" if together > 1 else "")


def _planned_runs(plan: Plan, force: bool) -> list[str]:
    """What --dry-run prints: each run with its state and data."""
    rows = [("cell", "run", "state", "dataset")]
    for run in plan.runs:
        state = "starts over" if force and run.state != "new" else _STATES[run.state]
        data = run.job.data
        rows.append((run.job.cell, run.job.name, state, f"{data.name} ({data.standing})"))
    for lacking in plan.lacking:
        data_and_why = f"{lacking.dataset} ({lacking.why})"
        rows += [(cell, DASH, "not known", data_and_why) for cell in lacking.cells]
    ahead = sum(force or run.state != "done" for run in plan.runs)
    count = f"{ahead} of {len(plan.runs)} to run"
    if cells := sum(len(lacking.cells) for lacking in plan.lacking):
        count += f", and {cells} {'cell' if cells == 1 else 'cells'} whose data are not here yet"
    return [*columns(rows, [3, 3, 3]), f"{count} · {label(plan.out)}"]


def _as_json(plan: Plan, outcome: Outcome | None = None, rows: Sequence[RunRow] = ()) -> str:
    """The runs, and what they came to where they were made; of a data set, which cells lack it."""
    facts: dict[str, Any] = {"study": plan.study.name, "folder": label(plan.out)}
    lacking = [asdict(one) for one in plan.lacking]
    if outcome is None:
        runs = [
            {
                "cell": run.job.cell,
                "run": run.job.name,
                "state": run.state,
                "dataset": run.job.data.name,
                "data_origin": run.job.data.origin,
                "data_sha256": run.job.data.sha256,
            }
            for run in plan.runs
        ]
        return as_json(facts | {"runs": runs, "lacking": lacking})
    counts = {name: getattr(outcome, name) for name in ("done", "skipped", "failed", "minutes")}
    facts |= counts | {"report": label(outcome.report)}
    facts |= {"table": list(map(row_facts, outcome.table)), "runs": list(map(row_facts, rows))}
    return as_json(facts | {"lacking": lacking})


def _ended_runs(plan: Plan, rows: Sequence[RunRow], force: bool) -> list[str]:
    """What became of each run, for stderr."""
    lines = [("cell", "run", "", "time")]
    for run, row in zip(plan.runs, rows, strict=True):
        skipped = run.state == "done" and not force
        how = "failed" if row.error else "skipped" if skipped else "done"
        lines.append((row.cell, row.run, how, minutes(row.minutes)))
    return columns(lines, [3, 3, 3])


def _results(plan: Plan, outcome: Outcome, rows: Sequence[RunRow]) -> list[str]:
    """The table, how many runs it took, and what is identical to the reference; for stdout."""
    from dae_cli.study.reference import agreement

    lines = list(outcome.judgements)
    if outcome.table:
        lines = results(outcome.table, plan.study.changed)
    lines.append(
        f"{outcome.done} done, {outcome.skipped} skipped, {outcome.failed} failed "
        f"in {minutes(outcome.minutes)} · {label(outcome.report)}"
    )
    if comparison := agreement(plan.study, rows):
        lines += comparison.lines()
    return lines
