"""The tables of a study's results folder: one process at a time reads, adds to and writes them."""

from __future__ import annotations

import errno
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from dae_cli.config.experiments import ResolvedExperiment, ResolvedStudy
from dae_cli.config.saved_settings import SETTINGS, settings_text
from dae_cli.csvfile import write_rows
from dae_cli.data.dataset import Origin, Prepared
from dae_cli.errors import NameTooLongError, RunFolderError
from dae_cli.files import file_lock, is_text, part_of, sweep, write_text
from dae_cli.study.earlier_rows import RUNS_CSV as RUNS_CSV
from dae_cli.study.earlier_rows import earlier_rows, require_rows_kept
from dae_cli.study.plan import Plan, default_out, with_seed
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.run.job import RUNS, STATUS, Job
from dae_cli.study.run.record import failed, row_of, with_verdict

TABLE_CSV, FILTERS = "table.csv", "filters"
ROOM_FOR_NAMES = 100
"""Of a run's folder, and of the longest temporary name in it."""
WAIT_SECONDS = 600.0
"""In which another command will have written its tables and drawn its pictures."""


def check_writable(out: Path) -> None:
    """Make sure of a folder for results before anything is computed.

    Raises:
        RunFolderError: it cannot be made or written to, or its path is not text.
        NameTooLongError: its path leaves no room for the names of what will be in it.
    """
    if not is_text(out):
        raise RunFolderError(f"{out}: is not UTF-8, which checkpoints need; choose --out")
    deepest = out.absolute() / ("x" * ROOM_FOR_NAMES) / ("x" * ROOM_FOR_NAMES)
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            deepest.lstat()
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise NameTooLongError(out) from error
        raise RunFolderError(f"{out}: cannot be made ({error.strerror}); choose --out") from error
    trial = part_of(out / "trial")
    try:
        trial.touch()  # asking is not enough: the superuser may do all, but not on such a disk
        trial.unlink(missing_ok=True)  # who writes the tables may have swept it
    except OSError as error:
        raise RunFolderError(
            f"{out}: cannot be written to ({error.strerror}); choose another folder with --out"
        ) from error


def runs_csv_of(study: str, out: Path, overrides: Sequence[str] = ()) -> Path:
    """Return the path of a study's runs.csv, which is there.

    Args:
        study: its name.
        out: the folder of its results.
        overrides: the `--set` that was given, for the message.

    Raises:
        RunFolderError: there are no results of the study in the folder.
    """
    path, usual = out / RUNS_CSV, default_out(study, ())
    if path.is_file():
        return path
    words = ["dae", "replicate", study]
    for setting in overrides:
        words += ["--set", setting]
    if out.absolute() != default_out(study, overrides).absolute():
        words += ["--out", str(out)]
    elsewhere = ""
    if (usual / RUNS_CSV).is_file():
        elsewhere = f"; {usual} has results of {study}, with settings of their own"
    raise RunFolderError(
        f"{path}: there are no results of {study} here; make them with {shlex.join(words)}, or "
        f"say where they are with --out{elsewhere}"
    )


@contextmanager
def tables_lock(out: Path) -> Iterator[None]:
    """Be the only process that writes the tables and pictures of a results folder.

    Raises:
        HeldError: another one does not come to an end. OutputError: the folder is read-only.
    """
    with file_lock(out / ".tables.lock", wait=WAIT_SECONDS):
        for folder in (out, out / FILTERS):
            sweep(folder)
        yield


def _as_its_folder_tells(plan: Plan, row: RunRow) -> RunRow:
    """Return the row of a run that is done as its folder has it, whatever was known of it before.

    Another command may have made it anew since, or made what failed here; and a line of runs.csv
    may have been edited. What was made with another engine than this plan asks for stays failed.
    """
    folder = plan.out / RUNS / row.run
    if not (folder / STATUS).exists():
        return with_verdict(row)
    cell = next(cell for cell in plan.study.all_cells if cell.cell == row.cell)
    origin: Origin = "original" if row.data_origin == "original" else "regenerated"
    data = Prepared(row.dataset, folder, origin, row.data_sha256, "", row.trust)
    try:
        experiment = with_seed(cell.experiment, row.seed)
        found = row_of(Job(row.cell, experiment, data, folder, reference=cell.reference))
    except RunFolderError as error:
        return row if row.error else failed(row, str(error))
    planned = next((p for p in plan.runs if p.job.name == row.run), None)
    asked = planned is None or planned.accepts(found.engine)
    return row if row.error and not asked else found


def with_lowest_seeds(study: ResolvedStudy, rows: Sequence[RunRow]) -> ResolvedStudy:
    """Return the study with the lowest seed that each of its cells has in the rows.

    The rows of one table may be of several commands, which may have begun with several seeds.
    """

    def of_rows(cell: ResolvedExperiment) -> ResolvedExperiment:
        seeds = [row.seed for row in rows if row.cell == cell.cell]
        return replace(cell, experiment=with_seed(cell.experiment, min(seeds))) if seeds else cell

    cells, every = (tuple(map(of_rows, own)) for own in (study.cells, study.all_cells))
    return replace(study, cells=cells, all_cells=every)


def write_tables(plan: Plan, rows: Sequence[RunRow]) -> tuple[list[RunRow], list[TableRow]]:
    """Write runs.csv and table.csv, with what is there of earlier commands, and return both.

    A study on filters has no table. settings.yaml tells what all rows were made with.

    Raises:
        RunFolderError: another command has added rows meanwhile that would be lost.
    """
    from dae_cli.study.tables.table import table_of  # loads pandas, which workers do without

    require_rows_kept(plan, {row.run for row in rows})
    order = {cell.cell: k for k, cell in enumerate(plan.study.all_cells)}
    stay, _ = earlier_rows(plan, {row.run for row in rows})
    every = [_as_its_folder_tells(plan, row) for row in (*stay, *rows)]
    every.sort(key=lambda row: (order.get(row.cell, len(order)), row.seed))
    write_text(plan.out / SETTINGS, settings_text(with_lowest_seeds(plan.study, every)))
    write_rows(plan.out / RUNS_CSV, every, RunRow)
    if plan.study.is_of_filters:
        return every, []
    table = table_of(every)
    write_rows(plan.out / TABLE_CSV, table, TableRow)
    return every, table
