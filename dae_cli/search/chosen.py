"""The selected settings of each cell: as its experiment file has them, written and checked."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import dae_cli
from dae_cli.config.experiments import resolve_study
from dae_cli.config.names import STUDY_FILE, label
from dae_cli.config.schema import Experiment
from dae_cli.config.search_cells import SearchedCell, settings_of
from dae_cli.csvfile import read_rows
from dae_cli.errors import ConfigError, RunFolderError
from dae_cli.files import part_of, write_text
from dae_cli.search.cell_file import MARK, recorded, with_settings
from dae_cli.search.plan import search_digest
from dae_cli.study.rows import TrialRow
from dae_cli.study.run.job import config_sha256
from dae_cli.study.tables.cells import UNVERIFIED
from dae_cli.study.tables.trials import SEARCH_CSV, best, digest_of, settings_values, tally

DIGITS_SHOWN = 16
"""Of a digest, in a file's comment."""


@dataclass(frozen=True)
class Chosen:
    """What is selected for a cell."""

    cell: str
    row: TrialRow
    experiment: Experiment
    path: Path
    """The cell's file."""
    text: str
    """All that the file is to hold."""


@dataclass(frozen=True)
class Difference:
    """One thing in which a cell's file and search.csv do not agree."""

    cell: str
    what: str
    recorded: str
    expected: str


def comment_line(study: str, rows: Sequence[TrialRow], selected: TrialRow) -> str:
    """Return the line that tells, in a cell's file, what was selected, from which trials."""
    percent = f"{selected.valid_error_percent:.2f} %"
    percent += f" on {UNVERIFIED}" if selected.trust == "unverified" else ""
    return (
        f"{MARK}{study}: trial {selected.trial} of {tally(rows)}, {percent}; "
        f"search.csv sha256 {digest_of(rows)[:DIGITS_SHOWN]}"
    )


def choose(study: str, cell: SearchedCell, rows: Sequence[TrialRow]) -> Chosen | None:
    """Return what is selected for a cell from its rows; None where no trial was completed.

    Raises:
        RunFolderError: the row holds settings that are not of the cell's space.
    """
    row = best(rows)
    if row is None:
        return None
    values = settings_values(cell.space, row.settings)
    experiment = cell.with_values(values) if values is not None else None
    if (
        values is None
        or experiment is None
        or config_sha256(experiment, row.numerics) != row.config_sha256
    ):
        raise RunFolderError(
            f"{SEARCH_CSV}: trial {row.trial} of {cell.cell} has settings that are not of the "
            "space in study.yaml; search again"
        )
    path = cell.resolved.source
    comment = comment_line(study, rows, row)
    text = with_settings(path, settings_of(cell.experiment, values), comment)
    return Chosen(cell.cell, row, experiment, path, text)


def check_writable(folder: Path) -> None:
    """Make sure, before hours of search, that the files of a study can be written.

    Raises:
        ConfigError: they are of the installed package, or the folder is read-only.
    """
    remedy = (
        "copy the folder to ./experiments and search there, or give --no-write to have the "
        "selected settings printed"
    )
    package = Path(dae_cli.__file__).resolve().parent
    if folder.resolve().is_relative_to(package):
        raise ConfigError(f"{label(folder)} is part of the installed package: {remedy}")
    trial = part_of(folder / "trial")
    try:
        trial.touch()
        trial.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{label(folder)} cannot be written to ({error.strerror}): {remedy}"
        ) from error


def write_files(folder: Path, chosen: Iterable[Chosen]) -> None:
    """Write the cells' files, all of them read and compared before the first is replaced.

    Raises:
        ConfigError: the study would not resolve to exactly what was selected.
        OutputError: a file cannot be written.
    """
    chosen = list(chosen)
    with tempfile.TemporaryDirectory() as place:
        trial = Path(place) / folder.resolve().name
        trial.mkdir()
        for file in folder.glob("*.yaml"):
            shutil.copyfile(file, trial / file.name)
        for one in chosen:
            (trial / one.path.name).write_text(one.text, encoding="utf-8")
        try:
            found = {c.cell: c.experiment for c in resolve_study(str(trial / STUDY_FILE)).cells}
        except ConfigError as error:
            raise ConfigError(
                f"{label(folder)}: with the selected settings the study would be wrong, so "
                f"nothing was written; search.csv has them\n{error}"
            ) from error
    for one in chosen:
        if found.get(one.cell) != one.experiment:
            raise ConfigError(
                f"{label(one.path)}: the selected settings cannot be put into this file as it is "
                "written; simplify it (no anchors) and give the same command again"
            )
    for one in chosen:
        write_text(one.path, one.text)


def differences(
    study: str, cells: Sequence[SearchedCell], out: Path
) -> tuple[list[Difference], list[str]]:
    """Compare the files of searched cells with search.csv; return also the cells without trials.

    Raises:
        RunFolderError: search.csv is not one that dae wrote.
    """
    rows = read_rows(out / SEARCH_CSV, TrialRow)
    found: list[Difference] = []
    not_searched = []
    for cell in cells:
        own = [row for row in rows if row.cell == cell.cell]
        line = recorded(cell.resolved.source)
        if not own and line is None:
            not_searched.append(cell.cell)
        else:
            found += _of_cell(study, cell, own, line)
    return found, not_searched


def _of_cell(
    study: str, cell: SearchedCell, rows: Sequence[TrialRow], line: str | None
) -> list[Difference]:
    def differ(what: str, recorded: str, expected: str) -> Difference:
        return Difference(cell.cell, what, recorded, expected)

    found = []
    for row in rows:
        digest = search_digest(cell, row.data_sha256, row.numerics)
        if row.search != digest:
            found.append(differ(f"search of trial {row.trial}", row.search, digest))
    versions = sorted({row.numerics for row in rows})
    if len(versions) > 1:
        found.append(differ("numerics", ", ".join(map(str, versions)), "one for all trials"))
    selected = best(rows)
    expected = comment_line(study, rows, selected) if selected else "(no trial was completed)"
    if line != expected and (line is not None or selected is not None):
        found.append(differ("selection", line or "(no line)", expected))
    if selected is not None:
        values = settings_values(cell.space, selected.settings)
        if values is None:
            what = f"settings of trial {selected.trial}"
            found.append(differ(what, str(dict(selected.settings)), "values of the space"))
        else:
            found += _settings_differ(cell, selected, settings_of(cell.experiment, values))
    return found


def _settings_differ(
    cell: SearchedCell, selected: TrialRow, settings: dict[str, object]
) -> list[Difference]:
    found = []
    for key, expected in settings.items():
        here: object = cell.experiment
        for part in key.split("."):
            here = getattr(here, part)
        if here != expected:
            found.append(Difference(cell.cell, key, str(here), str(expected)))
    digest = config_sha256(cell.experiment, selected.numerics)
    if not found and digest != selected.config_sha256:
        found.append(Difference(cell.cell, "config_sha256", selected.config_sha256, digest))
    return found
