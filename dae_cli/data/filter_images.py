"""The images that autoencoders are trained on for their filters: MNIST's digits, photographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.dataset import Split
from dae_cli.data.datasets import MNIST
from dae_cli.data.mnist import digits_of, prepare_mnist
from dae_cli.data.natural.patches import PatchSettings, cut_patches
from dae_cli.data.natural.scenes import Scene, digest_of, scenes_in, shipped_folder, shipped_scenes
from dae_cli.data.notes import Note
from dae_cli.data.obtain import Prepared
from dae_cli.data.sources.user_files import chosen_folder
from dae_cli.errors import DataError

FilterImages = Split | NDArray[np.float32]
"""Digits with their grey values; or patches, (count, side²)."""


def prepare_images(
    name: str, *, data_dir: Path | None = None, photos: Path | None = None, note: Note
) -> Prepared:
    """Make sure of MNIST or of photographs, and say where they come from.

    Args:
        name: mnist or photographs.
        data_dir: the user's files of MNIST; default `DAE_DATA_DIR`.
        photos: the user's photographs; default: those that come with the dependencies.
        note: receives a line whenever something slow begins or a source fails.

    Raises:
        DataError: files cannot be used. DownloadError: MNIST cannot be had.
    """
    if name == MNIST.name:
        return prepare_mnist(chosen_folder(data_dir), note)
    if photos is not None:
        scenes = scenes_in(photos)
        source = f"{len(scenes)} photographs of {photos}"
        return Prepared(name, photos.absolute(), "own", digest_of(scenes), source, "")
    scenes = shipped_scenes()
    source = f"{len(scenes)} photographs that scikit-image and scikit-learn ship"
    return Prepared(name, shipped_folder(), "original", digest_of(scenes), source, "")


def load_images(
    prepared: Prepared,
    random: Callable[[], np.random.Generator],
    *,
    rows: int | None,
    patches: PatchSettings | None,
) -> FilterImages:
    """Read what an experiment is trained on.

    Args:
        prepared: as `prepare_images` returned it.
        rows: digits of MNIST, evenly spread; default all.
        patches: how patches are cut out of photographs; None of MNIST.
        random: gives the generator of the places of patches.

    Raises:
        DataError: the files have changed meanwhile.
    """
    if patches is None:
        return _digits(prepared, rows)
    return cut_patches(_scenes(prepared), patches, random())


def _digits(prepared: Prepared, rows: int | None) -> Split:
    digits, n = digits_of(prepared), MNIST.n_train_file
    whole = Split(digits.images[:n], digits.labels[:n], MNIST.scale)
    return whole if rows is None else whole.take(rows)


def _scenes(prepared: Prepared) -> list[Scene]:
    scenes = scenes_in(prepared.path) if prepared.origin == "own" else shipped_scenes()
    if (found := digest_of(scenes)) != prepared.sha256:
        raise DataError(
            f"{prepared.path}: holds other photographs than when the command began (SHA-256 "
            f"{found[:12]}…, expected {prepared.sha256[:12]}…); start again"
        )
    return scenes
