"""Select the settings of each cell from its trials, write them to its file, or compare the two."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dae_cli
from dae_cli.config.dump import flat_settings, one_line
from dae_cli.config.experiments import resolve_study
from dae_cli.config.names import STUDY_FILE, label
from dae_cli.config.schema import Experiment
from dae_cli.config.search_cells import SearchedCell, Values, settings_of
from dae_cli.csvfile import read_rows
from dae_cli.errors import ConfigError
from dae_cli.files import write_text
from dae_cli.search.plan import search_digest
from dae_cli.study.rows import TrialRow
from dae_cli.study.tables.cells import UNVERIFIED
from dae_cli.study.tables.trials import SEARCH_CSV, best, digest_of, settings_values, tally

MARK = "# Selected on validation by dae search "
DIGITS_SHOWN = 16
"""Number of hex digits of a digest in a file's comment."""


@dataclass(frozen=True)
class Selection:
    """The selected trial of a cell and its settings."""

    cell: SearchedCell
    row: TrialRow
    values: Values
    comment: str
    """Comment in the cell's file that names the selected trial and the trials it is from."""

    @property
    def path(self) -> Path:
        """Path of the cell's file."""
        return self.cell.resolved.source

    @cached_property
    def experiment(self) -> Experiment:
        """The cell's experiment with the selected settings."""
        return self.cell.with_values(self.values)

    @cached_property
    def text(self) -> str:
        """New content of the cell's file."""
        text = self.path.read_text(encoding="utf-8-sig")
        return with_settings(text, settings_of(self.cell.experiment, self.values), self.comment)


def select(study: str, cell: SearchedCell, rows: Sequence[TrialRow]) -> Selection | None:
    """Return the selection for a cell from its rows, or None if no trial was completed.

    Raises:
        ValueError: the selected row's settings are not in the cell's space.
    """
    if (row := best(rows)) is None:
        return None
    percent = f"{row.valid_error_percent:.2f} %"
    percent += f" on {UNVERIFIED}" if row.trust == "unverified" else ""
    comment = (
        f"{MARK}{study}: trial {row.trial} of {tally(rows)}, {percent}; "
        f"search.csv sha256 {digest_of(rows)[:DIGITS_SHOWN]}"
    )
    return Selection(cell, row, settings_values(cell.space, row.settings), comment)


def with_settings(text: str, settings: Mapping[str, Any], comment: str) -> str:
    """Set dotted keys in the text of a cell's file, keeping its comments, order and style.

    `comment` is added as the last line of the comment at the top; an earlier one is removed.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10**6  # do not wrap lines
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
    """Set a key, keeping the style of a list and the comment below it."""
    current: Any = level.get(name)
    if not isinstance(value, list) or not isinstance(current, list):
        level[name] = value
    else:
        below = current.ca.items.pop(len(current) - 1, None)  # type: ignore[attr-defined]
        current[:] = value
        if below is not None:
            current.ca.items[len(current) - 1] = below  # type: ignore[attr-defined]


def check_writable(folder: Path) -> None:
    """Check, before hours of search, that the files of a study can be written.

    Raises:
        ConfigError: they belong to the installed package, or the folder is read-only.
    """
    package = Path(dae_cli.__file__).resolve().parent
    installed = folder.resolve().is_relative_to(package)
    if installed or not os.access(folder, os.W_OK):
        why = "is part of the installed package" if installed else "cannot be written to"
        raise ConfigError(
            f"{label(folder)} {why}; copy the folder to ./experiments and search there, or use "
            "--no-write to print the selected settings"
        )


def write_files(folder: Path, selections: Mapping[str, Selection]) -> None:
    """Write the cells' files, after checking all of them in a temporary copy of the study.

    Raises:
        ConfigError: the study would not resolve to exactly the selected settings.
        OutputError: a file cannot be written.
    """
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / folder.resolve().name
        copy.mkdir()
        for file in folder.glob("*.yaml"):
            shutil.copyfile(file, copy / file.name)
        for one in selections.values():
            (copy / one.path.name).write_text(one.text, encoding="utf-8")
        try:
            study = resolve_study(str(copy / STUDY_FILE), data_from=folder)
        except ConfigError as error:
            raise ConfigError(
                f"{label(folder)}: the selected settings make the study invalid, so no file was "
                f"changed; the settings are in {SEARCH_CSV}\n{error}"
            ) from error
    for cell in study.cells:
        if cell.cell in selections and cell.experiment != selections[cell.cell].experiment:
            raise ConfigError(
                f"{label(selections[cell.cell].path)}: cannot insert the selected settings into "
                "this YAML; simplify it (no anchors) and run the same command again"
            )
    for one in selections.values():
        write_text(one.path, one.text)


def differences(
    study: str, cells: Sequence[SearchedCell], out: Path
) -> tuple[list[dict[str, str]], list[str]]:
    """Compare the files of searched cells with search.csv.

    Returns:
        The differences (cell, what, recorded, expected), and the cells without trials.

    Raises:
        RunFolderError: search.csv was not written by dae, or was damaged.
    """
    rows = read_rows(out / SEARCH_CSV, TrialRow)
    differing: list[dict[str, str]] = []
    not_searched = []
    for cell in cells:
        own = [row for row in rows if row.cell == cell.cell]
        lines = cell.resolved.source.read_text(encoding="utf-8-sig").splitlines()
        line = next((line for line in lines if line.startswith(MARK)), None)
        if not own and line is None:
            not_searched.append(cell.cell)
            continue
        for what, recorded, expected in _differ(study, cell, own, line):
            values = {"what": what, "recorded": recorded, "expected": expected}
            differing.append({"cell": cell.cell, **values})
    return differing, not_searched


def _differ(
    study: str, cell: SearchedCell, rows: Sequence[TrialRow], line: str | None
) -> Iterator[tuple[str, str, str]]:
    """Yield the differences between a cell's file and its rows: what, recorded, expected."""
    for row in rows:
        digest = search_digest(cell, row.data_sha256, row.numerics)
        if row.search != digest:
            yield f"search of trial {row.trial}", row.search, digest
    versions = sorted({row.numerics for row in rows})
    if len(versions) > 1:
        yield "numerics", ", ".join(map(str, versions)), "one for all trials"
    try:
        selection = select(study, cell, rows)
    except ValueError as error:
        yield "settings of the selected trial", str(error), "values of the space"
        return
    expected = selection.comment if selection else "(no trial was completed)"
    if line != expected and (line is not None or selection):
        yield "selection", line or "(no line)", expected
    if selection:
        here, wanted = flat_settings(cell.experiment), flat_settings(selection.experiment)
        for key, value in wanted.items():
            if here[key] != value:
                yield key, str(here[key]), str(value)
