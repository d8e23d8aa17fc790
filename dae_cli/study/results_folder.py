"""A study's results folder, to which several commands may add their rows.

No row with a result is removed from the tables without the user's consent, except reference rows of
the study, which every copy of the package contains.
"""

from __future__ import annotations

import errno
import shlex
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dae_cli.config.dump import flat_settings
from dae_cli.config.experiments import ResolvedExperiment, ResolvedStudy
from dae_cli.config.names import label
from dae_cli.config.saved_settings import (
    SETTINGS,
    format_misfits,
    format_value,
    read_settings,
)
from dae_cli.config.schema import AnyExperiment
from dae_cli.data.dataset import Prepared
from dae_cli.data.datasets import PHOTOGRAPHS, OwnDataset
from dae_cli.errors import NameTooLongError, RunFolderError, some
from dae_cli.files import file_lock, is_text, part_of, sweep
from dae_cli.study.reference import is_reference, reference_rows
from dae_cli.study.rows import RUNS_CSV, RunRow, lowest_seeds, read_results
from dae_cli.study.run.job import (
    SHEETS,
    config_sha256,
    run_name,
    with_seed,
)
from dae_cli.training.version import NUMERICS_VERSION

if TYPE_CHECKING:
    from dae_cli.study.plan import Plan

TABLES_SECONDS = 600.0
"""Time that another command may take to write its tables and draw its figures."""

CellState = Literal["none", "failed", "done"]


# The folder


def check_writable(out: Path, *, dry: bool = False) -> None:
    """Check, before anything is computed, that results can be written to a folder.

    The folder is created; with `dry`, the lowest existing folder above it is checked instead.

    Raises RunFolderError, or NameTooLongError.
    """
    if not is_text(out):
        raise RunFolderError(
            f"{out}: checkpoints need a UTF-8 path; pass another folder with --out"
        )
    try:
        if dry:
            trial = part_of(next(path for path in (out, *out.parents) if path.exists()) / "trial")
        else:
            out.mkdir(parents=True, exist_ok=True)
            trial = part_of(out / "trial")
        trial.touch()  # os.access is wrong for the superuser on a read-only disk
        trial.unlink(missing_ok=True)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise NameTooLongError(out) from error
        raise RunFolderError(
            f"{out}: cannot be written ({error.strerror}); pass another folder with --out"
        ) from error


def runs_csv_of(study: ResolvedStudy, out: Path, overrides: Sequence[str] = ()) -> Path:
    """Return the path of runs.csv in a results folder; raises RunFolderError if there is none."""
    path = out / RUNS_CSV
    if path.is_file():
        return path
    options = [*(f"--set={setting}" for setting in overrides), f"--out={out}"]
    raise RunFolderError(
        f"{path}: there are no results of {study.name} here; run dae replicate "
        f"{study.argument} {shlex.join(options)} first, or pass their folder with --out"
    )


@contextmanager
def tables_lock(out: Path) -> Iterator[None]:
    """Lock the tables and figures of a results folder for writing."""
    with file_lock(out / ".tables.lock", wait=TABLES_SECONDS):
        for folder in (out, out / SHEETS):
            sweep(folder)
        yield


# Its rows


def cell_states(study: ResolvedStudy, results: Path) -> dict[str, CellState]:
    """Return, by cell, whether runs.csv has a result with its settings, for any seed."""
    states: dict[str, CellState] = {cell.cell: "none" for cell in study.cells}
    rows = read_results(results / RUNS_CSV, RunRow)
    for cell in study.cells:
        if current := [row for row in rows if is_current(row, cell)]:
            states[cell.cell] = "failed" if all(row.error for row in current) else "done"
    return states


def is_current(row: RunRow, cell: ResolvedExperiment) -> bool:
    """Return whether a row belongs to a cell with its current settings, for any seed."""
    return row.cell == cell.cell and row.config_sha256 == config_sha256(
        with_seed(cell.experiment, row.seed), row.numerics
    )


