"""Which run is meant: by its folder, or by the experiment that it is a finished run of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dae_cli.config.experiments import ResolvedExperiment, resolve_experiment
from dae_cli.config.names import STUDY_FILE, find_target
from dae_cli.data.datasets import OwnDataset
from dae_cli.errors import ConfigError, RunFolderError, some
from dae_cli.files import with_home
from dae_cli.study.run.job import CHECKPOINT, CONFIG, RUNS, default_runs
from dae_cli.study.run.record import has_settings, read_status

Note = Callable[[str], None]


def run_folder(source: str, note: Note) -> Path:
    """The run folder that is named, or that of the newest finished run of the experiment named.

    `note` hears which run is taken where there are several.

    Raises:
        RunFolderError: the folder is no run's; the experiment has no finished run.
        ConfigError: neither a folder nor an experiment.
    """
    path = with_home(source)
    if path.is_dir() and not (path / STUDY_FILE).is_file():
        if (path / CONFIG).is_file():
            return path
        raise RunFolderError(f"{source}: not a run folder (there is no {CONFIG})")
    is_yaml = path.suffix == ".yaml"
    if not is_yaml and (path.parent.name == RUNS or path.is_absolute()):
        raise _no_run_folder(source)
    try:
        find_target(source)
    except ConfigError:
        is_study = (path.parent / STUDY_FILE).is_file()
        if len(path.parts) > 1 and path.parent.is_dir() and not is_yaml and not is_study:
            raise _no_run_folder(source) from None
        raise
    resolved = resolve_experiment(source)
    newest, *others = finished_runs(resolved, source)
    _note_other_data(newest, resolved, note)
    if others:
        note(
            f"{source}: {len(others) + 1} finished runs, of different data or numerics; taken is "
            f"the newest, {newest}; to take another one, give its folder"
        )
    return newest


def _note_other_data(folder: Path, resolved: ResolvedExperiment, note: Note) -> None:
    """Say so where a user's own files have changed since the run."""
    dataset = resolved.experiment.dataset
    if not isinstance(dataset, OwnDataset) or dataset.facts is None:
        return
    if (had := read_status(folder).data_sha256) != dataset.facts.sha256:
        note(
            f"{folder}: was made with other data, SHA-256 {had[:12]}…; {dataset.path} declares "
            f"{dataset.facts.sha256[:12]}… now"
        )


def _no_run_folder(source: str) -> RunFolderError:
    there = with_home(source).parent
    what = f"ls {there} shows what there is" if there.is_dir() else f"nor is there a folder {there}"
    return RunFolderError(
        f"{source}: there is no such run folder; {what} (run folders come with no clone: "
        "dae replicate and dae train make them)"
    )


def finished_runs(resolved: ResolvedExperiment, asked: str = "") -> list[Path]:
    """Return the finished runs of an experiment and its seed, the newest first, on any data.

    Args:
        resolved: the experiment.
        asked: how the user named it, for the message; its name unless given.

    Raises:
        RunFolderError: there is none. Those of the cell with other settings or seeds are named.
    """
    runs = default_runs(resolved)
    done = {folder: cell for folder in sorted(runs.glob("*/")) if (cell := _done_cell(folder))}
    matching = [folder for folder in done if _is_run_of(folder, resolved)]
    if not matching:
        same = [folder.name for folder, cell in done.items() if cell == resolved.cell]
        others = some(same, 3)
        there = f" (of other settings or seeds: {others}; give the folder)" if same else ""
        raise RunFolderError(
            f"{resolved.name}: no finished run of these settings in {runs}{there}; "
            f"train it with dae train {asked or resolved.name}"
        )
    return sorted(matching, key=lambda folder: (folder / CHECKPOINT).stat().st_mtime, reverse=True)


def _done_cell(folder: Path) -> str | None:
    """The cell of a finished run; None of any other folder."""
    try:
        status = read_status(folder)
        return status.cell if status.state == "done" and (folder / CHECKPOINT).exists() else None
    except (RunFolderError, OSError):
        return None


def _is_run_of(folder: Path, resolved: ResolvedExperiment) -> bool:
    try:
        return has_settings(folder / CONFIG, resolved.experiment)
    except (ConfigError, RunFolderError, OSError):
        return False
