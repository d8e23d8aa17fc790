"""The selected settings of each cell: from its trials into its file, and compared with it."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dae_cli
from dae_cli.config.dump import flat_settings, one_line
from dae_cli.config.experiments import resolve_study
from dae_cli.config.names import STUDY_FILE, label
from dae_cli.config.schema import Experiment
from dae_cli.config.search_cells import SearchedCell, settings_of
from dae_cli.csvfile import read_rows
from dae_cli.errors import ConfigError, RunFolderError
from dae_cli.files import part_of, write_text
from dae_cli.search.plan import search_digest
from dae_cli.study.rows import TrialRow
from dae_cli.study.run.job import config_sha256
from dae_cli.study.tables.cells import UNVERIFIED
from dae_cli.study.tables.trials import SEARCH_CSV, best, digest_of, settings_values, tally

MARK = "# Selected on validation by dae search "
DIGITS_SHOWN = 16
"""Of a digest, in a file's comment."""


@dataclass(frozen=True)
class Selection:
    """What is selected for a cell."""

    cell: str
    row: TrialRow
    experiment: Experiment
    path: Path
    """The cell's file."""
    text: str
    """The file's new content."""


@dataclass(frozen=True)
class Difference:
    """One thing in which a cell's file and search.csv do not agree."""

    cell: str
    what: str
    recorded: str
    expected: str


def select(study: str, cell: SearchedCell, rows: Sequence[TrialRow]) -> Selection | None:
    """Return what is selected for a cell from its rows; None where no trial was completed.

    Raises:
        RunFolderError: the row holds settings that are not of the cell's space.
    """
    row = best(rows)
    if row is None:
        return None
    values = settings_values(cell.space, row.settings)
    experiment = None if values is None else cell.with_values(values)
    if (
        values is None
        or experiment is None
        or config_sha256(experiment, row.numerics) != row.config_sha256
    ):
        raise RunFolderError(
            f"{SEARCH_CSV}: trial {row.trial} of {cell.cell} has settings that are not of the "
            "space in study.yaml; search again"
        )
    path, comment = cell.resolved.source, _comment(study, rows, row)
    text = with_settings(
        path.read_text(encoding="utf-8-sig"), settings_of(cell.experiment, values), comment
    )
    return Selection(cell.cell, row, experiment, path, text)


def _comment(study: str, rows: Sequence[TrialRow], selected: TrialRow) -> str:
    """The line that tells, in a cell's file, what was selected, from which trials."""
    percent = f"{selected.valid_error_percent:.2f} %"
    percent += f" on {UNVERIFIED}" if selected.trust == "unverified" else ""
    return (
        f"{MARK}{study}: trial {selected.trial} of {tally(rows)}, {percent}; "
        f"search.csv sha256 {digest_of(rows)[:DIGITS_SHOWN]}"
    )


def with_settings(text: str, settings: Mapping[str, Any], comment: str) -> str:
    """Return the text of a cell's file with dotted keys set, and a comment line that says so.

    Comments, order and style of the others stay.

    Args:
        text: of the file, which has been read without a problem.
        settings: values of dotted keys of the schema.
        comment: ends the comment at the head of the file; an earlier one like it goes.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10**6  # what is on one line stays there
    yaml.indent(mapping=2, sequence=4, offset=2)
    lines = [line for line in text.splitlines() if not line.startswith(MARK)]
    head = next((k for k, line in enumerate(lines) if not line.startswith("#")), len(lines))
    before, after = lines[:head], "".join(f"{line}\n" for line in lines[head:])
    if (document := yaml.load(after)) is None:  # nothing but comments
        before, document = lines, CommentedMap()
    for key, value in settings.items():
        *sections, name = key.split(".")
        level = document
        for section in sections:
            if not isinstance(level.get(section), CommentedMap):
                level[section] = CommentedMap()
                level[section].fa.set_flow_style()
            level = level[section]
        _replace(level, name, yaml.load(one_line(value)))
    body = io.StringIO()
    yaml.dump(document, body)
    return "".join(f"{line}\n" for line in (*before, comment)) + body.getvalue()


def _replace(level: Any, name: str, value: Any) -> None:
    """Set a key; the style of a list and the comment below it stay."""
    there = level.get(name)
    if not isinstance(value, list) or not isinstance(there, list):
        level[name] = value
        return
    below: Any = there.ca.items.pop(len(there) - 1, None)  # type: ignore[attr-defined]
    there[:] = value
    if below is not None:
        there.ca.items[len(there) - 1] = below  # type: ignore[attr-defined]


def recorded(path: Path) -> str | None:
    """Return the comment line of the last selection that is in a file; None if there is none."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return next((line for line in lines if line.startswith(MARK)), None)


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


