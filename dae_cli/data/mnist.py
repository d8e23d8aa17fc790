"""MNIST as a data set: 50 000 digits to train on, 10 000 for validation, 10 000 for the test.

The first 50 000 of the training file are trained on, its last 10 000 are for validation; pixels are
k/255. Nothing is put into the cache but the four files themselves.
"""

from __future__ import annotations

from pathlib import Path

from dae_cli.data.dataset import Dataset, Split
from dae_cli.data.datasets import MNIST
from dae_cli.data.digits import Digits
from dae_cli.data.notes import Note
from dae_cli.data.obtain import Prepared
from dae_cli.data.sources.mnist import (
    CONTENT_SHA256,
    cached_mnist,
    find_mnist,
    mnist_digits,
    mnist_here,
    read_mnist,
)
from dae_cli.errors import DataError
from dae_cli.files import cache_folder


def prepare_mnist(folder: Path | None, note: Note) -> Prepared:
    """Make sure of the four files, the user's or fetched, and say where they are.

    Raises:
        DataError: files cannot be used. DownloadError: MNIST cannot be had.
    """
    mnist_digits(folder, cache_folder(), note)  # read once: it is checked, or fetched
    files = (find_mnist(folder) if folder else None) or cached_mnist()
    assert files is not None
    whose = "the user's files" if files.folder != cache_folder() / "mnist" else "the cache"
    source = f"MNIST, {whose} (verified: the published content)"
    return Prepared(MNIST.name, files.folder, "original", CONTENT_SHA256, source, "verified")


def foresee_mnist(folder: Path | None) -> Prepared:
    """Say where MNIST is or would come from; nothing is fetched.

    Raises:
        DataError: the user's files cannot be used.
    """
    if folder is not None and (files := find_mnist(folder)):
        read_mnist(files)
    here = mnist_here(folder, cache_folder())
    source = f"MNIST, {here}" if here else "MNIST, which would be fetched"
    path = cache_folder() / MNIST.name
    return Prepared(MNIST.name, path, "original", CONTENT_SHA256, source, "verified")


def digits_of(prepared: Prepared) -> Digits:
    """Read all digits; DataError when the files have changed meanwhile."""
    files = find_mnist(prepared.path)
    if files is None:
        raise DataError(f"{prepared.path}: the files of MNIST are gone; start again")
    return read_mnist(files)


def load_mnist(prepared: Prepared) -> Dataset:
    """Read the three splits; DataError when the files have changed meanwhile."""
    digits, n = digits_of(prepared), MNIST.n_train
    train, valid, test = (
        Split(digits.images[rows], digits.labels[rows], MNIST.scale)
        for rows in (slice(n), slice(n, MNIST.n_train_file), slice(MNIST.n_train_file, None))
    )
    return Dataset(MNIST.name, MNIST.n_classes, train, valid, test, "original", prepared.sha256)
