"""Resolve settings from files and `--set`: the result, the problems, names of runs.

These functions return what `dae show` prints in a tenth of its time, for tables of many cases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import yaml

from dae_cli.config.dump import dump_yaml
from dae_cli.config.experiments import resolve_cells, resolve_study
from dae_cli.config.search_cells import SearchedCell, resolve_search
from dae_cli.errors import ConfigError
from dae_cli.search.selection import with_settings
from dae_cli.study.run.job import config_sha256, run_name

__all__ = [
    "named_runs",
    "problems",
    "search_space",
    "settings",
    "shown",
    "trial_settings",
    "with_settings",
]


def shown(name: str, *overrides: str) -> str:
    """Return what `dae show` prints for one experiment."""
    (cell,) = resolve_cells(name, overrides)
    return dump_yaml(cell.experiment)


def settings(name: str, *overrides: str) -> dict[str, dict[str, Any]]:
    """Return the settings of each cell of a study, or of one experiment, by `study/cell`."""
    cells = resolve_cells(name, overrides)
    return {cell.name: yaml.safe_load(dump_yaml(cell.experiment)) for cell in cells}


def problems(
    name: str, *overrides: str, only: Sequence[str] = (), search: bool = False
) -> list[str]:
    """Return the problems with a name, its files and `--set`, each with its place, on one line.

    Asserts that messages have no control characters, and that the exit code is 2.
    """
    try:
        if search:
            resolve_search(name, only)
        elif only:
            resolve_study(name, overrides, only)
        else:
            resolve_cells(name, overrides)
    except ConfigError as error:
        assert error.exit_code == 2
        lines = str(error).split("\n")
        assert all(line.isprintable() for line in lines), lines
        return _one_by_one(lines)
    return []


def named_runs(
    name: str, data_sha256: str | Mapping[str, str], *overrides: str
) -> dict[str, tuple[str, str]]:
    """Return the name of each cell's run, and the digest of its settings.

    `data_sha256`: the digest of the data, one for all cells or by data set.
    """
    found = {}
    for cell in resolve_cells(name, overrides):
        experiment = cell.experiment
        data = data_sha256 if isinstance(data_sha256, str) else data_sha256[experiment.dataset]
        found[cell.name] = run_name(experiment, data), config_sha256(experiment)
    return found


def search_space(name: str, only: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Return the search of each cell by name: ranges as written, pruning, and trials and seed.

    The number of trials and the seed are only included if the study sets them.
    """
    found = {}
    for cell in resolve_search(name, only)[1]:
        ranges: dict[str, Any] = {k: _given(asdict(domain)) for k, domain in cell.space.items()}
        found[cell.cell] = ranges | {"prune": cell.prune.model_dump()}
        if cell.trials is not None:
            found[cell.cell] |= {"trials": cell.trials, "sampler_seed": cell.sampler_seed}
    return found


def trial_settings(name: str, cell: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a trial: a cell's settings with these values of the searched ones."""
    searched: SearchedCell = next(c for c in resolve_search(name)[1] if c.cell == cell)
    found: dict[str, Any] = yaml.safe_load(dump_yaml(searched.with_values(values)))
    return found


def _given(domain: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in domain.items() if value is not None and value is not False}


def _one_by_one(lines: list[str]) -> list[str]:
    title, *rest = lines
    match = re.match(r"(\d+) problems? with ", title)
    if match is None:
        return [" ".join(" ".join(lines).split())]
    found: list[str] = []
    for line in rest:
        if line.startswith("      ") and found:
            found[-1] += " " + line.strip()
        else:
            found.append(line.strip())
    assert len(found) == int(match[1]) > 0, lines
    return [" ".join(one.split()) for one in found]