def write_files(folder: Path, selections: Sequence[Selection]) -> None:
    """Write the cells' files, all of them read and compared before the first is replaced.

    Raises:
        ConfigError: the study would not resolve to exactly what was selected.
        OutputError: a file cannot be written.
    """
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / folder.resolve().name
        copy.mkdir()
        for file in folder.glob("*.yaml"):
            shutil.copyfile(file, copy / file.name)
        for one in selections:
            (copy / one.path.name).write_text(one.text, encoding="utf-8")
        try:
            study = resolve_study(str(copy / STUDY_FILE), data_from=folder)
            resolved = {cell.cell: cell.experiment for cell in study.cells}
        except ConfigError as error:
            raise ConfigError(
                f"{label(folder)}: with the selected settings the study would be wrong, so "
                f"nothing was written; search.csv has them\n{error}"
            ) from error
    for one in selections:
        if resolved.get(one.cell) != one.experiment:
            raise ConfigError(
                f"{label(one.path)}: the selected settings cannot be put into this file as it is "
                "written; simplify it (no anchors) and give the same command again"
            )
    for one in selections:
        write_text(one.path, one.text)


def differences(
    study: str, cells: Sequence[SearchedCell], out: Path
) -> tuple[list[Difference], list[str]]:
    """Compare the files of searched cells with search.csv; return also the cells without trials.

    Raises:
        RunFolderError: search.csv is not one that dae wrote.
    """
    rows = read_rows(out / SEARCH_CSV, TrialRow)
    differing: list[Difference] = []
    not_searched = []
    for cell in cells:
        own = [row for row in rows if row.cell == cell.cell]
        line = recorded(cell.resolved.source)
        if not own and line is None:
            not_searched.append(cell.cell)
        else:
            differing += [Difference(cell.cell, *what) for what in _differ(study, cell, own, line)]
    return differing, not_searched


def _differ(
    study: str, cell: SearchedCell, rows: Sequence[TrialRow], line: str | None
) -> Iterator[tuple[str, str, str]]:
    """What a cell's file and its rows do not agree in: what, recorded, expected."""
    for row in rows:
        digest = search_digest(cell, row.data_sha256, row.numerics)
        if row.search != digest:
            yield f"search of trial {row.trial}", row.search, digest
    versions = sorted({row.numerics for row in rows})
    if len(versions) > 1:
        yield "numerics", ", ".join(map(str, versions)), "one for all trials"
    selected = best(rows)
    expected = _comment(study, rows, selected) if selected else "(no trial was completed)"
    if line != expected and (line is not None or selected is not None):
        yield "selection", line or "(no line)", expected
    if selected is None:
        return
    values = settings_values(cell.space, selected.settings)
    if values is None:
        settings = str(dict(selected.settings))
        yield f"settings of trial {selected.trial}", settings, "values of the space"
        return
    here, wanted = flat_settings(cell.experiment), settings_of(cell.experiment, values)
    others = [(key, str(here[key]), str(v)) for key, v in wanted.items() if here[key] != v]
    yield from others
    digest = config_sha256(cell.experiment, selected.numerics)
    if not others and digest != selected.config_sha256:
        yield "config_sha256", selected.config_sha256, digest
