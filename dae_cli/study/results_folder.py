"""The tables of a study's results folder, to which several commands may add their rows."""

from __future__ import annotations

import errno
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dae_cli.config.experiments import ResolvedExperiment, ResolvedStudy
from dae_cli.csvfile import column_texts
from dae_cli.data.dataset import Origin, Prepared
from dae_cli.errors import NameTooLongError, RunFolderError
from dae_cli.files import file_lock, is_text, part_of, sweep
from dae_cli.study.earlier_rows import EarlierRows
from dae_cli.study.plan import Plan
from dae_cli.study.rows import RUNS_CSV, RunRow
from dae_cli.study.run.job import RUNS, SHEETS, STATUS, Job, default_out, with_seed
from dae_cli.study.run.record import failed, row_of, with_verdict

TABLES_SECONDS = 600.0
"""In which another command will have written its tables and drawn its figures."""


def check_writable(out: Path) -> None:
    """Make sure, before anything is computed, that results can be written to a folder.

    Raises:
        RunFolderError: it cannot be made or written to, or its path is not text.
        NameTooLongError: its path is too long.
    """
    if not is_text(out):
        raise RunFolderError(f"{out}: is not UTF-8, which checkpoints need; choose --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise NameTooLongError(out) from error
        raise RunFolderError(f"{out}: cannot be made ({error.strerror}); choose --out") from error
    trial = part_of(out / "trial")
    try:
        trial.touch()  # os.access is not enough: it allows the superuser a read-only disk
        trial.unlink(missing_ok=True)
    except OSError as error:
        raise RunFolderError(
            f"{out}: cannot be written to ({error.strerror}); choose another folder with --out"
        ) from error


def runs_csv_of(study: str, out: Path, overrides: Sequence[str] = ()) -> Path:
    """Return the path of a study's runs.csv in its folder of results.

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
    """Be the only process that writes the tables and figures of a results folder.

    Raises:
        HeldError: another one does not come to an end.
        OutputError: the folder is read-only.
    """
    with file_lock(out / ".tables.lock", wait=TABLES_SECONDS):
        for folder in (out, out / SHEETS):
            sweep(folder)
        yield


class StudyRows:
    """The rows of runs.csv in memory: those of this command, and of others that stay beside them.

    A run folder is read at most once. runs.csv is read again only when another command has
    written it since.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._own: dict[tuple[str, str], RunRow] = {}
        self._others: dict[tuple[str, str], RunRow] = {}
        """By cell and run: cells may share one."""
        self._current: dict[str, str] = {}
        """By run of these: the name that such a run has with the numerics of this version."""
        self._stamp: tuple[int, ...] | None = None
        """Of runs.csv when it was last read or written."""

    def add(self, row: RunRow) -> None:
        """Add the row of a run of this command."""
        self._own[row.cell, row.run] = row

    @contextmanager
    def locked(self) -> Iterator[list[RunRow]]:
        """Hold the lock of the tables; yield all rows, in the order of the table, to be written.

        Raises:
            RunFolderError: another command has added rows that would be lost.
            HeldError: another command does not come to an end.
        """
        path = self._plan.out / RUNS_CSV
        with tables_lock(self._plan.out):
            if _stamp_of(path) != self._stamp:
                self._merge()
            order = {cell.cell: k for k, cell in enumerate(self._plan.study.all_cells)}
            rows = [
                row
                for row in self._others.values()
                if (row.cell, self._current[row.run]) not in self._own
            ]
            rows += self._own.values()
            rows.sort(key=lambda row: (order.get(row.cell, len(order)), row.seed))
            yield rows
            self._stamp = _stamp_of(path)

    def _merge(self) -> None:
        """Take over what other commands have written to runs.csv, and edits of its lines."""
        earlier = EarlierRows(self._plan, self._own)
        earlier.require_kept()
        for row in earlier.rows:
            own = self._own.get((row.cell, row.run))
            if own is not None and column_texts(own) != column_texts(row):
                self._own[row.cell, row.run] = self._from_folder(own)
        known, self._others = self._others, {}
        for row in earlier.stay:
            key = row.cell, row.run
            same = key in known and column_texts(known[key]) == column_texts(row)
            self._others[key] = known[key] if same else self._from_folder(row)
        self._current = earlier.current

    def _from_folder(self, row: RunRow) -> RunRow:
        """Return the row of a finished run as its folder has it, whatever was known of it before.

        Another command may have run it again since, or run what failed here. A run of another
        engine than this plan asks for stays failed.
        """
        plan, folder = self._plan, self._plan.out / RUNS / row.run
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
        accepted = planned is None or planned.accepts(found.engine)
        return row if row.error and not accepted else found


def _stamp_of(path: Path) -> tuple[int, ...] | None:
    """Return what differs once a file has been replaced or edited; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def with_lowest_seeds(study: ResolvedStudy, rows: Sequence[RunRow]) -> ResolvedStudy:
    """Return the study with the lowest seed that each of its cells has in the rows.

    The rows of one table may be of several commands, which may have begun with several seeds.
    """
    lowest: dict[str, int] = {}
    for row in rows:
        lowest[row.cell] = min(row.seed, lowest.get(row.cell, row.seed))

    def of_rows(cell: ResolvedExperiment) -> ResolvedExperiment:
        if cell.cell not in lowest:
            return cell
        return replace(cell, experiment=with_seed(cell.experiment, lowest[cell.cell]))

    cells, every = (tuple(map(of_rows, own)) for own in (study.cells, study.all_cells))
    return replace(study, cells=cells, all_cells=every)
