"""Readers of untrusted files: data, the cache, tables of results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dae_cli.csvfile import read_rows
from dae_cli.data import readers as data_readers
from dae_cli.data.cache import read_entry, read_pointer
from dae_cli.data.dataset import Greys, as_dataset
from dae_cli.data.datasets import DATASETS
from dae_cli.data.mnist import read_idx, read_labels
from dae_cli.data.own import files as own_files
from dae_cli.data.own.declaration import Declaration
from dae_cli.data.readers import read_archive, read_text
from dae_cli.errors import DaeError
from dae_cli.study.rows import TrialRow
from dae_cli.study.run.wrong_rows import load_wrong_rows
from dae_cli.study.tables.comparisons import require_readable

__all__ = [
    "SETS",
    "Arrays",
    "DaeError",
    "Rows",
    "SetFacts",
    "gather_greys",
    "read_cache_entry",
    "read_cache_pointer",
    "read_comparisons_and_saved_rows",
    "read_idx",
    "read_labels",
    "read_npz",
    "read_search",
    "read_text_files",
    "read_wrong_rows",
    "read_zip",
    "splits_of",
    "stream_own_rows",
]


class SetFacts(NamedTuple):
    """Facts about a benchmark data set that are known before any file is opened."""

    n_classes: int
    train_member: str
    test_member: str
    levels: int | None


SETS = {
    name: SetFacts(spec.n_classes, *spec.archive.members, spec.levels)
    for name, spec in DATASETS.items()
    if spec.archive
}


class Rows(NamedTuple):
    """A data set and the number of rows of its splits, fewer than the genuine files have."""

    dataset: str
    train: int
    valid: int
    test: int
    image: tuple[int, int] = (28, 28)
    n_classes: int | None = None
    """None: the number of classes of the data set."""


class Arrays(NamedTuple):
    """Stored arrays of a data set's files; grey values are pixels divided by its levels."""

    pixels: NDArray[Any]
    labels: NDArray[np.uint8]
    test_pixels: NDArray[Any]
    test_labels: NDArray[np.uint8]


def _spec(of: Rows) -> Any:
    known = DATASETS[of.dataset]
    return replace(
        known,
        n_train=of.train,
        n_valid=of.valid,
        n_test=of.test,
        image=of.image,
        n_classes=of.n_classes or known.n_classes,
    )


def _arrays(content: Any) -> Arrays:
    return Arrays(*(getattr(content, name) for name in Arrays._fields))


def stream_own_rows(path: Path) -> list[NDArray[Any]]:
    """Read X of an .npz of the user's own, three rows at a time."""
    declaration = Declaration(file=path.name, label="y")
    parts = own_files.read_rows(path, declaration, streamed=True)
    return [block.values for rows in parts.values() for block in rows.blocks(3)]


def read_text_files(train: Path, test: Path, of: Rows) -> Arrays:
    """Read the training file and the test file, both text."""
    return _arrays(read_text(train, test, _spec(of)))


def read_zip(path: Path, of: Rows) -> Arrays:
    """Read an archive of the two text files."""
    return _arrays(read_archive(path, _spec(of)))


def read_npz(path: Path, of: Rows) -> Arrays:
    """Read X, Y, Xtest and Ytest."""
    return _arrays(data_readers.read_npz(path, _spec(of)))


def splits_of(arrays: Arrays, of: Rows) -> tuple[Any, Any, Any]:
    """Return the training, validation and test splits.

    Each has `pixels`, `labels`, `scale`, a length, `as_float(rows)` and `take(n)`.
    """
    content: Any = arrays
    dataset = as_dataset(_spec(of), content, "original", "0" * 64)
    return dataset.train, dataset.valid, dataset.test


def gather_greys(split: Any, minibatches: list[list[int]], out: list[NDArray[np.float32]]) -> None:
    """Write grey values of minibatches of at most five rows into `out`, with one `Greys`."""
    greys = Greys(split, 5)
    for rows, into in zip(minibatches, out, strict=True):
        greys.into(np.array(rows, dtype=np.intp), into)


def read_cache_entry(path: Path, of: Rows) -> tuple[Arrays, Mapping[str, str]]:
    """Read arrays and provenance of a cache entry."""
    content, provenance = read_entry(path, _spec(of))
    about = asdict(provenance)
    assert about.pop("path") == path
    return _arrays(content), about


def read_cache_pointer(path: Path) -> str | None:
    """Return the cache entry made from a user's files; None if there is none."""
    pointer = read_pointer(path)
    return pointer[0] if pointer else None


def read_search(path: Path) -> list[dict[str, Any]]:
    """Read search.csv."""
    return [asdict(row) for row in read_rows(path, TrialRow)]


def read_comparisons_and_saved_rows(folder: Path) -> None:
    """Read mcnemar.csv and wrong_rows.csv of a results folder without its runs."""
    row: Any = SimpleNamespace(error="", run="elsewhere")
    require_readable(folder, [row])


def read_wrong_rows(folder: Path, n_test: int, n_wrong: int) -> list[bool]:
    """Read wrong_rows.npy in the folder of a run with these counts."""
    return [bool(wrong) for wrong in load_wrong_rows(folder, n_test, n_wrong)]
