"""A user's own data set in a `dataset` key: the path of its declaration, or its facts.

    dataset: digits.yaml

In files that a user writes, the key is a path relative to the file; in files that dae writes, a
mapping with the facts. Both become an `OwnDataset` when the file is read. The data files that a
declaration names are read when a cell is merged, and only if they have changed.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from dae_cli.config.messages import (
    KeyPath,
    Problem,
    config_error,
    errors_of,
    path_label,
    problems_with,
)
from dae_cli.config.names import label
from dae_cli.config.reader import Document, read_file
from dae_cli.data.datasets import DATASETS, PHOTOGRAPHS, OwnDataset
from dae_cli.data.own.declaration import Declaration, OwnFacts
from dae_cli.errors import DataError

_DATASET = ("dataset",)
_LOG = logging.getLogger(__name__)
"""Settings are read before a command can show notes, so the note on a large file is logged."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
SUFFIXES = (".yaml", ".yml")


def declared(path: Path) -> OwnDataset:
    """Return the data set that a file declares. Raises ConfigError."""
    found = _found(_shortest(path))
    if isinstance(found, OwnDataset):
        return found
    where = label(path)
    raise config_error(where, [Problem(where, p) if isinstance(p, str) else p for p in found])


def with_names(
    document: Document, folder: Path, at: KeyPath = _DATASET
) -> tuple[Document, list[Problem]]:
    """Replace a path or facts in a `dataset` key by an `OwnDataset`.

    `folder`: what paths are relative to; `at`: the place of the key.
    """
    value = document.get(at)
    if isinstance(value, str) and value.endswith(SUFFIXES):
        return _replaced(document, at, OwnDataset(_shortest(folder / value))), []
    if not isinstance(value, dict):
        return document, []
    if errors := errors_of(OwnFacts, value):
        key = path_label(errors[0]["loc"])
        text = f"not a description of own data as dae writes it ({key}: {errors[0]['msg'].lower()})"
        return document, [document.problem(at, text)]
    facts = OwnFacts.model_validate(value)
    return _replaced(document, at, OwnDataset(Path(facts.declared), facts)), []


def with_facts(document: Document) -> tuple[Document, list[Problem]]:
    """Read the files of a user's own data set and add the facts to the document."""
    name = document.get(_DATASET)
    if not isinstance(name, OwnDataset) or name.facts:
        return document, []
    found = _found(name.path)
    if isinstance(found, OwnDataset):
        return _replaced(document, _DATASET, found), []
    return document, [p if isinstance(p, Problem) else document.problem(_DATASET, p) for p in found]


def _found(path: Path) -> OwnDataset | list[Problem | str]:
    """Return the data set that a file declares, or the problems of the file or its data."""
    name, known = str(OwnDataset(path)), (*DATASETS, PHOTOGRAPHS)
    if name in known or not _NAME.fullmatch(name):
        why = "names another data set" if name in known else "has more than letters, digits, -, _"
        return [f"a data set is named after its declaration: {name!r} {why}; rename the file"]
    document, problems = read_file(path, label(path), what="a mapping, such as `file: digits.npz`")
    if document is not None:
        problems += problems_with(Declaration, document, label(path))
    if document is None or problems:
        return list(problems)
    # Loads numpy and pandas, which only experiments on own data need here.
    from dae_cli.data.own.content import read_own

    try:
        prepared = read_own(path, Declaration.model_validate(document.value), _LOG.info)
    except DataError as error:
        return [str(error)]
    assert isinstance(prepared.name, OwnDataset)
    return prepared.name


def _shortest(path: Path) -> Path:
    """Make a path below the current folder relative, so that results can move together with it."""
    whole, here = path.resolve(), Path.cwd().resolve()
    return whole.relative_to(here) if whole.is_relative_to(here) else whole


def _replaced(document: Document, at: KeyPath, value: object) -> Document:
    """Replace the value at a path; messages still name the place of the old one."""

    def inside(there: Any, path: KeyPath) -> Any:
        return {**there, path[0]: inside(there[path[0]], path[1:])} if path else value

    return Document(inside(document.value, at), document.places, document.prefix)
