"""Reader of an ``.npz`` with X, Y, Xtest, Ytest: grey values in [0, 1], original order."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.cache import PROVENANCE
from dae_cli.data.content import Content, canonical_labels, canonical_pixels
from dae_cli.data.dataset import Pixels
from dae_cli.data.registry import N_PIXELS, DatasetSpec
from dae_cli.errors import DataError

KEYS = ("X", "Y", "Xtest", "Ytest")
BLOCK = 2048
"""Rows checked at a time, so that no second float64 copy of the set is made."""


def read_arrays(path: Path, spec: DatasetSpec) -> Content:
    """Read X (n, 784), Y (n,), Xtest and Ytest; DataError names file, array, row and defect."""
    try:
        with path.open("rb") as stream:
            return _read_all(np.load(stream, allow_pickle=False), spec, path)
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError) as error:
        raise DataError(f"{path}: damaged or not an .npz of numbers ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def _read_all(arrays: Any, spec: DatasetSpec, path: Path) -> Content:
    if not isinstance(arrays, np.lib.npyio.NpzFile):
        raise DataError(f"{path}: is a single array, expected an .npz with {_listed(KEYS)}")
    names = arrays.files
    if PROVENANCE in names:
        raise DataError(
            f"{path}: is an entry of the cache of dae, not a file of the original set; "
            "take it out of the data folder"
        )
    if missing := [key for key in KEYS if key not in names]:
        raise DataError(
            f"{path}: has no {_listed(missing)}; expected {_listed(KEYS)}, "
            f"found {_listed(names) or 'nothing'}"
        )
    pixels, labels = _read(arrays, "X", "Y", spec, spec.n_train_file, path)
    test_pixels, test_labels = _read(arrays, "Xtest", "Ytest", spec, spec.n_test, path)
    return Content(pixels, labels, test_pixels, test_labels)


def _read(
    arrays: Any, key: str, label_key: str, spec: DatasetSpec, n_rows: int, path: Path
) -> tuple[Pixels, NDArray[np.uint8]]:
    values = arrays[key]
    given = arrays[label_key]
    if values.shape != (n_rows, N_PIXELS) or given.shape != (n_rows,):
        raise DataError(
            f"{path}: {key} has shape {values.shape} and {label_key} {given.shape}, "
            f"expected ({n_rows}, {N_PIXELS}) and ({n_rows},) for {spec.name}"
        )
    for name, array in ((key, values), (label_key, given)):
        if array.dtype.kind not in "fiub":
            raise DataError(f"{path}: {name} has type {array.dtype}, expected numbers")
    pixels = np.empty(values.shape, dtype=np.float32 if spec.levels is None else np.uint8)
    for start in range(0, n_rows, BLOCK):
        rows = slice(start, start + BLOCK)
        block = values[rows].astype(np.float64)
        pixels[rows] = canonical_pixels(block, spec, f"{path}, {key}", start)
    labels = canonical_labels(given.astype(np.float64), spec, f"{path}, {label_key}")
    return pixels, labels


def _listed(names: Any) -> str:
    return ", ".join(names)
