"""Find a data set in the user's files: archive, text files, ``.npz``, or MNIST's four files."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from dae_cli.data.cache import file_digest
from dae_cli.data.dataset import Content
from dae_cli.data.datasets import MNIST, MNIST_FILES, DatasetSpec
from dae_cli.data.mnist import read_mnist
from dae_cli.data.readers import read_archive, read_npz, read_text
from dae_cli.errors import DataError, some
from dae_cli.files import with_home

_MAY_HOLD_DATA = (
    *("", ".7z", ".amat", ".arff", ".bz2", ".crdownload", ".csv", ".dat", ".data", ".download"),
    *(".gz", ".h5", ".hdf5", ".mat", ".npy", ".npz", ".parquet", ".part", ".pickle", ".pkl"),
    *(".rar", ".tar", ".tgz", ".tsv", ".txt", ".xz", ".zip"),
)
"""Lower-case endings of files that could contain a data set."""


@dataclass(frozen=True)
class UserFiles:
    """The files found for a data set, and how to read them."""

    folder: Path
    """Folder of the files; they may be in its subfolders."""
    paths: tuple[Path, ...]
    read: Callable[[], Content]
    archive: bool
    """Whether the file may be the published archive, whose SHA-1 is known."""

    @cached_property
    def key(self) -> str:
        """Digest of the files' content, independent of their names and times.

        Raises DataError if a file has vanished or cannot be read.
        """
        digests = [file_digest(path, "sha256") for path in self.paths]
        return hashlib.sha256(repr((self.archive, digests)).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        if len(self.paths) > 2:
            return f"{len(self.paths)} files in {self.folder}"
        return " and ".join(str(path) for path in self.paths)


class _Wanted(NamedTuple):
    """A file to look for: its possible names and subfolders."""

    names: tuple[str, ...]
    folders: tuple[str, ...] = ("",)


class _Form(NamedTuple):
    """A set of files that together contain a data set."""

    files: tuple[_Wanted, ...]
    read: Callable[..., Content]
    """Takes one path per file, and the spec."""
    archive: bool = False


def chosen_folder(data_dir: Path | None) -> Path | None:
    """Return `data_dir`, else ``DAE_DATA_DIR``, else None; DataError if it is not a folder."""
    given_by = "--data-dir"
    if data_dir is None:
        if not (named := os.environ.get("DAE_DATA_DIR")):
            return None
        given_by, data_dir = "DAE_DATA_DIR", with_home(named, "DAE_DATA_DIR ")
    about = _status(data_dir)
    if about is None or not stat.S_ISDIR(about.st_mode):
        what = "is a file" if about else "does not exist"
        raise DataError(f"{given_by} {data_dir}: {what}; expected the folder with the data files")
    return data_dir


def find_user_files(folder: Path, spec: DatasetSpec) -> UserFiles | None:
    """Look for a data set in ``folder`` and in its subfolders named after the data set.

    The archive is preferred to text files, and these to the ``.npz``. Names may differ in case and
    separators, and may use the archive's name.
    Raises DataError if some files of a form are missing, if a file is clearly meant as this data
    set but cannot be read, or if the folder cannot be read.
    """
    places = list(dict.fromkeys(_places(folder, spec)))
    for form in _forms(spec):
        partly = None
        for place in places:
            found = [_find(place, wanted) for wanted in form.files]
            paths = tuple(path for path in found if path)
            if len(paths) == len(found):
                return UserFiles(place, paths, partial(form.read, *paths, spec), form.archive)
            if paths and not partly:
                lacking = [w for w, path in zip(form.files, found, strict=True) if not path]
                missing = " and ".join(
                    str(PurePosixPath(w.folders[0], w.names[0])) for w in lacking
                )
                have = " and ".join(str(path) for path in paths)
                partly = f"{place}: found {have} but not {missing}; put all of them there"
        if partly:
            raise DataError(partly)
    for path in (path for place in places for path in _listed(place)):
        if _is_near_miss(path, spec):
            inside = f" (a folder with {what_lies_in(path)})" if path.is_dir() else ""
            name = spec.name.upper() if spec is MNIST else spec.name
            raise DataError(
                f"{path}{inside}: seems to be meant as {name}, but has an unsupported name or "
                f"format; expected {what_is_looked_for(spec)}; rename, unpack or convert it, or "
                "move it out of the data folder"
            )
    return None


def what_is_looked_for(spec: DatasetSpec) -> str:
    """Describe the files that can contain a data set."""
    *others, last = (" + ".join(wanted.names[0] for wanted in form.files) for form in _forms(spec))
    return f"{', '.join(others)}, or {last}" if others else last


def what_lies_in(folder: Path) -> str:
    """Describe the contents of a folder by the first names."""
    names = sorted(path.name for path in _listed(folder))
    return some(names, 5) or "nothing"


def _forms(spec: DatasetSpec) -> Iterator[_Form]:
    if spec is MNIST:
        # Some unpackers replace the hyphen before idx by a dot.
        spellings = [(name, name.replace("-idx", ".idx")) for name in MNIST_FILES]
        files = (_Wanted(tuple(n + end for n in both for end in (".gz", ""))) for both in spellings)
        yield _Form(tuple(files), read_mnist)
        return
    names: tuple[str, ...] = (spec.name,)
    if archive := spec.archive:
        stem = PurePosixPath(archive.name).stem
        names = tuple(dict.fromkeys((spec.name, stem) if stem != MNIST.name else names))
        zips = dict.fromkeys((archive.name, *(f"{name}.zip" for name in names)))
        yield _Form((_Wanted(tuple(zips)),), read_archive, archive=True)
        members = [PurePosixPath(member) for member in archive.members]
        pair = (_Wanted((m.name,), tuple(dict.fromkeys((str(m.parent), "")))) for m in members)
        yield _Form(tuple(pair), read_text)
    yield _Form((_Wanted(tuple(f"{name}.npz" for name in names)),), read_npz)


def _places(folder: Path, spec: DatasetSpec) -> Iterator[Path]:
    """Yield the folder and, two levels deep, subfolders named after the data set or its archive."""
    names = {_squashed(spec.name)}
    if spec.archive:
        names.add(_squashed(PurePosixPath(spec.archive.name).stem))
    if spec is MNIST:
        names.add("raw")  # torchvision stores the files in MNIST/raw
    yield folder
    yield folder / spec.name
    for path in (p for p in _listed(folder) if _squashed(p.name) in names and p.is_dir()):
        yield path
        yield from (p for p in _listed(path) if _squashed(p.name) in names and p.is_dir())


def _find(place: Path, wanted: _Wanted) -> Path | None:
    """Find a file with one of the names, else the only one that differs in case or separators.

    It may be in a folder of that name, as some unpackers leave it. Raises DataError for such a
    folder without the file, and for two files that differ only in case or separators.
    """
    keys = dict.fromkeys(_squashed(name) for name in wanted.names)
    places = [place / folder for folder in wanted.folders]
    folders = [
        path
        for where in places
        for path in _listed(where)
        if _squashed(path.name) in keys and path.is_dir()
    ]
    for where in (*places, *folders):
        for path in (where / name for name in wanted.names):
            if path not in folders and _is_file(path):
                return path
        for key in keys:
            alike = [p for p in _listed(where) if _squashed(p.name) == key and p not in folders]
            alike = [path for path in alike if _is_file(path)]
            if len(alike) > 1:
                raise DataError(
                    f"{where}: {' and '.join(path.name for path in alike)} could both be "
                    f"{wanted.names[0]}; rename one of them to that, or move one away"
                )
            if alike:
                return alike[0]
    if folders:
        raise DataError(
            f"{folders[0]}: is a folder without the expected file {wanted.names[0]}; put the file "
            "there or next to the folder, or move the folder out of the data folder"
        )
    return None


def _is_near_miss(path: Path, spec: DatasetSpec) -> bool:
    """Whether a path is clearly meant as this data set, but has a name or format not read."""
    files = [wanted for form in _forms(spec) for wanted in form.files]
    meant = {_meant_name(name) for wanted in files for name in wanted.names}
    if spec is MNIST:
        endings = path.name.casefold().partition(".")[2]
        # mnist.zip is the archive of basic, and mnist.amat may be one of its text files.
        if endings and not endings.startswith(("amat", "zip")):
            meant.add(MNIST.name)
    else:
        meant.discard(MNIST.name)
    if _meant_name(path.name) not in meant:
        return False
    if not path.is_dir():
        suffix = PurePosixPath(path.name.replace(".idx", "-idx")).suffix
        return suffix.casefold() in _MAY_HOLD_DATA
    if spec is MNIST:
        return False
    inside = _listed(path)
    data = [p for p in inside if not p.is_dir() and p.suffix.casefold() in _MAY_HOLD_DATA]
    return not inside or bool(data)


def _squashed(name: str) -> str:
    """Normalize a name: lower case, without separators."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _meant_name(name: str) -> str:
    """Normalize a name, without endings and marks of copies such as "copy of"."""
    name = name.casefold().replace(".idx", "-idx").removeprefix("copy of ")
    return _squashed(re.split(r"[.(]|[ _-]+copy\b", name)[0])


def _listed(folder: Path) -> list[Path]:
    """Return the visible contents of a folder; empty if it cannot be listed."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []


def _is_file(path: Path) -> bool:
    """Whether the file exists; DataError if it is not a regular file or cannot be checked."""
    if (about := _status(path)) is None:
        return False
    if not stat.S_ISREG(about.st_mode):
        what = "a folder" if stat.S_ISDIR(about.st_mode) else "a device or pipe"
        raise DataError(f"{path}: is {what}, expected a file; move it out of the data folder")
    return True


def _status(path: Path) -> os.stat_result | None:
    """Status of the path; None if nothing is there. Unlike ``Path.exists``, reports errors."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise DataError(f"{path}: is a broken link; fix or remove it") from None
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"{path}: cannot be accessed ({reason}); check the permissions of its folder"
        ) from error
