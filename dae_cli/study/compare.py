"""Contenders of `dae compare`: cells of a results folder, and runs grouped by settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from dae_cli.config.dump import differing_settings
from dae_cli.config.experiments import ResolvedExperiment, ResolvedStudy, load_resolved
from dae_cli.config.saved_settings import SETTINGS, read_settings
from dae_cli.errors import ConfigError, RunFolderError
from dae_cli.study.results_folder import is_current
from dae_cli.study.rows import RUNS_CSV, RunRow, read_results
from dae_cli.study.run.job import CONFIG, with_seed
from dae_cli.study.run.record import read_status
from dae_cli.study.run.wrong_rows import load_wrong_rows
from dae_cli.study.tables.comparisons import read_wrong_rows
from dae_cli.study.tables.paired import Contender, contenders_of, is_tested


def cells_of_results(
    folder: Path, cell: str, study: ResolvedStudy | None, source: str
) -> list[Contender]:
    """Return the cells of a results folder, or only `cell` if it is not empty.

    Args:
        study: only cells with the current settings of this study are returned; None: all cells.

    Raises:
        RunFolderError: no cell has a finished run, or a file is damaged.
    """
    now = {one.cell: one for one in study.cells} if study else {}
    known = {one.cell: one for one in _recorded(folder)} | now
    rows = [
        row
        for row in read_results(folder / RUNS_CSV, RunRow)
        if is_tested(row)
        and cell in ("", row.cell)
        and (study is None or (row.cell in now and is_current(row, now[row.cell])))
    ]
    if cell and study is not None and not rows:
        return []
    if not rows:
        raise RunFolderError(
            f"{source}: {folder / RUNS_CSV} has no finished run{f' of {cell}' if cell else ''} "
            "with a test error; run dae replicate first"
        )
    return [
        replace(
            one,
            experiment=known[one.cell].experiment if one.cell in known else None,
            is_changed=one.cell in known and bool(known[one.cell].changed),
        )
        for one in contenders_of(rows, read_wrong_rows(folder, rows), source)
    ]


def _recorded(folder: Path) -> Sequence[ResolvedExperiment]:
    """Return the cells with the settings recorded in a results folder, if there is a record."""
    with suppress(ConfigError):  # folders of earlier versions have no record
        return read_settings(folder / SETTINGS, folder).cells
    return ()


def grouped_runs(runs: Iterable[tuple[Path, str]]) -> list[Contender]:
    """Return runs grouped by their settings without the seed; each has the user's name for it.

    Raises:
        RunFolderError: a run is not finished, has no test error, or is damaged.
    """
    by_settings: dict[str, Contender] = {}
    for folder, source in runs:
        row = read_status(folder)
        if row.state != "done" or not is_tested(row):
            raise RunFolderError(f"{source}: not a finished run with a test error")
        experiment = with_seed(load_resolved(folder / CONFIG), 0)
        key = f"{experiment!r} {row.data_sha256}"
        if key in by_settings and row.seed in by_settings[key].rows:  # e.g. another engine
            key = str(folder)
        new = Contender(row.cell, row.cell, source, {}, {}, experiment, "=" in row.cell)
        one = by_settings.setdefault(key, new)
        one.rows[row.seed] = row
        with suppress(RunFolderError):  # of an earlier version: only its errors can be compared
            one.wrong_rows[row.run] = load_wrong_rows(folder, row.n_test or 0, row.n_wrong)
    return list(by_settings.values())


def with_distinct_names(contenders: Sequence[Contender]) -> list[Contender]:
    """Return the contenders with distinct, descriptive names.

    Contenders of the same cell, or with changed settings, are named by the settings in which they
    differ; if these are the same, by the source that the user named.
    """
    named = [replace(one, name=_settings_of(one, contenders) or one.cell) for one in contenders]
    for form in ("{0.cell} with {0.name}", "{0.cell} of {0.source}"):
        names = [one.name for one in named]
        named = [
            replace(one, name=form.format(one))
            if names.count(one.name) > 1 and (one.name != one.cell or "source" in form)
            else one
            for one in named
        ]
    return named


def _settings_of(one: Contender, contenders: Sequence[Contender]) -> str:
    """Return `corruption.destruction=0.15, …`; empty if the cell's name is enough."""
    among = [other for other in contenders if other.test_rows == one.test_rows]
    alike = [other for other in among if other.cell == one.cell]
    if len(alike) == 1 and one.is_changed:
        alike = among
    if len(alike) == 1 or any(other.experiment is None for other in alike):
        return ""
    settings = differing_settings([c.experiment for c in alike if c.experiment])
    own = settings[alike.index(one)]
    return ", ".join(f"{key}={value}" for key, value in own.items() if value)
