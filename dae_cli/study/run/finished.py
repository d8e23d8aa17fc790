"""Finished runs of an experiment, for commands that are given its name."""

from __future__ import annotations

from pathlib import Path

from dae_cli.config.experiments import ResolvedExperiment, load_resolved
from dae_cli.errors import ConfigError, RunFolderError
from dae_cli.study.run.folder import CHECKPOINT, CONFIG, STATUS, default_runs
from dae_cli.study.run.records import Status, read_record

_MOST_NAMED = 3


def finished_runs(resolved: ResolvedExperiment, asked: str = "") -> list[Path]:
    """Return the finished runs of an experiment, the newest first, whatever data they are of.

    Args:
        resolved: the experiment; its seed is part of it.
        asked: how the user named it, for the message; its name unless given.

    Raises:
        RunFolderError: there is none. Those of the cell with other settings or seeds are named.
    """
    runs = default_runs(resolved)
    done = {folder: cell for folder in sorted(runs.glob("*/")) if (cell := _cell(folder))}
    found = [folder for folder in done if _is_of(folder, resolved)]
    if not found:
        same = [folder.name for folder, cell in done.items() if cell == resolved.cell]
        others = ", ".join(same[:_MOST_NAMED])
        more = f" and {len(same) - _MOST_NAMED} more" if len(same) > _MOST_NAMED else ""
        there = f" (of other settings or seeds: {others}{more}; give the folder)" if same else ""
        raise RunFolderError(
            f"{resolved.name}: no finished run of these settings in {runs}{there}; "
            f"train it with dae train {asked or resolved.name}"
        )
    return sorted(found, key=lambda folder: (folder / CHECKPOINT).stat().st_mtime, reverse=True)


def _cell(folder: Path) -> str | None:
    """The cell of a finished run; None of any other folder."""
    try:
        status = read_record(folder / STATUS, Status)
        return status.cell if status.state == "done" and (folder / CHECKPOINT).exists() else None
    except (RunFolderError, OSError):
        return None


def _is_of(folder: Path, resolved: ResolvedExperiment) -> bool:
    try:
        return load_resolved(folder / CONFIG) == resolved.experiment
    except (ConfigError, RunFolderError, OSError):
        return False
