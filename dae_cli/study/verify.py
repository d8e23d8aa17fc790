"""`dae verify`: count a study's runs again, write its results again, and compare the files.

All is written into a temporary folder: of each run that is here, what its checkpoint comes to;
then, by the writer of every results folder, what follows from the rows. Of a run whose folder is
elsewhere the row, curves, filters and wrong test rows are those that the results have, and the run
is named as not checked. The command and the machine that a report names are taken from it.
Pictures are not compared.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.saved_settings import SETTINGS
from dae_cli.config.schema import AnyExperiment
from dae_cli.csvfile import csv_text, read_rows, rows_to_csv
from dae_cli.errors import RunFolderError
from dae_cli.study.filter_study import FIGURES_CSV, UnitRow
from dae_cli.study.findings import Difference, Findings, Unchecked, reason, text_of
from dae_cli.study.recount import DataOfRuns, Recount
from dae_cli.study.reference import Agreement, agreement
from dae_cli.study.report.context import TRIED_MD
from dae_cli.study.report.render import PAGE, REPORT, recorded_command, recorded_machine
from dae_cli.study.report.saved_runs import CURVES_CSV
from dae_cli.study.results import write_results
from dae_cli.study.results_folder import runs_csv_of
from dae_cli.study.rows import (
    NUMERICS,
    RUNS_CSV,
    TABLE_CSV,
    CurveRow,
    RunComparison,
    RunRow,
    SavedWrongRows,
    read_results,
)
from dae_cli.study.run.job import (
    FILTERS_CSV,
    RUNS,
    STATUS,
    config_sha256,
    is_run_name,
    run_name,
    with_seed,
)
from dae_cli.study.run.run import use_one_thread
from dae_cli.study.tables.comparisons import MCNEMAR_CSV, WRONG_ROWS_CSV
from dae_cli.study.tables.provenance import other_numerics, provenance_differences
from dae_cli.training.version import NUMERICS_VERSION

FILES = (SETTINGS, TABLE_CSV, WRONG_ROWS_CSV, MCNEMAR_CSV, CURVES_CSV, TRIED_MD, REPORT, PAGE)
FILES_OF_FILTERS = (SETTINGS, FILTERS_CSV, FIGURES_CSV, REPORT)
"""Files that follow from the rows of runs.csv, of a table's study and of one on filters."""
KEYS: Mapping[str, Sequence[str]] = {
    RUNS_CSV: ("run",),
    TABLE_CSV: ("cell",),
    WRONG_ROWS_CSV: ("run",),
    MCNEMAR_CSV: ("cell_a", "cell_b", "seed"),
    CURVES_CSV: ("run", "curve"),
    FILTERS_CSV: ("cell", "seed", "unit"),
    FIGURES_CSV: ("figure", "run"),
}
"""Columns that tell the rows of a file apart."""
READ: Mapping[str, Any] = {
    WRONG_ROWS_CSV: SavedWrongRows,
    MCNEMAR_CSV: RunComparison,
    CURVES_CSV: CurveRow,
    FILTERS_CSV: UnitRow,
}
"""Files that are read for runs whose folders are elsewhere; without such runs they may be empty."""
ADDED_LATER = (SETTINGS, TRIED_MD)
"""Files that results of earlier versions lack."""

_NEVER_MIXED = ("engines", "devices", "contents")


@dataclass(frozen=True)
class Verification:
    """What came of verifying a study."""

    runs: int
    """Rows of runs.csv."""
    recomputed: int
    """Those whose errors were counted again."""
    differences: list[Difference]
    unchecked: list[Unchecked]
    reference: Agreement | None
    """The runs that were recomputed beside the study's reference rows, if it has any."""

    @property
    def agrees(self) -> bool:
        """Whether every run was recomputed and nothing differs."""
        return not self.differences and not self.unchecked


