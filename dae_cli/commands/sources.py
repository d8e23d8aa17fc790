"""Find the study, results folder or run folder that an argument names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import typer

from dae_cli.config.experiments import ResolvedStudy, resolve_study
from dae_cli.config.names import Target, cell_files, find_target, label, study_folders
from dae_cli.config.saved_settings import SETTINGS, read_settings, require_fit
from dae_cli.config.study_schema import read_study_file
from dae_cli.errors import ConfigError, DaeError, RunFolderError
from dae_cli.study import named_runs
from dae_cli.study.rows import RUNS_CSV
from dae_cli.study.run.job import default_out


def results_of(
    source: str, overrides: Sequence[str], out: Path | None
) -> tuple[ResolvedStudy, Path]:
    """Return the study and the folder of its results, from the name of either.

    If the folder or `--set` is given, the settings are those that the folder records; otherwise
    those of the study's files.

    Raises:
        ConfigError: there is no such study or folder, or `--set` contradicts the recorded settings.
        RunFolderError: there are no results, or an earlier version of dae recorded no settings.
    """
    from dae_cli.study.results_folder import runs_csv_of

    path = Path(source)
    if named_runs.is_results(path) and source not in study_folders():
        if out is not None:
            raise typer.BadParameter(
                f"{source} is already a results folder; omit --out", param_hint="--out"
            )
        study, folder = _recorded_study(path, overrides), path
    else:
        try:
            target = find_target(source)
        except ConfigError as error:
            raise ConfigError(f"{error}\n  or pass a results folder (with {RUNS_CSV})") from error
        folder = out or default_out(target.name, overrides)
        if (out or overrides) and target.file is None and (folder / SETTINGS).is_file():
            study = _named_and_recorded_study(target, folder, overrides)
        else:
            study = resolve_study(source, overrides)
    runs_csv_of(study, folder, overrides)
    return study, folder


def _named_and_recorded_study(
    target: Target, folder: Path, overrides: Sequence[str]
) -> ResolvedStudy:
    """Return the study with the recorded settings, and its current title and references."""
    recorded = read_settings(folder / SETTINGS, target.folder)
    if recorded.name != target.name:
        raise ConfigError(
            f"{label(folder)} contains results of the study {recorded.name}, not of {target.name}; "
            f"pass the folder instead of the study, as in dae report {label(folder)}"
        )
    _require_fit_of_study(recorded, folder, overrides)
    current, problems = read_study_file(target.folder)
    if problems:
        return recorded
    about = current.settings
    is_sweep = not {cell.cell for cell in recorded.cells} & cell_files(target.folder).keys()
    title = recorded.title if is_sweep else about.title
    return replace(recorded, title=title, paper=about.paper, reference=about.reference)


def _recorded_study(folder: Path, overrides: Sequence[str]) -> ResolvedStudy:
    """Return the study that a results folder records."""
    if not (folder / SETTINGS).is_file():
        raise RunFolderError(
            f"{folder}: has no {SETTINGS}, because an earlier version of dae wrote it; pass its "
            f"study, its --set options and --out {folder}"
        )
    recorded = read_settings(folder / SETTINGS, folder)
    _require_fit_of_study(recorded, folder, overrides)
    try:
        return replace(recorded, source=find_target(recorded.name).folder)
    except ConfigError:
        return recorded


def _require_fit_of_study(recorded: ResolvedStudy, folder: Path, overrides: Sequence[str]) -> None:
    cells = {cell.cell: cell.experiment for cell in recorded.all_cells}
    require_fit(cells, overrides, folder, f"omit --set; {SETTINGS} has the settings")


def run_folders(source: str, problems: list[DaeError]) -> list[Path]:
    """Return the run folders that a source names; see `named_runs.run_folders`."""
    return named_runs.run_folders(source, problems, _note)


def run_folder(source: str) -> Path:
    """Return the run folder that a source names; report a choice among several on stderr."""
    return named_runs.run_folder(source, _note)


def _note(text: str) -> None:
    typer.echo(text, err=True)
