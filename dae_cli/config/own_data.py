"""A user's own data set in a `dataset` key: the path of its declaration, or what was found there.

    dataset: digits.yaml

In the files of a user it is a path, relative to the file; in what dae writes, a mapping with the
facts. Reading a file makes either a name that brings them along; the files that a declaration
names are looked at when a cell is merged, and then only if they have changed.
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
"""Settings are read before a command has anybody to tell that a large file is read."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
SUFFIXES = (".yaml", ".yml")


def declared(path: Path) -> OwnDataset:
    """The data set that a file declares. Raises ConfigError."""
    found = _found(_shortest(path))
    if isinstance(found, OwnDataset):
        return found
    where = label(path)
    raise config_error(where, [Problem(where, p) if isinstance(p, str) else p for p in found])


def with_names(
    document: Document, folder: Path, at: KeyPath = _DATASET
) -> tuple[Document, list[Problem]]:
    """The document with the name of a user's own data set where a path or facts are written.

    `folder`: where paths begin; `at`: the place of the key.
    """
    value = document.get(at)
    if isinstance(value, str) and value.endswith(SUFFIXES):
        return _replaced(document, at, OwnDataset(_shortest(folder / value))), []
    if not isinstance(value, dict):
        return document, []
    if errors := errors_of(OwnFacts, value):
        key = path_label(errors[0]["loc"])
        text = f"not what dae writes of own data ({key}: {errors[0]['msg'].lower()})"
        return document, [document.problem(at, text)]
    facts = OwnFacts.model_validate(value)
    return _replaced(document, at, OwnDataset(Path(facts.declared), facts)), []


def with_facts(document: Document) -> tuple[Document, list[Problem]]:
    """The document with what the files of a user's own data set turn out to hold."""
    name = document.get(_DATASET)
    if not isinstance(name, OwnDataset) or name.facts:
        return document, []
    found = _found(name.path)
    if isinstance(found, OwnDataset):
        return _replaced(document, _DATASET, found), []
    return document, [p if isinstance(p, Problem) else document.problem(_DATASET, p) for p in found]


def _found(path: Path) -> OwnDataset | list[Problem | str]:
    """The set that a file declares, or what is wrong with that or with the files of its data."""
    name, known = str(OwnDataset(path)), (*DATASETS, PHOTOGRAPHS)
    if name in known or not _NAME.fullmatch(name):
        why = "is another data set's" if name in known else "is not of letters, digits, - and _"
        return [f"the data are named after the file that declares them: {name!r} {why}; rename it"]
    document, problems = read_file(path, label(path), what="a mapping, such as `file: digits.npz`")
    if document is not None:
        problems += problems_with(Declaration, document, label(path))
    if document is None or problems:
        return list(problems)
    # numpy and pandas, where own data are declared alone
    from dae_cli.data.own.content import read_own

    try:
        prepared = read_own(path, Declaration.model_validate(document.value), _LOG.info)
    except DataError as error:
        return [str(error)]
    assert isinstance(prepared.name, OwnDataset)
    return prepared.name


def _shortest(path: Path) -> Path:
    """The path from the current folder where it lies below it, so that results can move with it."""
    whole, here = path.resolve(), Path.cwd().resolve()
    return whole.relative_to(here) if whole.is_relative_to(here) else whole


def _replaced(document: Document, at: KeyPath, value: object) -> Document:
    """The document with another value at a path, at the place of the one that is written there."""

    def inside(there: Any, path: KeyPath) -> Any:
        return {**there, path[0]: inside(there[path[0]], path[1:])} if path else value

    return Document(inside(document.value, at), document.places, document.prefix)
