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
from dae_cli.study.findings import Difference, Findings, Unchecked, text_of
from dae_cli.study.plan import with_seed
from dae_cli.study.recount import DataOfRuns, Recount
from dae_cli.study.reference import Agreement, agreement
from dae_cli.study.report.context import TRIED_MD
from dae_cli.study.report.render import PAGE, REPORT, recorded_command, recorded_machine
from dae_cli.study.report.saved_runs import CURVES_CSV
from dae_cli.study.results import write_results
from dae_cli.study.results_folder import RUNS_CSV, TABLE_CSV, runs_csv_of
from dae_cli.study.rows import (
    NUMERICS,
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
)
from dae_cli.study.run.run import use_one_thread
from dae_cli.study.tables.comparisons import MCNEMAR_CSV, WRONG_ROWS_CSV
from dae_cli.study.tables.provenance import other_numerics, provenance_differences
from dae_cli.training.version import NUMERICS_VERSION

FILES = (SETTINGS, TABLE_CSV, WRONG_ROWS_CSV, MCNEMAR_CSV, CURVES_CSV, TRIED_MD, REPORT, PAGE)
FILES_OF_FILTERS = (SETTINGS, FILTERS_CSV, FIGURES_CSV, REPORT)
"""Files that follow from the rows of runs.csv, of a table's study and of one on filters."""
KEYS: Mapping[str, Sequence[str]] = {
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
    cells = {cell.cell: cell.experiment for cell in study.all_cells}
    there = {row.cell for row in rows}
    for cell in (name for name in cells if name not in there):
        note(f"{cell}: no run of it in {RUNS_CSV}")
    findings, data = Findings(), DataOfRuns(data_dir, note)
    rows_again: dict[str, RunRow] = {}
    recomputed: list[RunRow] = []
    with TemporaryDirectory(prefix="dae-verify-") as temporary:
        source, written = Path(temporary) / "source", Path(temporary) / "written"
        for row in rows:
            if row.run in rows_again or not _is_here(study, out, row, findings):
                rows_again.setdefault(row.run, row)
                continue
            seen = len(findings.differences), len(findings.unchecked)
            wanted = cells.get(row.cell)
            run = Recount(
                row,
                wanted and with_seed(wanted, row.seed),
                out / RUNS / row.run,
                source / RUNS / row.run,
                findings,
            )
            rows_again[row.run], counted = run.row(data, study.reference)
            recomputed += [rows_again[row.run]] if counted else []
            if len(findings.differences) > seen[0]:
                note(f"{row.run}: does not agree")
            else:
                whole = len(findings.unchecked) == seen[1]
                note(f"{row.run}: {'agrees' if whole else 'cannot be checked'}")
        _check_rows(rows, cells, out, findings)
        _check_files(study, out, list(rows_again.values()), source, written, findings)
    return Verification(
        len(rows),
        len(recomputed),
        findings.differences,
        findings.unchecked,
        agreement(study, recomputed),
    )


def _is_here(study: ResolvedStudy, out: Path, row: RunRow, findings: Findings) -> bool:
    """Tell whether a run is done and its folder is here; record why not."""
    folder, place = out / RUNS / row.run, f"{RUNS}/{row.run}"
    is_name = is_run_name(row.run)
    if row.error:
        if is_name and (folder / STATUS).exists():
            findings.compare(RUNS_CSV, f"{row.run}: error", row.error, "the run is done")
        why = f"failed ({row.error}); dae replicate {study.name} tries again"
        findings.cannot_check(place, why)
    elif not is_name:
        why = f"run is {row.run!r}, expected the name of a folder in {RUNS}"
        findings.cannot_check(RUNS_CSV, why)
    elif not folder.is_dir():
        makes = "makes them"
        if row.numerics != NUMERICS_VERSION:
            makes = f"makes runs with numerics {NUMERICS_VERSION} in place of {row.numerics}"
        findings.cannot_check(
            place,
            "is not here: run folders are not committed with the results; "
            f"dae replicate {study.name} {makes}",
        )
    else:
        return True
    return False


def _check_rows(
    rows: Sequence[RunRow],
    cells: Mapping[str, AnyExperiment],
    out: Path,
    findings: Findings,
) -> None:
    """The rows against the study's settings and among themselves, wherever their folders are."""
    recorded, again = text_of(out / RUNS_CSV), rows_to_csv(rows, RunRow)
    findings.compare_csv(RUNS_CSV, recorded, _with_columns_of(recorded, again), ("run",))
    for name, count in Counter(row.run for row in rows).items():
        findings.compare(RUNS_CSV, f"{name}: rows", count, 1)
    for row in rows:
        if row.cell not in cells:
            findings.compare(RUNS_CSV, f"{row.run}: cell", row.cell, "no such cell in the study")
            continue
        experiment = with_seed(cells[row.cell], row.seed)
        digest = config_sha256(experiment, row.numerics)
        name = run_name(experiment, row.data_sha256, row.numerics)
        findings.compare(RUNS_CSV, f"{row.run}: config_sha256", row.config_sha256, digest)
        findings.compare(RUNS_CSV, f"{row.run}: run", row.run, name)
    for what, names in provenance_differences(rows).items():
        if what.startswith(_NEVER_MIXED):
            findings.compare(RUNS_CSV, what, ", ".join(names), "one for the whole table")


def _check_files(
    study: ResolvedStudy,
    out: Path,
    rows: Sequence[RunRow],
    source: Path,
    written: Path,
    findings: Findings,
) -> None:
    """Write the results of rows again, and compare every file that follows from them.

    Args:
        source: a folder that has the runs which were counted again; it receives whatever else the
            writer is to read.
        written: the folder that is written to.
    """
    unreadable = set()
    for name, kind in READ.items():
        try:
            read_rows(out / name, kind)
        except RunFolderError as error:
            findings.cannot_check(name, str(error))
            unreadable.add(name)
    source.mkdir(exist_ok=True)
    for path in out.absolute().iterdir():
        if path.name not in {RUNS, *unreadable}:
            (source / path.name).symlink_to(path)
    failure = ""
    try:
        write_results(
            study,
            written,
            rows,
            command=recorded_command(out),
            machine=recorded_machine(out) or None,
            source=source,
            draw=False,
        )
    except Exception as error:  # rows and files may be damaged in ways that nobody foresaw
        failure = str(error)
    for name in FILES_OF_FILTERS if study.is_of_filters else FILES:
        if name in unreadable:
            continue
        if (written / name).exists():
            again = text_of(written / name)
            findings.attempt(name, _compare_file, study, out / name, again, findings)
        elif failure:
            findings.cannot_check(name, failure)
        else:  # tried.md alone is not part of every study
            findings.compare(name, "file", "is there" if (out / name).exists() else "", "")


def _compare_file(study: ResolvedStudy, path: Path, again: str, findings: Findings) -> None:
    """Compare a file of the results with its text as it is written again.

    Raises:
        RunFolderError: it has not been written yet.
    """
    if not path.exists():
        if path.name in ADDED_LATER or (path.name in READ and again.count("\n") <= 1):
            return
        if path.name not in READ:
            raise RunFolderError(
                f"is not written yet; dae replicate {study.name} writes it, and runs only what is "
                "not done"
            )
    recorded = text_of(path) if path.exists() else ""
    if path.name in KEYS:
        again = _with_columns_of(recorded, again)
        findings.compare_csv(path.name, recorded, again, KEYS[path.name])
    else:
        findings.compare_lines(path.name, recorded, again)


def _with_columns_of(recorded: str, again: str) -> str:
    """Return CSV text without the version of the numerics where an earlier file lacks it."""
    lines = list(csv.reader(io.StringIO(again)))
    if NUMERICS not in lines[0] or NUMERICS in recorded.partition("\n")[0].split(","):
        return again
    place = lines[0].index(NUMERICS)
    return csv_text([*line[:place], *line[place + 1 :]] for line in lines)
