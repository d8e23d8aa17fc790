"""RUN or EXPERIMENT, as an argument, to the folder of a run."""

from __future__ import annotations

from pathlib import Path

import typer

from dae_cli.errors import ConfigError, RunFolderError
from dae_cli.files import with_home

_CONFIG = "config.yaml"


def run_folder(source: str) -> Path:
    """The run folder that is named, or that of the finished run of the experiment named.

    Raises:
        RunFolderError: the folder is no run's; the experiment has no finished run.
        ConfigError: neither a folder nor an experiment.
    """
    path = with_home(source)
    if path.is_dir() and not (path / "study.yaml").is_file():
        if (path / _CONFIG).is_file():
            return path
        raise RunFolderError(f"{source}: not a run folder (there is no {_CONFIG})")
    if _looks_like_a_run(path):
        raise _no_folder(source)
    from dae_cli.config.experiments import resolve_experiment
    from dae_cli.config.names import find_target

    try:
        find_target(source)
    except ConfigError:
        if len(path.parts) > 1 and path.parent.is_dir() and path.suffix != ".yaml":
            raise _no_folder(source) from None
        raise
    resolved = resolve_experiment(source)

    from dae_cli.study.run.finished import finished_runs

    newest, *others = finished_runs(resolved, source)
    if others:
        typer.echo(
            f"{source}: {len(others) + 1} finished runs, of different data or numerics; taken is "
            f"the newest, {newest}; to take another one, give its folder",
            err=True,
        )
    return newest


def _no_folder(source: str) -> RunFolderError:
    there = with_home(source).parent
    what = f"ls {there} shows what there is" if there.is_dir() else f"nor is there a folder {there}"
    return RunFolderError(
        f"{source}: there is no such run folder; {what} (run folders come with no clone: "
        "dae replicate and dae train make them)"
    )


def _looks_like_a_run(path: Path) -> bool:
    """Not there, but beside other runs: a mistyped or removed folder, not an experiment."""
    return path.suffix != ".yaml" and (path.parent.name == "runs" or path.is_absolute())
