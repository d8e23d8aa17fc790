"""A study's results folder, to which several commands may add their rows.

No row that has a result leaves its tables without the user's word, unless it is one of the study's
reference rows, which every copy of the package has.
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
from dae_cli.data.datasets import PHOTOGRAPHS
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
"""In which another command will have written its tables and drawn its figures."""

CellState = Literal["none", "failed", "done"]


# The folder


def check_writable(out: Path) -> None:
    """Make sure, before anything is computed, that results can be written to a folder.

    Raises RunFolderError, or NameTooLongError.
    """
    if not is_text(out):
        raise RunFolderError(f"{out}: is not UTF-8, which checkpoints need; choose --out")
    trial = part_of(out / "trial")
    try:
        out.mkdir(parents=True, exist_ok=True)
        trial.touch()  # os.access is not enough: it allows the superuser a read-only disk
        trial.unlink(missing_ok=True)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise NameTooLongError(out) from error
        raise RunFolderError(
            f"{out}: cannot be written to ({error.strerror}); choose another folder with --out"
        ) from error


def runs_csv_of(study: str, out: Path, overrides: Sequence[str] = ()) -> Path:
    """Return the path of runs.csv in a study's folder of results; RunFolderError: there is none."""
    path = out / RUNS_CSV
    if path.is_file():
        return path
    options = [*(f"--set={setting}" for setting in overrides), f"--out={out}"]
    raise RunFolderError(
        f"{path}: there are no results of {study} here; make them with dae replicate "
        f"{shlex.join([study, *options])}, or say where they are with --out"
    )


@contextmanager
def tables_lock(out: Path) -> Iterator[None]:
    """Be the only process that writes the tables and figures of a results folder."""
    with file_lock(out / ".tables.lock", wait=TABLES_SECONDS):
        for folder in (out, out / SHEETS):
            sweep(folder)
        yield


# Its rows


def cell_states(study: ResolvedStudy, results: Path) -> dict[str, CellState]:
    """Return by cell whether runs.csv has a result of its settings, with whatever seed."""
    states: dict[str, CellState] = {cell.cell: "none" for cell in study.cells}
    rows = read_results(results / RUNS_CSV, RunRow)
    for cell in study.cells:
        if current := [row for row in rows if is_current(row, cell)]:
            states[cell.cell] = "failed" if all(row.error for row in current) else "done"
    return states


def is_current(row: RunRow, cell: ResolvedExperiment) -> bool:
    """Whether a row is of a cell with the settings that it has now, with whatever seed."""
    return row.cell == cell.cell and row.config_sha256 == config_sha256(
        with_seed(cell.experiment, row.seed), row.numerics
    )


def with_lowest_seeds(study: ResolvedStudy, rows: Sequence[RunRow]) -> ResolvedStudy:
    """Return the study with the lowest seed that each of its cells has in the rows.

    The rows of one table may be of several commands, which may have begun with several seeds.
    """
    lowest = lowest_seeds(rows)

    def with_lowest(cell: ResolvedExperiment) -> ResolvedExperiment:
        row = lowest.get(cell.cell)
        return replace(cell, experiment=with_seed(cell.experiment, row.seed)) if row else cell

    cells, every = (tuple(map(with_lowest, own)) for own in (study.cells, study.all_cells))
    return replace(study, cells=cells, all_cells=every)


