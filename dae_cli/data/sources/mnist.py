"""MNIST, the ingredient of five sets: the user's files, the cache, or a checked download.

The four files circulate packed in different ways and under slightly different names, so the
content decides: the SHA-256 of all 70 000 images, then all labels, is known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dae_cli.data.datasets import MNIST
from dae_cli.data.digits import Digits
from dae_cli.data.lock import alone
from dae_cli.data.notes import Note
from dae_cli.data.readers.idx import read_idx, read_labels
from dae_cli.data.sources.download import RemoteFile, addresses_of, fetched
from dae_cli.data.sources.user_files import (
    is_file,
    listed,
    meant_name,
    squashed,
    what_lies_in,
)
from dae_cli.errors import DataError, DownloadError
from dae_cli.files import cache_folder

ADDRESSES = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)

MD5 = {
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}
"""The four files, and the published MD5 of each as packed (``.gz``)."""

CONTENT_SHA256 = "c2069063c1105f2bf96266aef1ff68c6e13bdda7a54e37bf19c16f1db24efc83"
"""Digest of the 70 000 · 784 bytes of the images, training digits first, then the labels."""

PLACES = (".", "mnist", "MNIST", "MNIST/raw", "raw")
"""Where in a folder the files may lie; torchvision keeps them in MNIST/raw."""
_OF_BASIC = ("amat", "zip")
"""Endings with which the name mnist may be the set basic's, whose archive is mnist.zip."""


@dataclass(frozen=True)
class MnistFiles:
    """The four files, packed or not."""

    folder: Path
    train_images: Path
    train_labels: Path
    test_images: Path
    test_labels: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        """All four, in the order of the fields."""
        return (self.train_images, self.train_labels, self.test_images, self.test_labels)


def find_mnist(folder: Path) -> MnistFiles | None:
    """Look for the four files in ``folder`` and in its subfolders (``PLACES``), however spelled.

    Raises DataError when some but not all of them are there, or the folder cannot be read.
    """
    partly: list[tuple[Path, list[str]]] = []
    for place in _places(folder):
        try:
            found = {name: _one_file(place, name) for name in MD5}
        except OSError as error:
            raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error
        paths = [path for path in found.values() if path]
        if len(paths) == len(MD5):
            return MnistFiles(place, *paths)
        if paths:
            partly.append((place, [name for name, path in found.items() if path is None]))
    if partly:
        place, missing = partly[0]
        raise DataError(
            f"{place}: has some of the four files of MNIST but not {_listed(missing)}, "
            "plain or with .gz; put all four there"
        )
    return None


def read_mnist(files: MnistFiles) -> Digits:
    """Read the four files; DataError for a defect, or sound files that are not MNIST's."""
    images = np.concatenate(
        [
            read_idx(files.train_images, (MNIST.n_train_file, *MNIST.image)),
            read_idx(files.test_images, (MNIST.n_test, *MNIST.image)),
        ]
    ).reshape(-1, MNIST.n_pixels)
    labels = np.concatenate(
        [
            read_labels(files.train_labels, MNIST.n_train_file),
            read_labels(files.test_labels, MNIST.n_test),
        ]
    )
    digest = hashlib.sha256(images.data)
    digest.update(labels.data)
    if digest.hexdigest() != CONTENT_SHA256:
        raise DataError(
            f"{files.folder}: the four files are sound but do not hold MNIST: their content has "
            f"SHA-256 {digest.hexdigest()[:12]}…, expected {CONTENT_SHA256[:12]}…; "
            "other sets (Fashion-MNIST, for one) use the same names"
        )
    return Digits(images, labels)


def mnist_digits(folder: Path | None, cache: Path, note: Note) -> Digits:
    """MNIST from the user's ``folder``, else the cache, else a download into ``cache/mnist``.

    ``note`` receives a line when something slow begins or a source fails. Raises DownloadError
    where MNIST cannot be fetched, and DataError where the user's files are not MNIST.
    """
    if folder is not None:
        if files := find_mnist(folder):
            return read_mnist(files)
        _refuse_near_misses(folder)
        looked = f"looked for {_listed(list(MD5))}, plain or with .gz"
        note(f"{folder} has no files of MNIST: {looked}; found {what_lies_in(folder)}")
    if files := cached_mnist(cache):
        try:
            return read_mnist(files)
        except DataError as error:
            note(f"the cached MNIST is damaged ({error})")
    with alone(cache, "mnist", note):  # another process may be fetching it, too
        note("fetching MNIST")
        try:
            return read_mnist(_download(cache / "mnist", note))
        except DownloadError as error:
            raise DownloadError(_advice(folder, cache, str(error))) from error


