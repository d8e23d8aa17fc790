"""STUDY, RUN or EXPERIMENT, as an argument, to a study and its results, or the folder of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from dae_cli.config.experiments import ResolvedStudy, resolve_study
from dae_cli.config.names import STUDY_FILE, Target, find_target, label, study_folders
from dae_cli.config.saved_settings import SETTINGS, read_settings, require_fit
from dae_cli.config.study_schema import read_study_file
from dae_cli.errors import ConfigError, DaeError, RunFolderError, some
from dae_cli.study.rows import RUNS_CSV, RunRow, read_results
from dae_cli.study.run.folder import run_folder as named_run
from dae_cli.study.run.job import RUNS, default_out, is_run_name


def results_of(
    source: str, overrides: Sequence[str], out: Path | None
) -> tuple[ResolvedStudy, Path]:
    """The study, with the settings of its results, and their folder; either may be named.

    The settings are those that the folder records where the folder is given, or `--set` says that
    they are not those of the study's files.

    Raises:
        ConfigError: no such study or folder, or `--set` contradicts what the folder records.
        RunFolderError: there are no results; the folder is of an earlier version, which recorded
            no settings.
    """
    resolved, folder = _study_and_folder(source, overrides, out)

    from dae_cli.study.results_folder import runs_csv_of

    runs_csv_of(resolved.name, folder, overrides)
    return resolved, folder


def _study_and_folder(
    source: str, overrides: Sequence[str], out: Path | None
) -> tuple[ResolvedStudy, Path]:
    path = Path(source)
    if is_results(path) and source not in study_folders():
        if out is not None:
            raise typer.BadParameter(
                f"{source} is a folder of results itself: give one of them", param_hint="--out"
            )
        return _recorded_study(path, overrides), path
    if path.is_file() and is_results(path.parent):
        raise RunFolderError(
            f"{source}: a file of a folder of results; give the folder: {path.parent}"
        )
    try:
        target = find_target(source)
    except ConfigError as error:
        raise _neither_study_nor_results(source, path, error) from error
    folder = out or default_out(target.name, overrides)
    if (out or overrides) and target.file is None and (folder / SETTINGS).is_file():
        return _named_and_recorded_study(target, folder, overrides), folder
    return resolve_study(source, overrides), folder


def _neither_study_nor_results(source: str, path: Path, error: ConfigError) -> DaeError:
    """What to raise; `error` says why it is no study."""
    if path.is_dir():
        return RunFolderError(
            f"{source}: neither a study (it has no {STUDY_FILE}) nor a folder of results (it has "
            f"no {RUNS_CSV}); give a study, or a folder that dae replicate wrote"
        )
    if len(path.parts) > 1 and (path.parent.is_dir() or path.parts[0] == "results"):
        makes = f"; dae replicate {path.name} makes it" if path.name in study_folders() else ""
        return RunFolderError(
            f"{source}: does not exist; give a study (dae ls lists them), or a folder of "
            f"results{makes}"
        )
    return ConfigError(f"{error}\n  a folder of results is taken too, but {source!r} is none")


def _named_and_recorded_study(
    target: Target, folder: Path, overrides: Sequence[str]
) -> ResolvedStudy:
    """The study with the settings that its results record; title and references are current."""
    recorded = read_settings(folder / SETTINGS, target.folder)
    if recorded.name != target.name:
        raise ConfigError(
            f"{label(folder)} has results of the study {recorded.name}, not of {target.name}; "
            f"give the folder as the study, as in dae report {label(folder)}"
        )
    _require_fit_of_study(recorded, folder, overrides)
    current, problems = read_study_file(target.folder)
    if problems:
        return recorded
    about = current.settings
    return replace(recorded, title=about.title, paper=about.paper, reference=about.reference)


def _recorded_study(folder: Path, overrides: Sequence[str]) -> ResolvedStudy:
    """The study that a folder of results records."""
    if not (folder / SETTINGS).is_file():
        raise RunFolderError(
            f"{folder}: has no {SETTINGS} (an earlier version of dae made it): name its study, "
            f"with the --set that it was made with, and --out {folder}"
        )
    recorded = read_settings(folder / SETTINGS, folder)
    _require_fit_of_study(recorded, folder, overrides)
    try:
        return replace(recorded, source=find_target(recorded.name).folder)
    except ConfigError:
        return recorded


def _require_fit_of_study(recorded: ResolvedStudy, folder: Path, overrides: Sequence[str]) -> None:
    cells = {cell.cell: cell.experiment for cell in recorded.all_cells}
    remedy = f"leave --set out: {SETTINGS} tells what the folder was made with"
    require_fit(cells, overrides, folder, remedy)


@dataclass(frozen=True)
class NamedResults:
    """A folder of results, named by itself or by its study, and the cell of it, if one is named."""

    folder: Path
    cell: str = ""
    study: ResolvedStudy | None = None
    """Whose cells as they are now are meant, where it is named by its study."""


def named_results(source: str) -> NamedResults | None:
    """What is meant; None of the folder of a run, an experiment on its own, or nothing."""
    path = Path(source)
    if is_results(path) and source not in study_folders():
        return NamedResults(path)
    if is_results(path.parent) and not path.exists():
        return NamedResults(path.parent, path.name)
    try:
        target = find_target(source)
    except ConfigError:
        return None
    study, _, cell = target.name.partition("/")
    folder = default_out(study, ())
    if (cell or target.file is None) and (folder / RUNS_CSV).is_file():
        return NamedResults(folder, cell, resolve_study(f"{target.folder}/"))
    return None


def is_results(path: Path) -> bool:
    """A folder of results, of this version or an earlier one, and not one of a study."""
    names = (SETTINGS, RUNS_CSV)
    return any((path / name).is_file() for name in names) and not (path / STUDY_FILE).is_file()


def run_folders(source: str, problems: list[DaeError]) -> list[Path]:
    """The folders of every run of a folder of results, or that of the one run that is named.

    `problems` receives why a run of the results has nothing to count.

    Raises:
        RunFolderError: the folder is no run's; the experiment has no finished run.
        ConfigError: neither a folder nor an experiment.
    """
    results = Path(source)
    if not is_results(results):
        return [run_folder(source)]
    runs = results / RUNS
    rows = read_results(results / RUNS_CSV, RunRow)
    problems += [
        RunFolderError(f"{runs / row.run}: failed, so there is nothing to count")
        for row in rows
        if row.error
    ]
    done = [row.run for row in rows if not row.error]
    if gone := [run for run in done if not (is_run_name(run) and (runs / run).is_dir())]:
        problems.append(
            RunFolderError(
                f"{runs}: {len(gone)} of {len(done)} runs are not here ({some(gone)}); run "
                "folders come with no clone: dae replicate makes them"
            )
        )
    return [runs / run for run in done if run not in gone]


def run_folder(source: str) -> Path:
    """As `study.run.folder.run_folder`; which of several runs is taken is said on stderr."""
    return named_run(source, lambda text: typer.echo(text, err=True))
