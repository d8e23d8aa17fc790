"""Reader of a pair of unpacked text files (``.amat``)."""

from __future__ import annotations

from pathlib import Path

from dae_cli.data.content import Content
from dae_cli.data.readers.text import read_rows
from dae_cli.data.registry import DatasetSpec
from dae_cli.errors import DataError


def read_amat(train: Path, test: Path, spec: DatasetSpec) -> Content:
    """Read the training and the test file of a set; DataError names file, row and defect."""
    try:
        with train.open("rb") as stream:
            pixels, labels = read_rows(stream, spec, spec.n_train_file, str(train))
        with test.open("rb") as stream:
            test_pixels, test_labels = read_rows(stream, spec, spec.n_test, str(test))
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error
    return Content(pixels, labels, test_pixels, test_labels)
