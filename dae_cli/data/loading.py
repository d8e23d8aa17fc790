"""Prepared sets, read: fast, as worker processes do it."""

from __future__ import annotations

import numpy as np

from dae_cli.data.cache import read_entry, sound_entry
from dae_cli.data.content import Content, as_dataset
from dae_cli.data.dataset import Dataset, Prepared
from dae_cli.data.datasets import DATASETS, MNIST, DatasetSpec
from dae_cli.data.digits import Digits
from dae_cli.data.user_files import find_user_files
from dae_cli.errors import DataError


def spec_of(name: str) -> DatasetSpec:
    """The facts of a set; DataError for an unknown name."""
    if (spec := DATASETS.get(name)) is None:
        raise DataError(f"unknown data set {name!r}; expected one of {', '.join(DATASETS)}")
    return spec


def load(prepared: Prepared) -> Dataset:
    """Read the three splits; DataError when the set is damaged or changed meanwhile."""
    content = load_content(prepared)
    return as_dataset(spec_of(prepared.name), content, prepared.origin, prepared.sha256)


def load_digits(mnist: Prepared) -> Digits:
    """Read all digits of MNIST, the training file first."""
    content = load_content(mnist)
    return Digits(
        np.concatenate([content.pixels, content.test_pixels]),
        np.concatenate([content.labels, content.test_labels]),
    )


def load_content(prepared: Prepared) -> Content:
    """Read both files; DataError when they are damaged or hold other content than was prepared."""
    if prepared.name == MNIST.name:
        if files := find_user_files(prepared.path, MNIST):
            return files.read()
        raise DataError(f"{prepared.path}: the files of MNIST are gone; start again")
    content, found = read_entry(prepared.path, spec_of(prepared.name))
    if (found.sha256, found.origin) != (prepared.sha256, prepared.origin):
        raise DataError(
            f"{prepared.path}: holds other content than was prepared "
            f"({found.sha256[:12]}, expected {prepared.sha256[:12]}); start again"
        )
    return content


def is_sound(prepared: Prepared) -> bool:
    """Whether the content lies where it lay, such as on another machine with the same disk."""
    if prepared.name == MNIST.name:
        try:
            return bool(load_content(prepared))
        except DataError:
            return False
    found = sound_entry(prepared.path, spec_of(prepared.name))
    return found is not None and (found.sha256, found.origin) == (prepared.sha256, prepared.origin)
