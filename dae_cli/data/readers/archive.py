"""Reader of an original zip archive: its two members are streamed, nothing is unpacked."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.content import Content
from dae_cli.data.dataset import Pixels
from dae_cli.data.readers.text import read_rows
from dae_cli.data.registry import DatasetSpec
from dae_cli.errors import DataError


def read_archive(path: Path, spec: DatasetSpec) -> Content:
    """Read the training and test members of a zip; DataError names archive, member and row."""
    try:
        with zipfile.ZipFile(path) as archive:
            train = _member(archive, spec.train_member, path)
            test = _member(archive, spec.test_member, path)
            pixels, labels = _read(archive, train, spec, spec.n_train_file, path)
            test_pixels, test_labels = _read(archive, test, spec, spec.n_test, path)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(
            f"{path}: damaged or truncated zip archive ({error}); fetch the file again"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    return Content(pixels, labels, test_pixels, test_labels)


def _member(archive: zipfile.ZipFile, wanted: str, path: Path) -> str:
    """The member of that name, or the only one with that name in another folder."""
    names = archive.namelist()
    if wanted in names:
        return wanted
    alike = [name for name in names if PurePosixPath(name).name == PurePosixPath(wanted).name]
    if len(alike) == 1:
        return alike[0]
    found = ", ".join(names[:6]) + (" …" if len(names) > 6 else "")
    raise DataError(
        f"{path}: has no member {wanted}; found {found or 'no members'}; "
        "is it the archive of another set?"
    )


def _read(
    archive: zipfile.ZipFile, member: str, spec: DatasetSpec, n_rows: int, path: Path
) -> tuple[Pixels, NDArray[np.uint8]]:
    with archive.open(member) as stream:
        return read_rows(stream, spec, n_rows, f"{path}, member {member}")
