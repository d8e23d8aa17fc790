"""Reader of an original zip archive: its two members are streamed, nothing is unpacked."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.content import Content
from dae_cli.data.dataset import Pixels
from dae_cli.data.datasets import DatasetSpec
from dae_cli.data.readers.text import most_bytes, read_rows
from dae_cli.data.readers.zipped import listed, opened_zip, require_plain
from dae_cli.errors import DataError, shown


def read_archive(path: Path, spec: DatasetSpec) -> Content:
    """Read the training and test members of a zip; DataError names archive, member and row."""
    assert spec.archive is not None, f"{spec.name} has no archive"
    with opened_zip(path, "zip archive") as archive:
        train = _member(archive, spec.archive.train_member, spec, path)
        test = _member(archive, spec.archive.test_member, spec, path)
        pixels, labels = _read(archive, train, spec, spec.n_train_file, path)
        test_pixels, test_labels = _read(archive, test, spec, spec.n_test, path)
    return Content(pixels, labels, test_pixels, test_labels)


def _member(
    archive: zipfile.ZipFile, wanted: str, spec: DatasetSpec, path: Path
) -> zipfile.ZipInfo:
    """The member of that name, or the only one with that name in another folder."""
    files = [member for member in archive.infolist() if not member.filename.endswith("/")]
    alike = [member for member in files if member.filename == wanted] or [
        member
        for member in files
        if PurePosixPath(member.filename).name == PurePosixPath(wanted).name
    ]
    if alike and len({member.filename for member in alike}) == 1:
        require_plain(archive, alike[0], most_bytes(spec), path)
        return alike[0]
    found = listed([member.filename for member in alike or files])
    if alike:
        raise DataError(f"{path}: has {found}; expected one member {wanted}")
    raise DataError(
        f"{path}: has no member {wanted}; found {found or 'no members'}; "
        "is it the archive of another set?"
    )


def _read(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, spec: DatasetSpec, n_rows: int, path: Path
) -> tuple[Pixels, NDArray[np.uint8]]:
    with archive.open(member) as stream:
        return read_rows(stream, spec, n_rows, f"{path}, member {shown(member.filename)}")
