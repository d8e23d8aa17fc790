"""`dae search`: settings selected on validation rows, and written into the experiment files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
from dae_cli.commands.searching import (
    check_files,
    grid,
    tell,
    tell_what_is_next,
    trial_line,
)
from dae_cli.commands.tables import not_run

if TYPE_CHECKING:
    from dae_cli.engines.names import EngineName
    from dae_cli.search.run import SearchOutcome

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
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL|FILE",
            help="Where trials are shared: a database that optuna knows (postgresql://…), or a "
            "journal file; the workers of a cluster must reach it.  "
            "[default: results/STUDY/search/trials.journal]",
            show_default=False,
        ),
    ] = None,
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
        check_files(resolved.name, cells, folder, form, quiet)
        return
    require_optuna()
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
            computed = settle_engine(searches, folder, engine, device, watcher)
        plan = SearchPlan(
            study=resolved.name,
            cells=searches,
            order=tuple(cell.cell for cell in resolved.all_cells),
            out=folder,
            storage=storage_of(storage, folder),
            sampler=sampler,
            engine=computed[0],
            device=computed[1],
            command=command_line(),
            lacking=without_data,
        )
        if dry_run:
            typer.echo("\n".join(grid(plan, form)))
            return
        with hint_when_interrupted("  the same command goes on from the last checkpoint"):
            outcome = run_search(
                plan,
                workers=at_a_time(jobs, cluster),
                hours=hours,
                watcher=watcher,
                ended=lambda row: watcher.note(trial_line(row)),
                cluster=cluster,
            )
    _write(resolved.source, outcome, write)
    tell(outcome, form, quiet, write)
    if write and not quiet:
        tell_what_is_next(study, folder)
    lacking = [cell.cell for cell in outcome.cells if cell.chosen is None]
    if lacking:
        typer.echo(
            f"nothing is selected, since no trial was completed: {', '.join(lacking)}", err=True
        )
    for line in not_run(plan.lacking):
        typer.echo(line, err=True)
    if lacking or plan.lacking:
        raise typer.Exit(1)


def _write(folder: Path, outcome: SearchOutcome, write: bool) -> None:
    from dae_cli.search.chosen import write_files

    if write:
        write_files(folder, [cell.chosen for cell in outcome.cells if cell.chosen])
