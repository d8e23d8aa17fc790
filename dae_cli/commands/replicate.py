"""`dae replicate`: run every cell of a study and compare the table with the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dae_cli.commands import completion, options
from dae_cli.commands.conditions import Condition, FailIf, conditions, fail_where
from dae_cli.commands.errors import checks_of_dry_run, hint_when_interrupted
from dae_cli.commands.help import RUNS
from dae_cli.commands.progress import progress_display
from dae_cli.commands.tables import DASH, as_json, columns, minutes, not_run, results, row_facts
from dae_cli.config.experiments import ResolvedStudy, find_study
from dae_cli.config.grid import resolve_sweep
from dae_cli.config.names import label
from dae_cli.config.schema import AnyExperiment
from dae_cli.data.sources import DataOptions
from dae_cli.engines.names import EngineChoice
from dae_cli.errors import OutputError
from dae_cli.machine import cores
from dae_cli.study.processes import start_server
from dae_cli.study.results_folder import cell_states
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.run.job import PlannedRun, default_out
from dae_cli.study.run.provenance import not_known

if TYPE_CHECKING:
    from dae_cli.study.estimate import Estimate
    from dae_cli.study.plan import Plan
    from dae_cli.study.replicate import Outcome


def replicate(
    study: options.Study,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CELL",
            help="Run only this cell, or the cells that match a glob; repeatable.",
            autocompletion=completion.cells,
            rich_help_panel=RUNS,
        ),
    ] = None,
    seeds: options.Seeds = None,
    jobs: options.Jobs = None,
    scheduler: options.Scheduler = None,
    overrides: options.Overrides = None,
    grid: options.Grid = None,
    device: options.DeviceOption = "cpu",
    engine: options.EngineOption = "auto",
    data_dir: options.DataDir = None,
    origin: options.DataOrigin = None,
    accept_unverified: options.AcceptUnverified = False,
    photos: options.Photos = None,
    out: options.ResultsFolder = None,
    dry_run: options.DryRun = False,
    force: Annotated[
        bool, typer.Option("--force", help="Re-run finished and stopped runs from the start.")
    ] = False,
    replaces: Annotated[
        bool,
        typer.Option("--replace", help="Remove earlier rows made with other settings or data."),
    ] = False,
    fail_if: FailIf = None,
    plots: options.Plots = None,
    quiet: options.Quiet = False,
    form: options.Format = "table",
) -> None:
    """Finished runs are skipped and stopped runs resumed. A cell that fails, or whose data are not
    available, does not stop the others. The command refuses to remove earlier results unless
    --replace is given. It writes tables, plots, REPORT.md and report.html; docs/results.md
    describes every file.
    """
    name, changes = find_study(study).name, (overrides or (), grid or (), only or ())
    resolved = resolve_sweep(study, *changes)
    asked = conditions(fail_if or (), TableRow, resolved.differing_settings.values())
    run_study(
        resolved,
        out or default_out(name, *changes),
        seeds=seeds,
        jobs=jobs,
        scheduler=scheduler,
        device=device,
        engine=engine,
        sources=DataOptions(data_dir, origin, accept_unverified, photos),
        dry_run=dry_run,
        force=force,
        replaces=replaces,
        plots=plots or (),
        asked=asked,
        quiet=quiet,
        form=form,
    )


def run_study(
    resolved: ResolvedStudy,
    folder: Path,
    *,
    seeds: int | None,
    jobs: int | None,
    device: str,
    engine: EngineChoice,
    sources: DataOptions,
    dry_run: bool,
    force: bool,
    asked: Sequence[Condition],
    quiet: bool,
    form: str,
    scheduler: str | None = None,
    replaces: bool = False,
    plots: Sequence[str] = (),
) -> None:
    """Run a study or a sweep and print its table; see `replicate`."""
    if (jobs or cores()) > 1 and not scheduler and not dry_run:
        states = cell_states(resolved, folder).values()
        if force or seeds or any(state != "done" for state in states):
            start_server()  # imports while this process does

    from dae_cli.study.plan import plan_study
    from dae_cli.study.replicate import run_plan
    from dae_cli.study.results_folder import EarlierRows

    with (
        progress_display(quiet=quiet) as display,
        options.cluster_at(scheduler, sources.data_dir, display) as cluster,
    ):
        plan = plan_study(
            resolved,
            seeds=seeds,
            out=folder,
            options=sources,
            device=device,
            engine=engine,
            replaces=replaces,
            watcher=display,
            dry=dry_run,
        )
        places = jobs or (cluster.size if cluster else cores())
        if not dry_run:
            EarlierRows(plan).require_none_lost()
            effort = _estimate(plan, [], force, places)
            display.note(_announcement(len(plan.runs), len(plan.ahead(force)), places, effort))
            display.expect([run.job for run in plan.ahead(force)])
            how = "the same command"
            if force:
                how += " without --force; finished runs that it did not reach keep their results"
            with hint_when_interrupted(f"  to resume from the last checkpoint, run {how}"):
                outcome = run_plan(
                    plan,
                    jobs=options.at_a_time(jobs, cluster),
                    force=force,
                    watcher=display,
                    command=options.command_line(),
                    cluster=cluster,
                    formats=plots,
                )
    if dry_run:
        show_plan(plan, seeds, force, places, form)
        return

    every = {(row.cell, row.run): row for row in outcome.rows}
    rows = [every[run.job.cell, run.job.name] for run in plan.runs]
    problems = [f"{row.run} failed: {row.error}" for row in rows if row.error]
    problems += not_run(plan.lacking)
    if form == "json":
        printed = as_json(_json(plan, outcome, rows))
    elif quiet:
        printed = label(outcome.report)
    else:
        printed = "\n".join(_results(plan, outcome, rows))
        if unknown_commit := not_known(row.commit for row in rows):
            problems.append(unknown_commit)
    typer.echo("".join(f"{line}\n" for line in problems), err=True, nl=False)
    typer.echo(printed)
    asked_for = {run.job.cell for run in plan.runs}
    code = fail_where(asked, [row for row in outcome.table if row.cell in asked_for])
    raise typer.Exit(1 if outcome.failed or plan.lacking else code)


def show_plan(plan: Plan, seeds: int | None, force: bool, places: int, form: str) -> None:
    """Print a dry plan and its estimated effort; fail if running it would be refused."""
    from dae_cli.study.plan import with_seeds
    from dae_cli.study.replicate import require_runnable

    # Runs whose data set is not here yet follow once it is fetched.
    lacking = {cell for one in plan.lacking for cell in one.cells}
    cells = [cell for cell in plan.study.cells if cell.cell in lacking]
    later = [(cell.cell, one) for cell in cells for one in with_seeds(cell, seeds)]
    effort = _estimate(plan, later, force, places)
    if form == "json":
        typer.echo(as_json(_json(plan) | asdict(effort)))
    else:
        typer.echo(_planned_runs(plan, len(later), force, effort))
    with checks_of_dry_run():
        require_runnable(plan, force)


def _estimate(
    plan: Plan, later: list[tuple[str, AnyExperiment]], force: bool, at_a_time: int
) -> Estimate:
    """Estimate the time of the runs ahead and of those whose data are not here yet."""
    from dae_cli.study.estimate import estimate
    from dae_cli.study.reference import reference_rows

    jobs = {run.job.name: run.job for run in plan.ahead(force)}
    runs = [(job.cell, job.experiment) for job in jobs.values()]
    return estimate(runs + later, at_a_time, reference_rows(plan.study.source))


def _announcement(total: int, ahead: int, places: int, effort: Estimate) -> str:
    text = "1 run" if total == 1 else f"{total} runs"
    if not ahead:
        return f"{text}, all done; use --force to run them again"
    if ahead < total:
        text += f", {total - ahead} of them done"
    together = min(places, ahead)
    text += f", {together} at a time" if together > 1 else ""
    return f"{text}, {effort.work}" if effort.core_minutes >= 1 else text


def _planned_runs(plan: Plan, later: int, force: bool, effort: Estimate) -> str:
    """Return the text of --dry-run: each run with its state and data, and the estimated time."""
    rows = [("cell", "run", "state", "dataset")]
    for run in plan.runs:
        data, state = run.job.data, _state(run, force)
        rows.append((run.job.cell, run.job.name, state, f"{data.name} ({data.standing})"))
    for one in plan.lacking:
        rows += [(cell, DASH, "unknown", f"{one.dataset} ({one.why})") for cell in one.cells]
    count = f"{len(plan.ahead(force))} of {len(plan.runs)} to run"
    if later:
        count += f", {later} more after their data are fetched"
    work = [str(effort)] if effort.core_minutes else []
    return "\n".join([*columns(rows, [3, 3, 3]), f"{count} · {label(plan.out)}", *work])


def _state(run: PlannedRun, force: bool = False) -> str:
    """Return the state of a run in a dry plan."""
    with suppress(OutputError):  # a folder that this user cannot write to
        if run.state != "done" and run.job.lock.exists() and run.job.is_held():
            return "running"
    return "restart" if force and run.state != "new" else run.state


def _json(
    plan: Plan, outcome: Outcome | None = None, rows: Sequence[RunRow] = ()
) -> dict[str, Any]:
    """Return the runs, with their results if there are any, and the cells without data."""
    facts: dict[str, Any] = {"study": plan.study.name, "folder": label(plan.out)}
    if outcome is None:
        facts["runs"] = [
            {
                "cell": run.job.cell,
                "run": run.job.name,
                "state": _state(run),
                "dataset": run.job.data.name,
                "data_origin": run.job.data.origin,
                "data_sha256": run.job.data.sha256,
            }
            for run in plan.runs
        ]
    else:
        for name in ("done", "skipped", "failed", "minutes"):
            facts[name] = getattr(outcome, name)
        facts["report"] = label(outcome.report)
        facts["table"] = [row_facts(row) for row in outcome.table]
        facts["runs"] = [row_facts(row) for row in rows]
    return facts | {"lacking": [asdict(one) for one in plan.lacking]}


def _results(plan: Plan, outcome: Outcome, rows: Sequence[RunRow]) -> list[str]:
    """Return the table, the numbers of runs, and which are identical to the reference."""
    from dae_cli.study.reference import agreement

    lines = list(outcome.claims)
    if outcome.table:
        lines = results(outcome.table, plan.study.changed)
    lines.append(
        f"{outcome.done} done, {outcome.skipped} skipped, {outcome.failed} failed "
        f"in {minutes(outcome.minutes)} · {label(outcome.report)}"
    )
    comparison = agreement(plan.study, rows)
    return lines + comparison.lines() if comparison else lines
