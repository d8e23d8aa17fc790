"""`dae replicate`: every cell of a study, and the table beside the paper's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dae_cli.commands.clusters import at_a_time, cluster_at
from dae_cli.commands.console import watching
from dae_cli.commands.options import (
    AcceptUnverified,
    DataDir,
    DataOrigin,
    Device,
    DeviceOption,
    Engine,
    EngineOption,
    Overrides,
    Photos,
    Quiet,
    ResultsFolder,
    Scheduler,
    Study,
    check_engine,
    command_line,
)
from dae_cli.commands.tables import DASH, columns, minutes, not_run, results, text_width
from dae_cli.commands.telling import hint_when_interrupted
from dae_cli.config.names import label
from dae_cli.errors import RunFolderError
from dae_cli.machine import cores

if TYPE_CHECKING:
    from dae_cli.study.plan import Plan
    from dae_cli.study.replicate import Outcome
    from dae_cli.study.rows import RunRow
    from dae_cli.study.run.job import PlannedRun


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
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            metavar="N",
            help="Runs at a time, one thread each.  [default: the cores; or the cluster's workers]",
            show_default=False,
        ),
    ] = None,
    scheduler: Scheduler = None,
    overrides: Overrides = None,
    device: DeviceOption = Device.cpu,
    engine: EngineOption = Engine.auto,
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
            "--replace", help="Give up the rows of other settings or data that are in the folder."
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Run every cell of a study and compare it with the paper.

    What is done is skipped, what was stopped goes on, a cell that fails, or whose data cannot be
    fetched, does not stop the others.
    Runs that a dae with other numerics made are made anew; what is not asked for stays beside them.
    Refused where rows of earlier results would be lost, unless --replace gives them up.
    Where the study has reference rows, the last lines say how many runs are identical to them, and
    what the others likely differ by.
    Writes runs.csv, table.csv, wrong_rows.csv, mcnemar.csv, REPORT.md, report.html, settings.yaml
    and pictures; of a study on filters runs.csv, filters.csv, figures.csv, REPORT.md,
    settings.yaml and its figures.
    """
    from dae_cli.config.experiments import resolve_study

    check_engine(engine, device)
    resolved = resolve_study(study, overrides or (), only or ())

    from dae_cli.data.sources import DataOptions
    from dae_cli.study.earlier_rows import require_rows_kept
    from dae_cli.study.plan import default_out, plan_study
    from dae_cli.study.replicate import run_plan

    folder = out or default_out(resolved.name, overrides or ())
    with watching(quiet=quiet) as watcher, cluster_at(scheduler, data_dir, watcher) as cluster:
        plan = plan_study(
            resolved,
            seeds=seeds,
            out=folder,
            options=DataOptions(
                data_dir, origin.value if origin else None, accept_unverified, photos
            ),
            device=device.value,
            engine=engine.value,
            replaces=replaces,
            watcher=watcher,
            dry=dry_run,
        )
        if not dry_run:
            require_rows_kept(plan)
            ahead = [run.job for run in plan.runs if force or run.state != "done"]
            places = cluster.size if cluster else cores()
            watcher.note(_announcement(len(plan.runs), len(ahead), jobs or places))
            watcher.expect(ahead)
            how = "the same command without --force" if force else "the same command"
            with hint_when_interrupted(f"  {how} goes on from the last checkpoint"):
                outcome = run_plan(
                    plan,
                    jobs=at_a_time(jobs, cluster),
                    force=force,
                    watcher=watcher,
                    command=command_line(),
                    scheduler=cluster,
                )
    if dry_run:
        typer.echo("\n".join(_grid(plan, force)))
        try:
            require_rows_kept(plan)
        except RunFolderError as error:
            typer.echo(f"without --dry-run this would be refused: {error}", err=True)
        return
    _tell(plan, outcome, force, quiet)
    if outcome.failed or plan.lacking:
        raise typer.Exit(1)


def _announcement(total: int, ahead: int, workers: int) -> str:
    runs = "1 run" if total == 1 else f"{total} runs"
    if not ahead:
        return f"{runs}, all done already; --force runs them again"
    done = f", {total - ahead} of them done already" if ahead < total else ""
    at_a_time = min(workers, ahead)
    return f"{runs}{done}" + (f", {at_a_time} at a time" if at_a_time > 1 else "")


def _grid(plan: Plan, force: bool) -> list[str]:
    """What --dry-run prints: each run with its state and data."""
    states = {"new": "new", "stopped": "goes on", "done": "done"}
    rows = [("cell", "run", "state", "dataset")]
    for run in plan.runs:
        state = "starts over" if force and run.state != "new" else states[run.state]
        data = run.job.data
        rows.append((run.job.cell, run.job.name, state, f"{data.name} ({data.standing})"))
    for lacking in plan.lacking:
        told = f"{lacking.dataset} ({lacking.why})"
        rows += [(cell, DASH, "not known", told) for cell in lacking.cells]
    ahead = sum(force or run.state != "done" for run in plan.runs)
    count = f"{ahead} of {len(plan.runs)} to run"
    if cells := sum(len(lacking.cells) for lacking in plan.lacking):
        count += f", and {cells} {'cell' if cells == 1 else 'cells'} whose data are not here yet"
    return [*columns(rows, [3, 3, 3]), f"{count} · {label(plan.out)}"]


def _tell(plan: Plan, outcome: Outcome, force: bool, quiet: bool) -> None:
    """Two tables: what became of the runs (stderr), and the results (stdout)."""
    from dae_cli.study.reference import agreement
    from dae_cli.study.run.provenance import not_known

    rows = {row.run: row for row in outcome.rows}
    made = [(run, rows[run.job.name]) for run in plan.runs]
    errors = [f"{row.run} failed: {row.error}" for _, row in made if row.error]
    errors += not_run(plan.lacking)
    if quiet:
        typer.echo("".join(f"{line}\n" for line in errors), err=True, nl=False)
        typer.echo(label(outcome.report))
        return
    if told := not_known(row.commit for _, row in made):
        errors.append(told)
    cells = [("cell", "run", "", "time")]
    for run, row in made:
        cells.append((row.cell, row.run, _became(run, row, force), minutes(row.minutes)))
    typer.echo("\n".join(["", *columns(cells, [3, 3, 3]), *errors, ""]), err=True)
    lines = (
        results(outcome.table, text_width(), plan.study.changed)
        if outcome.table
        else outcome.judgements
    )
    lines.append(
        f"{outcome.done} done, {outcome.skipped} skipped, {outcome.failed} failed "
        f"in {minutes(outcome.minutes)} · {label(outcome.report)}"
    )
    if beside := agreement(plan.study, [row for _, row in made]):
        lines += beside.lines()
    typer.echo("\n".join(lines))


def _became(run: PlannedRun, row: RunRow, force: bool) -> str:
    if row.error:
        return "failed"
    return "skipped" if run.state == "done" and not force else "done"