class EarlierRows:
    """The rows of runs.csv beside a plan.

    They were written by earlier commands, or by one that shares the folder. They stay if their
    settings are still what the study says and their data are the same: results of other settings
    or data are never mixed in. A row that another version of the numerics computed stays until the
    run of its cell and seed has one of this version. `newer` has cells and names of runs that have
    a newer row; cells may share a run.
    """

    def __init__(self, plan: Plan, newer: Collection[tuple[str, str]] = ()) -> None:
        self._plan = plan
        self._path = plan.out / RUNS_CSV
        self._data = {planned.job.data.name: planned.job.data for planned in plan.runs}
        self._cells = _by_cell(plan.study)
        self.rows = read_results(self._path, RunRow)
        self.current: dict[str, str] = {}
        """By run: the name that the run of its cell, seed and data has with these numerics."""
        self.stay: list[RunRow] = []
        self._gone: list[RunRow] = []
        for row in self.rows:
            if (row.cell, row.run) not in newer:
                stays = self._is_of_study(row) and (row.cell, self.current[row.run]) not in newer
                (self.stay if stays else self._gone).append(row)

    def _is_of_study(self, row: RunRow) -> bool:
        """Tell whether a row's settings and data are those of the study, by its own numerics."""
        if row.cell not in self._cells:
            return False
        experiment = with_seed(self._cells[row.cell], row.seed)
        self.current[row.run] = run_name(experiment, row.data_sha256)
        return (
            row.config_sha256 == config_sha256(experiment, row.numerics)
            and row.run == run_name(experiment, row.data_sha256, row.numerics)
            and (row.dataset not in self._data or self._data[row.dataset].sha256 == row.data_sha256)
        )

    def _leaving(self) -> list[RunRow]:
        """Return the rows with a result that leave the tables, but for cells that are renamed.

        Besides those that do not stay, those in whose place the plan makes runs of these numerics.
        """
        asked = {planned.job.name for planned in self._plan.runs}
        outdated = [r for r in self.stay if r.run not in asked and self.current[r.run] in asked]
        renamed = self._renamed()
        return [r for r in [*self._gone, *outdated] if not r.error and r.run not in renamed]

    def _renamed(self) -> dict[str, str]:
        """By run: the name that its cell has now, where a finished run has another name."""
        here = {p.job.name: p.job.cell for p in self._plan.runs if p.state == "done"}
        return {row.run: here[row.run] for row in self._gone if row.run in here}

    @property
    def lost(self) -> list[RunRow]:
        """The rows that are lost unless the user keeps them."""
        leaving = self._leaving()
        reference = reference_rows(self._plan.study.source) if leaving else []
        return [row for row in leaving if not is_reference(row, reference)]

    def require_none_lost(self) -> None:
        """Raise RunFolderError if a row would be lost which the user has not given up."""
        if not self._plan.replaces:
            self._refuse(
                self.lost,
                "choose another folder with --out, or give these rows up with --replace of "
                "dae replicate",
            )

    def require_all_stay(self) -> None:
        """Raise RunFolderError if a row would leave the tables, of a command that makes no run."""
        name, out, report = self._plan.study.name, self._plan.out, ""
        if self._gone and (saved := _saved_settings(out)) and saved != self._cells:
            report = f"dae report {label(out)} reports them with their own settings; "
        self._refuse(
            self._gone,
            f"{report}dae replicate {name} --out {label(out)} makes those of {name}, with "
            "--replace where results would be lost",
        )

    def _refuse(self, rows: Sequence[RunRow], remedy: str) -> None:
        if rows:
            raise RunFolderError(
                f"{self._path}: rows of other settings, data or numerics would be lost "
                f"({_names_of(rows)}):\n{self._reasons(rows)}\n{remedy}"
            )

    def notes(self) -> list[str]:
        """Return which rows leave the tables, and which cells have another name now."""
        out, renamed = self._plan.out, self._renamed()
        names = {row.cell: renamed[row.run] for row in self._gone if row.run in renamed}
        notes = [f"{out}: the cell {old} is named {new} now" for old, new in names.items()]
        if leaving := _names_of(self._leaving()):
            notes.append(
                f"{out}: given up by --replace: {leaving}"
                if self._plan.replaces
                else f"{out}: your runs take the place of the reference's ({leaving}) in these "
                "tables; the reference itself stays, and yours are compared with it at the end"
            )
        return notes

    def _reasons(self, rows: Sequence[RunRow]) -> str:
        """Return what of rows is not as planned, each thing with both values and its cells."""
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
            own, asked = (flat_settings(with_seed(e, row.seed)) for e in (there, now))
            reasons = [
                f"{key}: {format_value(own.get(key))} in the folder, "
                f"{format_value(asked.get(key))} now"
                for key in dict.fromkeys([*own, *asked])
                if own.get(key) != asked.get(key)
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
    """Return, by cell, what settings.yaml has; nothing where there is no such file."""
    path = out / SETTINGS
    return _by_cell(read_settings(path, out)) if path.is_file() else {}


def _remedy_of_data(row: RunRow, now: Prepared) -> str:
    """Say which option gives the data of a row."""
    by_option = row.data_origin in ("original", "regenerated") and row.dataset != PHOTOGRAPHS
    if row.data_origin != now.origin and by_option:
        return f"--origin {row.data_origin} takes such data again"
    return "--data-dir, --origin and --photos choose the data"