def verify_study(
    study: ResolvedStudy, out: Path, data_dir: Path | None, note: Callable[[str], None]
) -> Verification:
    """Compute a study's results again from its runs, and list all that differs.

    The results are only read. What is damaged or not here is listed, and the rest is checked.

    Args:
        study: with the settings that the results should have.
        out: the folder of the results.
        data_dir: the user's data files.
        note: is called with what takes time, and the outcome of each run.

    Raises:
        RunFolderError: there are no results, or runs.csv cannot be read.
    """
    use_one_thread()
    path = runs_csv_of(study.name, out)
    rows = read_results(path, RunRow)
    if not rows:
        raise RunFolderError(f"{path}: holds no run; make them with dae replicate {study.name}")
    if others := other_numerics(rows):
        note(f"{RUNS_CSV}: {others}")
    with TemporaryDirectory(prefix="dae-verify-") as temporary:
        verifier = _Verifier(study, out, Path(temporary), data_dir, note)
        verifier.recount(rows)
        verifier.check_rows(rows)
        verifier.check_files()
    return Verification(
        len(rows),
        len(verifier.recomputed),
        verifier.findings.differences,
        verifier.findings.unchecked,
        agreement(study, verifier.recomputed),
    )


class _Verifier:
    """Compares what is in a results folder with what is written into a temporary one."""

    def __init__(
        self,
        study: ResolvedStudy,
        out: Path,
        temporary: Path,
        data_dir: Path | None,
        note: Callable[[str], None],
    ) -> None:
        self._study, self._out, self._note = study, out, note
        self._source, self._written = temporary / "source", temporary / "written"
        self._data = DataOfRuns(data_dir, note)
        self._cells = {cell.cell: cell.experiment for cell in study.all_cells}
        self._rows: dict[str, RunRow] = {}
        """By run, as recomputed; of runs that are elsewhere as recorded."""
        self.findings = Findings()
        self.recomputed: list[RunRow] = []

    def recount(self, rows: Sequence[RunRow]) -> None:
        """Count the runs of runs.csv again that are here, and compare their folders and rows."""
        findings, there = self.findings, {row.cell for row in rows}
        for cell in self._cells:
            if cell not in there:
                self._note(f"{cell}: no run of it in {RUNS_CSV}")
        for row in rows:
            if row.run in self._rows:
                continue
            self._rows[row.run] = row
            if not self._is_here(row):
                continue
            before = len(findings.differences), len(findings.unchecked)
            folder, again = (parent / RUNS / row.run for parent in (self._out, self._source))
            run = Recount(row, self._experiment_of(row), folder, again, findings)
            self._rows[row.run], counted = run.row(self._data, self._study.reference)
            if counted:
                self.recomputed.append(self._rows[row.run])
            outcome = "agrees" if len(findings.unchecked) == before[1] else "cannot be checked"
            if len(findings.differences) > before[0]:
                outcome = "does not agree"
            self._note(f"{row.run}: {outcome}")

    def _is_here(self, row: RunRow) -> bool:
        """Tell whether a run is done and its folder is here; record why not."""
        findings, folder, place = self.findings, self._out / RUNS / row.run, f"{RUNS}/{row.run}"
        command, is_name = f"dae replicate {self._study.name}", is_run_name(row.run)
        if row.error:
            if is_name and (folder / STATUS).exists():
                findings.compare(RUNS_CSV, f"{row.run}: error", row.error, "the run is done")
            findings.cannot_check(place, f"failed ({row.error}); {command} tries again")
        elif not is_name:
            why = f"run is {row.run!r}, expected the name of a folder in {RUNS}"
            findings.cannot_check(RUNS_CSV, why)
        elif not folder.is_dir():
            makes = "makes them"
            if row.numerics != NUMERICS_VERSION:
                makes = f"makes runs with numerics {NUMERICS_VERSION} in place of {row.numerics}"
            findings.cannot_check(
                place,
                f"is not here: run folders are not committed with the results; {command} {makes}",
            )
        else:
            return True
        return False

    def _experiment_of(self, row: RunRow) -> AnyExperiment | None:
        """The experiment of a row's cell and seed as the study has it; None: no such cell."""
        experiment = self._cells.get(row.cell)
        return experiment and with_seed(experiment, row.seed)

    def check_rows(self, rows: Sequence[RunRow]) -> None:
        """Compare the rows with the study's settings and among themselves."""
        findings = self.findings
        self._compare_csv(RUNS_CSV, text_of(self._out / RUNS_CSV), rows_to_csv(rows, RunRow))
        for name, count in Counter(row.run for row in rows).items():
            findings.compare(RUNS_CSV, f"{name}: rows", count, 1)
        for row in rows:
            experiment = self._experiment_of(row)
            if experiment is None:
                no_cell = "no such cell in the study"
                findings.compare(RUNS_CSV, f"{row.run}: cell", row.cell, no_cell)
                continue
            digest = config_sha256(experiment, row.numerics)
            name = run_name(experiment, row.data_sha256, row.numerics)
            findings.compare(RUNS_CSV, f"{row.run}: config_sha256", row.config_sha256, digest)
            findings.compare(RUNS_CSV, f"{row.run}: run", row.run, name)
        for what, names in provenance_differences(rows).items():
            if what.startswith(_NEVER_MIXED):
                findings.compare(RUNS_CSV, what, ", ".join(names), "one for the whole table")

    def check_files(self) -> None:
        """Write the results of the rows again, and compare every file that follows from them."""
        out, findings = self._out, self.findings
        unreadable = set()
        for name, kind in READ.items():
            try:
                read_rows(out / name, kind)
            except RunFolderError as error:
                findings.cannot_check(name, str(error))
                unreadable.add(name)
        self._source.mkdir(exist_ok=True)
        for path in out.absolute().iterdir():
            if path.name not in {RUNS, *unreadable}:
                (self._source / path.name).symlink_to(path)
        failure = ""
        try:
            write_results(
                self._study,
                self._written,
                list(self._rows.values()),
                command=recorded_command(out),
                machine=recorded_machine(out) or None,
                source=self._source,
                draw=False,
            )
        except Exception as error:  # rows and files may be damaged in ways that nobody foresaw
            failure = reason(error)
        for name in FILES_OF_FILTERS if self._study.is_filter_study else FILES:
            if name in unreadable:
                continue
            if (self._written / name).exists():
                findings.attempt(name, self._compare_file, name)
            elif failure and (name not in ADDED_LATER or (out / name).exists()):
                findings.cannot_check(name, failure)
            else:  # tried.md is not part of every study
                findings.compare(name, "file", "is there" if (out / name).exists() else "", "")

    def _compare_file(self, name: str) -> None:
        """Compare a file of the results with the one that was written again.

        Raises:
            RunFolderError: it has not been written yet.
        """
        again, path = text_of(self._written / name), self._out / name
        if not path.exists():
            if name in ADDED_LATER or (name in READ and again.count("\n") <= 1):
                return
            if name not in READ:
                raise RunFolderError(
                    f"is not written yet; dae replicate {self._study.name} writes it, and runs "
                    "only what is not done"
                )
        recorded = text_of(path) if path.exists() else ""
        if name == PAGE and not (self._out / REPORT).exists():
            raise RunFolderError(f"names a command that is taken from {REPORT}, which is not here")
        if name in KEYS:
            self._compare_csv(name, recorded, again)
        else:
            self.findings.compare_lines(name, recorded, again)

    def _compare_csv(self, name: str, recorded: str, again: str) -> None:
        """Compare a CSV file; one of earlier versions may lack the version of the numerics."""
        lines = list(csv.reader(io.StringIO(again)))
        if NUMERICS in lines[0] and NUMERICS not in recorded.partition("\n")[0].split(","):
            place = lines[0].index(NUMERICS)
            again = csv_text([*line[:place], *line[place + 1 :]] for line in lines)
        self.findings.compare_csv(name, recorded, again, KEYS[name])
