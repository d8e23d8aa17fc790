"""Find the files of experiments and studies by name or path.

A name (`icml2008`, `icml2008/convex-25`) is looked up in ./experiments, then in the experiments
that the package contains. An argument is a path if it ends with `/` or `.yaml`, starts with `./`,
`../` or `~`, or is absolute. An existing study folder needs no final `/`.
"""

from __future__ import annotations

import fnmatch
import importlib.resources
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dae_cli.errors import ConfigError, did_you_mean, shown, some
from dae_cli.files import with_home

STUDY_FILE = "study.yaml"
DATA_SUFFIX = ".data.yaml"
"""Suffix of a file that declares own data in a study's folder, so that it is not read as a cell."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SEPARATORS = tuple({"/", os.sep})


@dataclass(frozen=True)
class Target:
    """A study (without `file`), one of its cells, or a single file."""

    name: str
    folder: Path
    """The study's folder, or the folder of the file."""
    file: Path | None


def find_target(name: str) -> Target:
    """Return the study, cell or file with a name. Raises ConfigError, with the most similar one."""
    try:
        return _target(name)
    except OSError as error:  # the path is too long, or a folder cannot be read
        raise ConfigError(f"{shown(name[:80])}: cannot be read: {error.strerror}") from error


def _target(name: str) -> Target:
    if _is_path(name):
        return _from_path(with_home(name), name)
    parts = name.split("/")
    if ".." in parts or "." in parts:
        raise ConfigError(
            f"{name!r} is not a valid name, because it contains . or ..; to pass a path, end it "
            "with / (a study) or .yaml (an experiment)"
        )
    studies = study_folders()
    study, path = studies.get(parts[0]), Path(name)
    if study is None or len(parts) > 2:
        if (path / STUDY_FILE).is_file():
            return _from_path(path, name)
        if (path.parent / STUDY_FILE).is_file():
            return _cell(path.parent, path.name, path.resolve().parent.name)
        raise _unknown(name, studies)
    return _cell(study, parts[1], parts[0]) if len(parts) > 1 else Target(name, study, None)


def _cell(study: Path, cell: str, name: str) -> Target:
    """Return a cell of the study `name` in the folder `study`. Raises ConfigError."""
    file = cell_files(study).get(cell)
    if file is None:
        raise _unknown_cell(cell, f"the study {shown(name)}", cell_files(study), f"{name}/")
    return Target(f"{name}/{cell}", study, file)


def chosen_cells(
    only: Iterable[str], study: str, cells: Iterable[str], what: str = "study"
) -> list[str]:
    """Return the cells with these names (`convex-0`, `study/convex-0`) or globs; all if none given.

    Raises ConfigError: `what` (a study or its search) has no such cell.
    """
    known, found = list(cells), list[str]()
    for name in only:
        cell = name.removeprefix(f"{study}/")
        matching = [cell] if cell in known else fnmatch.filter(known, cell)
        if not matching:
            raise _unknown_cell(cell, f"the {what} {shown(study)}", known)
        found += matching
    return found or known


def _unknown_cell(cell: str, who: str, known: Iterable[str], prefix: str = "") -> ConfigError:
    return ConfigError(
        f"{who} has no cell {cell!r}{did_you_mean(cell, known, prefix=prefix)}\n"
        f"  cells: {some([*known], 12)}"
    )


def study_folders() -> dict[str, Path]:
    """Return all studies by name, sorted; those in ./experiments hide those of the package."""
    found: dict[str, Path] = {}
    for root in (Path("experiments"), shipped_experiments()):
        if root.is_dir():
            for file in root.glob(f"*/{STUDY_FILE}"):
                if _NAME.fullmatch(file.parent.name):
                    found.setdefault(file.parent.name, file.parent)
    return dict(sorted(found.items()))


def shipped_experiments() -> Path:
    """Return the folder of experiments in the package, or next to it in a source checkout."""
    package = Path(str(importlib.resources.files("dae_cli")))
    inside = package / "experiments"
    return inside if inside.is_dir() else package.parent / "experiments"


def cell_files(study: Path) -> dict[str, Path]:
    """Return the cell files of a study's folder by cell name, sorted in natural order."""
    files = [
        f
        for f in study.glob("*.yaml")
        if f.name != STUDY_FILE and not f.name.endswith(DATA_SUFFIX) and f.name[0] != "."
    ]
    return {file.stem: file for file in sorted(files, key=lambda file: _natural(file.stem))}


def label(path: Path) -> str:
    """Return the path for messages, relative if it is inside the current folder."""
    try:
        return shown(path.resolve().relative_to(Path.cwd().resolve()).as_posix())
    except ValueError:
        return shown(str(path))


def _is_path(name: str) -> bool:
    return (
        name.endswith((*_SEPARATORS, ".yaml", ".yml"))
        or name.startswith(("./", "../", "~"))
        or name in (".", "..")
        or Path(name).is_absolute()
    )


def _from_path(path: Path, name: str) -> Target:
    if path.is_dir():
        if (path / STUDY_FILE).is_file():
            return Target(path.resolve().name, path, None)
        raise ConfigError(f"{shown(name)} is not a study: the folder has no {STUDY_FILE}")
    if not path.is_file():
        if path.suffix != ".yaml" and (path.parent / STUDY_FILE).is_file():
            return _cell(path.parent, path.name, path.resolve().parent.name)
        raise ConfigError(f"{shown(name)} does not exist (interpreted as a path, not a name)")
    if path.name == STUDY_FILE:
        return Target(path.resolve().parent.name, path.parent, None)
    if (path.parent / STUDY_FILE).is_file():
        return Target(f"{path.resolve().parent.name}/{path.stem}", path.parent, path)
    return Target(path.stem, path.parent, path)


def _unknown(name: str, studies: dict[str, Path]) -> ConfigError:
    cells = {study: list(cell_files(folder)) for study, folder in studies.items()}
    names = [*studies, *(f"{study}/{cell}" for study, own in cells.items() for cell in own)]
    same = [f"{study}/{name}" for study, own in cells.items() if name in own]
    near = f"; did you mean {' or '.join(same)}?" if same else did_you_mean(name, names)
    own_first = sorted(studies, key=lambda study: studies[study].parent == shipped_experiments())
    return ConfigError(
        f"no experiment or study is named {name[:80]!r}{near}\n"
        f"  studies: {some(own_first, 5)}; dae ls lists them all, dae ls STUDY the cells of one\n"
        "  to pass a path, end it with / (a study) or .yaml (an experiment)"
    )


def _natural(name: str) -> list[tuple[str, int]]:
    """Return a sort key of text and numbers that puts convex-5 before convex-10."""
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", name)]
