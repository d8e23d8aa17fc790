"""Names and paths of experiments and studies to their files.

A name (`icml2008`, `icml2008/convex-25`) is looked up in ./experiments, then in the experiments
shipped with the program. A path is recognised by its ending (`/`, `.yaml`), a leading `./`, or by
being absolute; a folder that exists may be given without the final `/`.
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
"""Of a declaration of own data within a study's folder, which is no cell."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SEPARATORS = tuple({"/", os.sep})


@dataclass(frozen=True)
class Target:
    """What a name stands for: a study (no `file`), one of its cells, or a file on its own."""

    name: str
    folder: Path
    """The study's folder, or the folder of the file."""
    file: Path | None


def find_target(name: str) -> Target:
    """The study, cell or file that `name` means. ConfigError if there is none, with the nearest."""
    try:
        return _target(name)
    except OSError as error:  # longer than a path may be, or a folder that may not be read
        raise ConfigError(f"{shown(name[:80])}: cannot be looked up: {error.strerror}") from error


def _target(name: str) -> Target:
    if _is_path(name):
        return _from_path(with_home(name), name)
    parts = name.split("/")
    if ".." in parts or "." in parts:
        raise ConfigError(
            f"{name!r} is not a name: a name cannot leave the folder of the experiments. "
            "To give a path, end it with / (a study) or .yaml (an experiment)."
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
    """The cell of the study of this name that lies in a folder. Raises ConfigError."""
    file = cell_files(study).get(cell)
    if file is None:
        raise _unknown_cell(cell, f"the study {shown(name)}", cell_files(study), f"{name}/")
    return Target(f"{name}/{cell}", study, file)


def chosen_cells(
    only: Iterable[str], study: str, cells: Iterable[str], what: str = "study"
) -> list[str]:
    """The cells that names, long or short, or globs (`convex-*`) mean; all where none is given.

    Raises ConfigError: there is no such cell in `what`, the study or its search.
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
        f"  its cells are {', '.join(map(shown, known))}"
    )


def study_folders() -> dict[str, Path]:
    """Every study that can be named, in order of its name; ./experiments hides shipped ones."""
    found: dict[str, Path] = {}
    for root in (Path("experiments"), shipped_experiments()):
        if root.is_dir():
            for file in root.glob(f"*/{STUDY_FILE}"):
                if _NAME.fullmatch(file.parent.name):
                    found.setdefault(file.parent.name, file.parent)
    return dict(sorted(found.items()))


def shipped_experiments() -> Path:
    """The experiments inside the installed package, or beside it in a source checkout."""
    package = Path(str(importlib.resources.files("dae_cli")))
    inside = package / "experiments"
    return inside if inside.is_dir() else package.parent / "experiments"


def cell_files(study: Path) -> dict[str, Path]:
    """The cell files of a study folder by cell name, numbers in their natural order."""
    files = [
        f
        for f in study.glob("*.yaml")
        if f.name != STUDY_FILE and not f.name.endswith(DATA_SUFFIX) and f.name[0] != "."
    ]
    return {file.stem: file for file in sorted(files, key=lambda file: _natural(file.stem))}


def label(path: Path) -> str:
    """The path for messages: relative where it lies below the current folder."""
    try:
        return shown(path.resolve().relative_to(Path.cwd().resolve()).as_posix())
    except ValueError:
        return shown(str(path))


def _is_path(name: str) -> bool:
    return (
        name.endswith((*_SEPARATORS, ".yaml", ".yml"))
        or name.startswith("./")
        or name == "."
        or name.startswith("~")
        or Path(name).is_absolute()
    )


def _from_path(path: Path, name: str) -> Target:
    if path.is_dir():
        if (path / STUDY_FILE).is_file():
            return Target(path.resolve().name, path, None)
        raise ConfigError(f"{shown(name)} is no study: the folder has no {STUDY_FILE}")
    if not path.is_file():
        raise ConfigError(f"{shown(name)} does not exist (read as a path, not as a name)")
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
    lines = [f"no experiment or study is named {name!r}{near}"]
    lines += [f"  {study}/: {some(own, 8)}" for study, own in cells.items()]
    lines.append("  `dae ls STUDY` lists all cells of a study")
    lines.append("  a path ends with / (a study) or .yaml (an experiment)")
    return ConfigError("\n".join(lines))


def _natural(name: str) -> list[tuple[str, int]]:
    """Text and numbers in turn, so that convex-5 comes before convex-10."""
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", name)]