def mnist_here(folder: Path | None, cache: Path) -> str | None:
    """Where MNIST would be read from, without reading it; None when it would be fetched.

    Raises DataError when the user's folder has some but not all of the four files, or others that
    can only be meant as MNIST.
    """
    if folder is not None:
        if files := find_mnist(folder):
            return f"the user's files in {files.folder}"
        _refuse_near_misses(folder)
    return "the cache" if cached_mnist(cache) else None


def _places(folder: Path) -> list[Path]:
    """``PLACES``, and subfolders whose names are spelled in another way."""
    places = [folder / name for name in PLACES]
    for path in listed(folder):
        if squashed(path.name) in ("mnist", "raw") and path.is_dir():
            places += [path, *(p for p in listed(path) if squashed(p.name) == "raw")]
    return list(dict.fromkeys(places))


def _one_file(place: Path, name: str) -> Path | None:
    """The file in one of its spellings, or in a folder of such a name, as unpackers leave it.

    Some turn the hyphen before idx to a dot. Raises DataError for a folder without the file in it,
    and for two files that differ in capitals or separators.
    """
    dotted = name.replace("-idx", ".idx")
    spellings = (f"{name}.gz", name, f"{dotted}.gz", dotted)
    places = [place, *(path for path in _spelled(place, spellings) if path.is_dir())]
    for where in places:
        paths = [path for path in _spelled(where, spellings) if path not in places]
        if usual := next((p for p in paths if p.name in spellings and is_file(p)), None):
            return usual
        for ending in ("gz", ""):
            others = [
                p for p in paths if squashed(p.name) == squashed(name) + ending and is_file(p)
            ]
            if len(others) > 1:
                raise DataError(
                    f"{where}: {_listed([p.name for p in others])} may all be meant as {name}; "
                    "give one of them that name, or move the others away"
                )
            if others:
                return others[0]
    if len(places) > 1:
        raise DataError(
            f"{places[1]}: is a folder without {name} in it, plain or with .gz, expected that "
            "file; put it there or beside the folder"
        )
    return None


def _spelled(place: Path, spellings: Sequence[str]) -> list[Path]:
    """The paths of these names, there or not, and what is spelled alike."""
    alike = {squashed(spelling) for spelling in spellings}
    others = (path for path in listed(place) if squashed(path.name) in alike)
    return list(dict.fromkeys([*(place / spelling for spelling in spellings), *others]))


def _refuse_near_misses(folder: Path) -> None:
    """DataError for what can only be meant as MNIST but is not what is read."""
    names = {squashed(name) for name in MD5}
    for path in (path for place in _places(folder) for path in listed(place)):
        meant, endings = meant_name(path), path.name.casefold().partition(".")[2]
        as_one_file = meant == "mnist" and endings and not endings.startswith(_OF_BASIC)
        if (meant in names or as_one_file) and path.is_file():
            raise DataError(
                f"{path}: seems to be meant as MNIST, but cannot be read as it is; expected "
                f"{_listed(list(MD5))}, plain or with .gz; put these there, and move it out of the "
                "data folder"
            )


def cached_mnist(cache: Path | None = None) -> MnistFiles | None:
    """The four files in the cache (default: the usual one), if all are there; not read."""
    place = (cache or cache_folder()) / "mnist"
    paths = [place / f"{name}.gz" for name in MD5]
    return MnistFiles(place, *paths) if all(path.is_file() for path in paths) else None


def _download(place: Path, note: Note) -> MnistFiles:
    """Fetch what ``place`` does not have yet; each file gets its name when it is whole."""
    for name, md5 in MD5.items():
        path = place / f"{name}.gz"
        if _md5_of(path) == md5:
            continue
        file = RemoteFile(path.name, addresses_of(path.name, ADDRESSES), f"md5:{md5}")
        with fetched(file, place, note) as temporary:
            try:
                temporary.replace(path)
            except OSError as error:
                raise DataError(
                    f"{path}: cannot be written ({error.strerror}); "
                    "set DAE_CACHE_DIR to another folder"
                ) from error
    return MnistFiles(place, *(place / f"{name}.gz" for name in MD5))


def _md5_of(path: Path) -> str | None:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "md5").hexdigest()
    except OSError:
        return None


def _advice(folder: Path | None, cache: Path, last: str) -> str:
    looked = f"neither in {folder} nor in" if folder else "not in"
    return (
        f"MNIST cannot be had: its files are {looked} {cache / 'mnist'}, and {last}. "
        f"Put {_listed([f'{name}.gz' for name in MD5])} (from {' or '.join(ADDRESSES)}) "
        "into a folder, and name it with --data-dir or DAE_DATA_DIR"
    )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
