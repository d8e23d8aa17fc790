"""Rows to compare: a whole set, or the sample of genuine rows that somebody kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.cache import Note, load
from dae_cli.data.content import canonical_labels, canonical_pixels
from dae_cli.data.dataset import Dataset, Split
from dae_cli.data.datasets import DatasetSpec
from dae_cli.data.readers.zipped import opened_zip
from dae_cli.data.sources import DataOptions, prepare
from dae_cli.data.user_files import find_user_files
from dae_cli.errors import DataError

SAMPLE_KEYS = ("X", "y", "split", "end")
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Rows:
    """Images and labels under comparison, as the original stores them."""

    images: NDArray[np.float32]  # (n, 784), grey values in [0, 1]
    labels: NDArray[np.uint8]  # (n,)
    whole: bool
    """Every row of the test file, or a sample of all three splits."""


@dataclass(frozen=True)
class Genuine:
    """The genuine side of a comparison, with the regenerated rows at the same places."""

    rows: Rows
    dataset: Dataset | None
    """The whole set, where it is there."""
    places: tuple[tuple[str, int], ...]
    """(split, row) of each row of a sample; negative rows count from the end."""


def whole_rows(dataset: Dataset) -> Rows:
    """The test file of a set: 50 000 rows say more than all others."""
    return Rows(dataset.test.as_float(), dataset.test.labels, whole=True)


def find_genuine(spec: DatasetSpec, folders: Sequence[Path], note: Note) -> Genuine | None:
    """The whole genuine set if one of the folders has it, else a sample of its rows, else None.

    A sample is ``NAME.npz`` with X (n, 784), y, and for each row its split (train, valid, test)
    and the end of the split that it is from (first, last).
    Raises DataError for files that are neither.
    """
    sample: Genuine | None = None
    for folder in folders:
        path = folder / f"{spec.name}.npz"
        found = _read_sample(path, spec) if path.is_file() else None
        files = find_user_files(folder, spec)
        if files is not None and not (found and files.paths == (path,)):
            dataset = load(prepare(spec.name, DataOptions(folder, "original"), note))
            return Genuine(whole_rows(dataset), dataset, ())
        sample = sample or found
    return sample


def at_places(dataset: Dataset, places: Sequence[tuple[str, int]]) -> NDArray[np.float32]:
    """The rows of a set at the places of a sample, (n, 784)."""
    splits: dict[str, Split] = {"train": dataset.train, "valid": dataset.valid}
    splits["test"] = dataset.test
    picked = [splits[split].as_float(slice(row, (row + 1) or None)) for split, row in places]
    return np.concatenate(picked)


def _read_sample(path: Path, spec: DatasetSpec) -> Genuine | None:
    with opened_zip(path, ".npz of numbers"), np.load(path, allow_pickle=False) as arrays:
        if "Xtest" in arrays.files:
            return None  # a whole set
        if missing := [key for key in SAMPLE_KEYS if key not in arrays.files]:
            raise DataError(
                f"{path}: has no {', '.join(missing)}; expected X, Y, Xtest, Ytest of a whole "
                f"set, or X, y, split, end of a sample of its rows"
            )
        images, labels, split, end = (arrays[key] for key in SAMPLE_KEYS)
    if images.dtype.kind not in "fiub" or labels.dtype.kind not in "fiub":
        raise DataError(f"{path}: X is {images.dtype} and y {labels.dtype}, expected numbers")
    n = len(images)
    if images.shape != (n, spec.n_pixels) or any(a.shape != (n,) for a in (labels, split, end)):
        raise DataError(
            f"{path}: X has shape {images.shape} and y {labels.shape}, "
            f"expected (n, {spec.n_pixels}) and (n,), and as many entries in split and end"
        )
    pixels = canonical_pixels(images.astype(np.float64), spec, f"{path}, X")
    checked = canonical_labels(labels.astype(np.float64), spec, f"{path}, y")
    greys = Split(pixels, checked, spec.scale).as_float()
    return Genuine(Rows(greys, checked, whole=False), None, _places(path, split, end))


def _places(
    path: Path, split: NDArray[np.str_], end: NDArray[np.str_]
) -> tuple[tuple[str, int], ...]:
    """The first and the last rows of each split, in their order."""
    places: list[tuple[str, int]] = []
    for name, side in zip(split.tolist(), end.tolist(), strict=True):
        if name not in SPLITS or side not in ("first", "last"):
            raise DataError(
                f"{path}: a row of split {name!r}, end {side!r}; "
                f"expected {', '.join(SPLITS)} and first or last"
            )
        places.append((name, side == "last"))
    result = []
    for i, (name, last) in enumerate(places):
        same = [j for j, place in enumerate(places) if place == (name, last)]
        position = same.index(i)
        result.append((name, position - len(same) if last else position))
    return tuple(result)
