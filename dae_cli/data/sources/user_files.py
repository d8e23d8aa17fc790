"""The user's own files: an original archive, the unpacked text files, or an ``.npz``."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from dae_cli.data.content import Content
from dae_cli.data.datasets import MNIST, DatasetSpec
from dae_cli.data.readers.npz import read_npz
from dae_cli.data.readers.text import read_archive, read_text
from dae_cli.errors import DataError
from dae_cli.files import with_home

_SHOWN = 5
"""Names of a folder that are told."""
_COPY = re.compile(r"^copy of |( ?\(\d+\)|[ _-]+copy( ?\(?\d+\)?)?)+$", re.IGNORECASE)
"""What file managers and browsers add to the name of another copy."""
_MAY_HOLD_DATA = (
    *("", ".7z", ".amat", ".arff", ".bz2", ".crdownload", ".csv", ".dat", ".data", ".download"),
    *(".gz", ".h5", ".hdf5", ".mat", ".npy", ".npz", ".parquet", ".part", ".pickle", ".pkl"),
    *(".rar", ".tar", ".tgz", ".tsv", ".txt", ".xz", ".zip"),
)
"""Endings of files that are meant as a set where they have its name, in small letters."""


@dataclass(frozen=True)
class UserFiles:
    """The files found for one set, and how to read them."""

    paths: tuple[Path, ...]
    archive: bool
    """Whether the file claims to be the published archive, whose SHA-1 is known."""
    read: Callable[[], Content]

    @property
    def key(self) -> str:
        """Names what the files hold, whatever they are called and whenever they were written.

        Raises DataError when a file has vanished or cannot be read.
        """
        digests = [_digest(path, "sha256") for path in self.paths]
        return hashlib.sha256(repr((self.archive, digests)).encode()).hexdigest()[:16]

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
    """Look for the set in ``folder`` and in its subfolders that are named after it.

    The archive comes before the text files, and these before the ``.npz``; a name may have other
    capitals or separators, or be the archive's.
    Raises DataError when only one of the two text files is there, when what can only be meant as
    this set cannot be taken, or when the folder cannot be read.
    """
    places = list(_places(folder, spec))
    for place in places:
        if spec.archive and (archive := _named(place, spec.archive.name, _spellings(spec, ".zip"))):
            return UserFiles((archive,), True, partial(read_archive, archive, spec))
    for place in places:
        if pair := _text_files(place, spec):
            return UserFiles(pair, False, partial(read_text, *pair, spec))
    for place in places:
        if arrays := _named(place, f"{spec.name}.npz", _spellings(spec, ".npz")):
            return UserFiles((arrays,), False, partial(read_npz, arrays, spec))
    _refuse_near_misses(places, spec)
    return None


def what_is_looked_for(spec: DatasetSpec) -> str:
    """The files of a set, in words."""
    if spec.archive is None:
        return f"{spec.name}.npz"
    train, test = (PurePosixPath(member).name for member in spec.archive.members)
    return f"{spec.archive.name}, {train} with {test}, or {spec.name}.npz"


def what_lies_in(folder: Path) -> str:
    """The first names in a folder, in words."""
    names = sorted(path.name for path in listed(folder))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}" if names else "nothing"


def _places(folder: Path, spec: DatasetSpec) -> Iterator[Path]:
    """The folder, its subfolders named after the set or its archive, and theirs."""
    yield folder
    yield folder / spec.name
    names = _names(spec) | _name_of_archive(spec)
    for path in listed(folder):
        if squashed(path.name) in names and path.is_dir():
            if path.name != spec.name:
                yield path
            yield from (p for p in listed(path) if squashed(p.name) in names and p.is_dir())


def _names(spec: DatasetSpec) -> set[str]:
    """What can only mean this set: its name and its archive's, unless that is MNIST's."""
    return ({squashed(spec.name)} | _name_of_archive(spec)) - {MNIST.name}


def _name_of_archive(spec: DatasetSpec) -> set[str]:
    return {squashed(PurePosixPath(spec.archive.name).stem)} if spec.archive else set()


def _spellings(spec: DatasetSpec, suffix: str) -> set[str]:
    archive = {squashed(spec.archive.name)} if spec.archive and suffix == ".zip" else set()
    return {squashed(name + suffix) for name in _names(spec)} | archive


def squashed(name: str) -> str:
    """A name without what copies of a file differ in: capitals and separators."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def meant_name(path: Path) -> str:
    """The squashed name without endings of data and what copies add."""
    name = _COPY.sub("", path.name)
    while (suffix := PurePosixPath(name).suffix) and suffix.casefold() in _MAY_HOLD_DATA:
        name = _COPY.sub("", name.removesuffix(suffix))
    return squashed(name)


def listed(folder: Path) -> list[Path]:
    """What lies in a folder, except hidden files; nothing where it cannot be listed."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []


def _named(place: Path, name: str, spellings: set[str]) -> Path | None:
    """The file of that name, else the only one whose name is spelled in another way."""
    if is_file(place / name):
        return place / name
    suffix = PurePosixPath(name).suffix
    alike = [
        path
        for path in listed(place)
        if path.suffix.casefold() == suffix and squashed(path.name) in spellings and is_file(path)
    ]
    if len(alike) > 1:
        raise DataError(
            f"{place}: {' and '.join(path.name for path in alike)} may both be meant as {name}; "
            "give one of them that name, or move one of them away"
        )
    return alike[0] if alike else None


def _refuse_near_misses(places: Sequence[Path], spec: DatasetSpec) -> None:
    """DataError for what can only be meant as this set but is not what is read."""
    members = [PurePosixPath(m).stem for m in spec.archive.members] if spec.archive else []
    meant = _names(spec) | {squashed(stem) for stem in members}
    for path in (path for place in places for path in listed(place)):
        if meant_name(path) in meant and _may_hold_data(path):
            inside = f" (a folder that holds {what_lies_in(path)})" if path.is_dir() else ""
            raise DataError(
                f"{path}{inside}: seems to be meant as {spec.name}, but cannot be read as it is; "
                f"expected {what_is_looked_for(spec)}; rename or unpack it, or move it out of the "
                "data folder"
            )


def _may_hold_data(path: Path) -> bool:
    """A file of such a kind; a folder with one in it, or an empty one."""
    if not path.is_dir():
        return path.suffix.casefold() in _MAY_HOLD_DATA
    inside = listed(path)
    files = [p for p in inside if not p.is_dir()]
    return not inside or any(p.suffix.casefold() in _MAY_HOLD_DATA for p in files)


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
    return _digest(path, "sha1") == (spec.archive and spec.archive.sha1)


def _digest(path: Path, algorithm: str) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, algorithm).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def _text_files(place: Path, spec: DatasetSpec) -> tuple[Path, Path] | None:
    if spec.archive is None:
        return None
    train, test = (_unpacked(place, member) for member in spec.archive.members)
    if train and test:
        return train, test
    if train or test:
        missing = spec.archive.test_member if train else spec.archive.train_member
        raise DataError(f"{place}: has {train or test}, but {missing} is missing; put it there too")
    return None


def _unpacked(place: Path, member: str) -> Path | None:
    """A text file, in the folder that it has in the archive or without it."""
    name = PurePosixPath(member).name
    for folder in dict.fromkeys((place / PurePosixPath(member).parent, place)):
        if path := _named(folder, name, {squashed(name)}):
            return path
    return None
