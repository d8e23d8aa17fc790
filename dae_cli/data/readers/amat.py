"""Reader of a pair of unpacked text files (``.amat``)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.content import Content
from dae_cli.data.dataset import Pixels
from dae_cli.data.datasets import DatasetSpec
from dae_cli.data.readers.text import read_rows
from dae_cli.errors import DataError


def read_amat(train: Path, test: Path, spec: DatasetSpec) -> Content:
    """Read the training and the test file of a set; DataError names file, row and defect."""
    return Content(*_read(train, spec, spec.n_train_file), *_read(test, spec, spec.n_test))


def _read(path: Path, spec: DatasetSpec, n_rows: int) -> tuple[Pixels, NDArray[np.uint8]]:
    try:
        with path.open("rb") as stream:
            return read_rows(stream, spec, n_rows, str(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
