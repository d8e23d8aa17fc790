"""RUN or EXPERIMENT, as an argument, to the folder of a run."""

from __future__ import annotations

from pathlib import Path

from dae_cli.errors import RunFolderError

_CONFIG = "config.yaml"


def run_folder(source: str) -> Path:
    """The run folder that is named, or that of the finished run of the experiment named.

    Raises:
        RunFolderError: the folder is no run's; the experiment has no finished run.
        ConfigError: neither a folder nor an experiment.
    """
    path = Path(source)
    if path.is_dir() and not (path / "study.yaml").is_file():
        if (path / _CONFIG).is_file():
            return path
        raise RunFolderError(f"{source}: not a run folder (there is no {_CONFIG})")
    if _looks_like_a_run(path):
        raise RunFolderError(
            f"{source}: there is no such run folder; ls {path.parent} shows what there is"
        )
    from dae_cli.config.experiments import resolve_experiment

    resolved = resolve_experiment(source)

    from dae_cli.study.filters import finished_run

    return finished_run(resolved)


def _looks_like_a_run(path: Path) -> bool:
    """Not there, but beside other runs: a mistyped or removed folder, not an experiment."""
    return path.suffix != ".yaml" and (path.parent.name == "runs" or path.is_absolute())
