"""Find the runs that an argument names: a study, a cell, a results folder or a run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dae_cli.config.experiments import ResolvedExperiment, resolve_experiment, resolve_study
from dae_cli.config.names import STUDY_FILE, Target, find_target, study_folders
from dae_cli.config.saved_settings import SETTINGS
from dae_cli.data.datasets import OwnDataset
from dae_cli.errors import ConfigError, DaeError, RunFolderError, some
from dae_cli.files import with_home
from dae_cli.study.results_folder import runs_csv_of
from dae_cli.study.rows import RUNS_CSV, RunRow, read_results
from dae_cli.study.run.job import (
    CHECKPOINT,
    CONFIG,
    FIGURES,
    RUNS,
    SHEETS,
    default_out,
    default_runs,
    is_run_name,
)
from dae_cli.study.run.record import has_settings, read_status

Note = Callable[[str], None]


def is_results(path: Path) -> bool:
    """Return whether a path is a results folder, not the folder of a study."""
    names = (SETTINGS, RUNS_CSV)
    return any((path / name).is_file() for name in names) and not (path / STUDY_FILE).is_file()


def named_results(source: str) -> tuple[Path | None, str, Target | None]:
    """Return the results folder that a source names, the cell in it if given, and the study.

    The study (or its cell) is only returned if the source names it: STUDY or STUDY/CELL, not
    FOLDER or FOLDER/CELL. The folder is None for a run folder, a single experiment, an unknown
    name, or a cell of a study without results.

    Raises:
        RunFolderError: the source names a study that has no results.
    """
    path = with_home(source)
    if is_results(path) and source not in study_folders():
        return path, "", None
    if is_results(path.parent) and not path.exists():
        return path.parent, path.name, None
    try:
        target = find_target(source)
    except ConfigError:
        return None, "", None
    study, _, cell = target.name.partition("/")
    folder = default_out(study, ())
    if target.file is None:
        runs_csv_of(resolve_study(source), folder)
    elif not cell or not (folder / RUNS_CSV).is_file():
        return None, "", None
    return folder, cell, target


def run_folders(source: str, problems: list[DaeError], note: Note) -> list[Path]:
    """Return the run folders of a study, a results folder or a cell in it, or one run's folder.

    Appends a problem for each run of the results that has no errors to count.

    Raises:
        RunFolderError: the folder is not that of a run, or the experiment has no finished run.
        ConfigError: the source is neither a folder nor an experiment.
    """
    results, cell, study = named_results(source)
    if results is None or (cell and study):
        return [run_folder(source, note)]
    folders, missing = [], []
    for row in _rows_of(results, cell):
        if row.error:
            place = results / RUNS / row.run
            problems.append(
                RunFolderError(f"{place}: the run failed, so it has no errors to count")
            )
        elif folder := _folder_of(results, row):
            folders.append(folder)
        else:
            missing.append(row.run)
    if missing:
        problems.append(_not_here(results, missing, len(missing) + len(folders)))
    return folders


def run_folder(source: str, note: Note) -> Path:
    """Return one run's folder, given its path, a cell of results, or an experiment.

    Of several finished runs of a cell this is the one with the lowest seed, and of an experiment
    the newest. `note` receives a message if there are several, or if the data have changed.

    Raises:
        RunFolderError: the folder is not a run folder, or the experiment has no finished run.
        ConfigError: `source` is neither a folder nor an experiment.
    """
    results, cell, study = named_results(source)
    if results is not None and study is None:
        return _run_of_results(results, cell, source, note)
    path = with_home(source)
    if path.is_dir() and not (path / STUDY_FILE).is_file():
        if (path / CONFIG).is_file():
            return path
        raise RunFolderError(f"{source}: not a run folder (it has no {CONFIG})")
    is_path = path.suffix != ".yaml" and len(path.parts) > 1
    missing = RunFolderError(
        f"{source}: no such run folder; run folders are not in git: run dae replicate first"
    )
    if is_path and path.parent.name == RUNS:
        raise missing
    try:
        find_target(source)
    except ConfigError:
        is_folder = path.is_absolute() or path.parent.is_dir()
        if is_path and is_folder and not (path.parent / STUDY_FILE).is_file():
            raise missing from None
        raise
    resolved = resolve_experiment(source)
    newest, *others = _finished_runs(resolved, source)
    dataset = resolved.experiment.dataset
    if isinstance(dataset, OwnDataset) and dataset.facts is not None:
        used, now = read_status(newest).data_sha256, dataset.facts.sha256
        if used != now:
            note(
                f"{newest} was trained on other data (SHA-256 {used[:12]}…) than {dataset.path} "
                f"declares now ({now[:12]}…)"
            )
    if others:
        note(
            f"{source} has {len(others) + 1} finished runs, with different data or numerics; "
            f"using the newest, {newest}; to use another one, pass its folder"
        )
    return newest


def _rows_of(results: Path, cell: str) -> list[RunRow]:
    """Return the rows of runs.csv, or those of one cell. Raises RunFolderError if it has none."""
    rows = read_results(results / RUNS_CSV, RunRow)
    found = [row for row in rows if cell in ("", row.cell)]
    if cell and not found:
        cells = some([*dict.fromkeys(row.cell for row in rows)], 12)
        raise RunFolderError(f"{results / RUNS_CSV} has no run of {cell!r}\n  cells: {cells}")
    return found


def _run_of_results(results: Path, cell: str, source: str, note: Note) -> Path:
    """Return the finished run of a cell with the lowest seed; a single cell need not be named."""
    rows = [row for row in _rows_of(results, cell) if not row.error]
    cells = [*dict.fromkeys(row.cell for row in rows)]
    if len(cells) != 1:
        raise RunFolderError(
            f"{source}: expected one run, but {results / RUNS_CSV} has finished runs of "
            f"{len(cells)} cells; pass FOLDER/CELL\n  cells: {some(cells, 12)}"
        )
    rows.sort(key=lambda row: row.seed)
    folders = [folder for row in rows if (folder := _folder_of(results, row))]
    if not folders:
        raise _not_here(results, [row.run for row in rows], len(rows))
    if len(folders) > 1:
        note(
            f"{source} has {len(folders)} finished runs; using {folders[0]}; to use another one, "
            "pass its folder"
        )
    return folders[0]


def _folder_of(results: Path, row: RunRow) -> Path | None:
    """Return the folder of a run if it is here."""
    folder = results / RUNS / row.run
    return folder if is_run_name(row.run) and folder.is_dir() else None


def _not_here(results: Path, missing: list[str], total: int) -> RunFolderError:
    return RunFolderError(
        f"{results / RUNS}: {len(missing)} of {total} runs are not here ({some(missing)}); run "
        f"folders are not in git: run dae replicate first{_sheets_of(results)}"
    )


def _sheets_of(results: Path) -> str:
    """Say which folders of the results have pictures of filters; empty if there are none."""
    found = [str(results / name) for name in (SHEETS, FIGURES) if (results / name).is_dir()]
    return f"\n  drawn filters are in {' and '.join(found)}" if found else ""


def _finished_runs(resolved: ResolvedExperiment, source: str) -> list[Path]:
    """Return the finished runs of an experiment and its seed, newest first, on any data.

    Raises:
        RunFolderError: there is none; lists runs of the cell with other settings or seeds.
    """
    runs = default_runs(resolved)
    matching, same_cell = [], []
    for folder in sorted(runs.glob("*/")):
        try:
            status = read_status(folder)
            if status.state != "done" or not (folder / CHECKPOINT).exists():
                continue
            if status.cell == resolved.cell:
                same_cell.append(folder.name)
            if has_settings(folder / CONFIG, resolved.experiment):
                matching.append(folder)
        except (ConfigError, RunFolderError, OSError):
            continue
    if not matching:
        others = some(same_cell, 3)
        hint = f" (with other settings or seeds: {others}; pass the folder)" if same_cell else ""
        raise RunFolderError(
            f"{resolved.name}: no finished run with these settings in {runs}{hint}; run folders "
            f"are not in git: train it with dae train {source}{_sheets_of(runs.parent)}"
        )
    return sorted(matching, key=lambda folder: (folder / CHECKPOINT).stat().st_mtime, reverse=True)
