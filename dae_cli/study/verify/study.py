"""A study's results made again from its runs, and the runs' errors from their checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.schema import AnyExperiment
from dae_cli.errors import RunFolderError
from dae_cli.study.reference import Agreement, agreement
from dae_cli.study.results_folder import RUNS_CSV, runs_csv_of, with_lowest_seeds
from dae_cli.study.rows import RunRow, read_results
from dae_cli.study.run.job import RUNS, STATUS, is_run_name
from dae_cli.study.run.run import use_one_thread
from dae_cli.study.tables.provenance import other_numerics
from dae_cli.study.verify.differences import Difference, Findings, Unchecked
from dae_cli.study.verify.of_filters import check_results
from dae_cli.study.verify.run import Contents, check_run
from dae_cli.study.verify.tables import check_rows, check_settings, check_tables
from dae_cli.training.version import NUMERICS_VERSION


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
    """Make again whatever the results of a study tell, and gather all that differs.

    Nothing is written. What is damaged or not here is told, and the rest is checked all the same.

    Args:
        study: with the settings that the results should have.
        out: the folder of the results.
        data_dir: the user's data files.
        note: hears what takes time, and the outcome of each run.

    Raises:
        RunFolderError: there are no results, or runs.csv cannot be read.
    """
    use_one_thread()
    rows = _rows(study, out)
    if told := other_numerics(rows):
        note(f"{RUNS_CSV}: {told}")
    study = with_lowest_seeds(study, rows)
    found, contents = Findings(), Contents(data_dir, note)
    cells = {cell.cell: cell.experiment for cell in study.all_cells}
    wanted = [_seeded(cells.get(row.cell), row.seed) for row in rows]
    for cell in cells:
        if cell not in {row.cell for row in rows}:
            note(f"{cell}: no run of it in {RUNS_CSV}")
    recomputed: list[RunRow] = []
    for row, experiment in zip(rows, wanted, strict=True):
        if _is_here(study, out, row, found):
            differ, unchecked = len(found.differences), len(found.unchecked)
            if check_run(row, experiment, out, contents, found, study.reference):
                recomputed.append(row)
            if len(found.differences) > differ:
                note(f"{row.run}: does not agree")
            else:
                whole = len(found.unchecked) == unchecked
                note(f"{row.run}: {'agrees' if whole else 'cannot be checked'}")
    check_rows(rows, wanted, out, found)
    check_settings(study, out, found)
    if study.is_of_filters:
        check_results(study, out, rows, found)
    else:
        check_tables(study, out, rows, found)
    return Verification(
        len(rows),
        len(recomputed),
        found.differences,
        found.unchecked,
        agreement(study, recomputed),
    )


def _rows(study: ResolvedStudy, out: Path) -> list[RunRow]:
    path = runs_csv_of(study.name, out)
    rows = read_results(path, RunRow)
    if not rows:
        raise RunFolderError(f"{path}: holds no run; make them with dae replicate {study.name}")
    return rows


def _seeded(experiment: AnyExperiment | None, seed: int) -> AnyExperiment | None:
    return experiment and experiment.model_copy(update={"seed": seed})


def _is_here(study: ResolvedStudy, out: Path, row: RunRow, found: Findings) -> bool:
    """Tell whether a run is done and its folder is here; keep why not."""
    folder, place = out / RUNS / row.run, f"{RUNS}/{row.run}"
    is_name = is_run_name(row.run)
    if row.error:
        if is_name and (folder / STATUS).exists():
            found.compare(RUNS_CSV, f"{row.run}: error", row.error, "the run is done")
        found.cannot_check(place, f"failed ({row.error}); dae replicate {study.name} tries again")
    elif not is_name:
        found.cannot_check(RUNS_CSV, f"run is {row.run!r}, expected the name of a folder in {RUNS}")
    elif not folder.is_dir():
        makes = "makes them"
        if row.numerics != NUMERICS_VERSION:
            makes = f"makes runs with numerics {NUMERICS_VERSION} in place of {row.numerics}"
        found.cannot_check(
            place,
            "is not here: run folders are not committed with the results; "
            f"dae replicate {study.name} {makes}",
        )
    else:
        return True
    return False
