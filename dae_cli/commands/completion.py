"""Names that the shell completes: studies, experiments, cells, settings and data sets.

If no name matches, the shell completes file names, so paths need nothing here. Modules are imported
when the shell asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import typer

from dae_cli.errors import DaeError


def studies() -> list[str]:
    """Complete the name of a study."""
    return _readable(_studies)


def experiments() -> list[str]:
    """Complete the name of an experiment, such as icml2008/convex-25."""
    return _readable(_experiments)


def studies_and_experiments() -> list[str]:
    """Complete the name of a study or an experiment."""
    return _readable(lambda: [*_studies(), *_experiments()])


def cells(ctx: typer.Context) -> list[str]:
    """Complete a cell of the study on the command line."""
    from dae_cli.config.names import cell_files, find_target

    # An option without its value ends the parsing, and the study is among the other words.
    study = ctx.params.get("study") or next(iter(ctx.args), "")
    return _readable(lambda: cell_files(find_target(study).folder))


def settings() -> list[str]:
    """Complete the key of a setting, up to its value."""
    from dae_cli.config.schema import SETTING_KEYS

    return [f"{key}=" for key in SETTING_KEYS]


def datasets() -> list[str]:
    """Complete the name of a data set, or `all`."""
    from dae_cli.data.datasets import DATASETS

    return [*DATASETS, "all"]


def _readable(names: Callable[[], Iterable[str]]) -> list[str]:
    """Return the names, or none if they cannot be read: an error would appear in the prompt."""
    try:
        return list(names())
    except (DaeError, OSError):
        return []


def _studies() -> Iterable[str]:
    from dae_cli.config.names import study_folders

    return study_folders()


def _experiments() -> Iterable[str]:
    from dae_cli.config.names import cell_files, study_folders

    for study, folder in study_folders().items():
        yield from (f"{study}/{cell}" for cell in cell_files(folder))