def with_lowest_seeds(study: ResolvedStudy, rows: Sequence[RunRow]) -> ResolvedStudy:
    """Return the study with the lowest seed of each cell among the rows.

    The rows of a table may come from several commands with different first seeds.
    """
    lowest = lowest_seeds(rows)

    def with_lowest(cell: ResolvedExperiment) -> ResolvedExperiment:
        row = lowest.get(cell.cell)
        return replace(cell, experiment=with_seed(cell.experiment, row.seed)) if row else cell

    cells, every = (tuple(map(with_lowest, own)) for own in (study.cells, study.all_cells))
    return replace(study, cells=cells, all_cells=every)


class EarlierRows:
    """The existing rows of runs.csv, compared with a plan.

    Earlier commands wrote them, or one that shares the folder. A row remains if its settings are
    those of the study and its data have not changed, because different settings or data are never
    mixed. A row of another numerics version remains until there is one of this version for its cell
    and seed. `newer` has the cells and runs that have a newer row; cells may share a run.
    """

    def __init__(self, plan: Plan, newer: Collection[tuple[str, str]] = ()) -> None:
        self._plan = plan
        self._path = plan.out / RUNS_CSV
        self._data = {planned.job.data.name: planned.job.data for planned in plan.runs}
        self._cells = _by_cell(plan.study)
        self.rows = read_results(self._path, RunRow)
        self.current: dict[str, str] = {}
        """By run: the name of the run of its cell, seed and data with the current numerics."""
        self.remaining: list[RunRow] = []
        self._removed: list[RunRow] = []
        for row in self.rows:
            if (row.cell, row.run) not in newer:
                remains = self._is_of_study(row) and (row.cell, self.current[row.run]) not in newer
                (self.remaining if remains else self._removed).append(row)

    def _is_of_study(self, row: RunRow) -> bool:
        """Return whether a row has the study's settings and data; its numerics may differ."""
        if row.cell not in self._cells:
            return False
        experiment = with_seed(self._cells[row.cell], row.seed)
        self.current[row.run] = run_name(experiment, row.data_sha256)
        return (
            row.config_sha256 == config_sha256(experiment, row.numerics)
            and row.run == run_name(experiment, row.data_sha256, row.numerics)
            and (row.dataset not in self._data or self._data[row.dataset].sha256 == row.data_sha256)
        )

    def _results_removed(self) -> list[RunRow]:
        """Return the rows with a result that the plan removes, except rows of renamed cells.

        They include rows that new runs with the current numerics replace.
        """
        planned = {run.job.name for run in self._plan.runs}
        outdated = [
            r for r in self.remaining if r.run not in planned and self.current[r.run] in planned
        ]
        renamed = self._renamed()
        return [r for r in [*self._removed, *outdated] if not r.error and r.run not in renamed]

    def _renamed(self) -> dict[str, str]:
        """Return, by run, the current name of its cell, for finished runs with another name."""
        here = {p.job.name: p.job.cell for p in self._plan.runs if p.state == "done"}
        return {row.run: here[row.run] for row in self._removed if row.run in here}

    @property
    def lost(self) -> list[RunRow]:
        """Rows with a result that are removed and not among the reference rows."""
        removed = self._results_removed()
        reference = reference_rows(self._plan.study.source) if removed else []
        return [row for row in removed if not is_reference(row, reference)]

    def require_none_lost(self) -> None:
        """Raise RunFolderError if rows would be lost without the user's consent (--replace)."""
        if not self._plan.replaces:
            self._refuse(
                self.lost,
                "to keep these rows, pass another folder with --out; to remove them, use "
                "--replace of dae replicate",
            )

    def require_all_stay(self) -> None:
        """Raise RunFolderError if a command that runs nothing would remove a row."""
        study, out, report = self._plan.study, self._plan.out, ""
        if self._removed and (saved := _saved_settings(out)) and saved != self._cells:
            report = f"to report them with their own settings, run dae report {label(out)}; "
        self._refuse(
            self._removed,
            f"{report}to replace them by runs of {study.name}, run dae replicate "
            f"{study.argument} --out {label(out)}, with --replace if results would be lost",
        )

    def _refuse(self, rows: Sequence[RunRow], remedy: str) -> None:
        if rows:
            raise RunFolderError(
                f"{self._path}: rows with other settings, data or numerics would be removed "
                f"({_names_of(rows)}):\n{self._reasons(rows)}\n{remedy}"
            )

    def notes(self) -> list[str]:
        """Return notes on the rows that are removed and the cells that are renamed."""
        out, renamed = self._plan.out, self._renamed()
        names = {row.cell: renamed[row.run] for row in self._removed if row.run in renamed}
        notes = [f"{out}: the cell {old} is now called {new}" for old, new in names.items()]
        if removed := _names_of(self._results_removed()):
            notes.append(
                f"{out}: removing rows because of --replace: {removed}"
                if self._plan.replaces
                else f"{out}: your runs replace reference rows in these tables ({removed}); "
                "reference.csv does not change, and your runs are compared with it at the end"
            )
        return notes

    def _reasons(self, rows: Sequence[RunRow]) -> str:
        """Return how rows differ from the plan: each difference with both values and its cells."""
        saved = _saved_settings(self._plan.out)
        cells: dict[str, dict[str, None]] = {}
        for row in rows:
            for reason in self._reasons_of(row, saved.get(row.cell)):
                cells.setdefault(reason, {})[row.cell] = None
        return format_misfits({reason: list(own) for reason, own in cells.items()})

    def _reasons_of(self, row: RunRow, there: AnyExperiment | None) -> list[str]:
        now = self._cells.get(row.cell)
        if now is None:
            return [f"the study has no cell {row.cell}"]
        reasons = []
        if there is not None:
            saved, wanted = (flat_settings(with_seed(e, row.seed)) for e in (there, now))
            reasons = [
                f"{key}: {format_value(saved.get(key))} in the folder, "
                f"{format_value(wanted.get(key))} now"
                for key in dict.fromkeys([*saved, *wanted])
                if saved.get(key) != wanted.get(key)
            ]
        data = self._data.get(row.dataset)
        if data is not None and data.sha256 != row.data_sha256:
            reasons.append(
                f"{row.dataset}: {row.data_origin} data with SHA-256 {row.data_sha256[:12]}… in "
                f"the folder, {data.sha256[:12]}… now ({data.source or data.standing}); "
                f"{_remedy_of_data(row, data)}"
            )
        if row.numerics != NUMERICS_VERSION:
            reasons.append(f"numerics: {row.numerics} in the folder, {NUMERICS_VERSION} now")
        return reasons or ["other settings or numerics"]


def _names_of(rows: Sequence[RunRow]) -> str:
    return some([f"{row.cell} seed {row.seed}" for row in rows])


def _by_cell(study: ResolvedStudy) -> dict[str, AnyExperiment]:
    return {cell.cell: cell.experiment for cell in study.all_cells}


def _saved_settings(out: Path) -> dict[str, AnyExperiment]:
    """Return the experiments in settings.yaml by cell; empty if there is no such file."""
    path = out / SETTINGS
    return _by_cell(read_settings(path, out)) if path.is_file() else {}


def _remedy_of_data(row: RunRow, now: Prepared) -> str:
    """Return how to use the data of a row again."""
    if isinstance(now.name, OwnDataset):
        return "your files have changed"
    by_option = row.data_origin in ("original", "regenerated") and row.dataset != PHOTOGRAPHS
    if row.data_origin != now.origin and by_option:
        return f"--origin {row.data_origin} chooses data like the folder's"
    return "--data-dir, --origin and --photos choose the data"
