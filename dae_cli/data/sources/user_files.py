"""The user's own files: an original archive, the unpacked text files, or an ``.npz``."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from dae_cli.data.content import Content
from dae_cli.data.readers.amat import read_amat
from dae_cli.data.readers.archive import read_archive
from dae_cli.data.readers.arrays import read_arrays
from dae_cli.data.registry import DatasetSpec
from dae_cli.errors import DataError
from dae_cli.files import with_home


@dataclass(frozen=True)
class UserFiles:
    """The files found for one set, and how to read them."""

    paths: tuple[Path, ...]
    archive: bool
    """Whether the file claims to be the published archive, whose SHA-1 is known."""
    read: Callable[[], Content]

    @property
    def key(self) -> str:
        """Changes whenever a file is moved, resized or written again.

        Raises DataError when a file has vanished.
        """
        facts = []
        for path in self.paths:
            if (about := _status(path)) is None:
                raise DataError(f"{path}: is no longer there; start again")
            facts.append((str(path.resolve()), about.st_size, about.st_mtime_ns))
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return " and ".join(str(path) for path in self.paths)


def chosen_folder(data_dir: Path | None) -> Path | None:
    """The folder given, else ``DAE_DATA_DIR``, else None; DataError if it is no folder."""
    told_by = "--data-dir"
    if data_dir is None:
        if not (named := os.environ.get("DAE_DATA_DIR")):
            return None
        told_by, data_dir = "DAE_DATA_DIR", with_home(named, "DAE_DATA_DIR ")
    about = _status(data_dir)
    if about is None or not stat.S_ISDIR(about.st_mode):
        what = "is a file" if about else "does not exist"
        raise DataError(f"{told_by} {data_dir}: {what}; expected the folder that holds the files")
    return data_dir


def find_user_files(folder: Path, spec: DatasetSpec) -> UserFiles | None:
    """Look for the set in ``folder`` and in its subfolder of the set's name.

    The archive comes before the text files, and these before the ``.npz``.
    Raises DataError when only one of the two text files is there, when something that is no file
    has the name of one, or when the folder cannot be read.
    """
    places = (folder, folder / spec.name)
    for place in places:
        if is_file(archive := place / spec.archive):
            return UserFiles((archive,), True, partial(read_archive, archive, spec))
    for place in places:
        if pair := _text_files(place, spec):
            return UserFiles(pair, False, partial(read_amat, *pair, spec))
    for place in places:
        if is_file(arrays := place / f"{spec.name}.npz"):
            return UserFiles((arrays,), False, partial(read_arrays, arrays, spec))
    return None


def is_file(path: Path) -> bool:
    """Whether the file is there; DataError if it is something else, or cannot be looked for."""
    if (about := _status(path)) is None:
        return False
    if not stat.S_ISREG(about.st_mode):
        what = "a folder" if stat.S_ISDIR(about.st_mode) else "a device or pipe"
        raise DataError(f"{path}: is {what}, expected a file; move it out of the data folder")
    return True


def _status(path: Path) -> os.stat_result | None:
    """What is at the path, None if nothing is; unlike ``Path.exists``, never silent on errors."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise DataError(f"{path}: is a link to a place that does not exist") from None
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"{path}: cannot be looked for ({reason}); check the permissions of its folder"
        ) from error


def archive_is_genuine(path: Path, spec: DatasetSpec) -> bool:
    """Whether the file has the SHA-1 of the published archive."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha1").hexdigest() == spec.archive_sha1
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _text_files(place: Path, spec: DatasetSpec) -> tuple[Path, Path] | None:
    train = _unpacked(place, spec.train_member)
    test = _unpacked(place, spec.test_member)
    if train and test:
        return train, test
    if train or test:
        missing = spec.test_member if train else spec.train_member
        raise DataError(f"{place}: has {train or test}, but {missing} is missing; put it there too")
    return None


def _unpacked(place: Path, member: str) -> Path | None:
    for path in (place / member, place / PurePosixPath(member).name):
        if is_file(path):
            return path
    return None
