"""The images that autoencoders are trained on for their filters: MNIST's digits, photographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.cache import load_content
from dae_cli.data.dataset import Prepared, Split
from dae_cli.data.datasets import MNIST, PHOTOGRAPHS
from dae_cli.data.natural.patches import PatchSettings, cut_patches
from dae_cli.data.natural.scenes import Scene, digest_of, scenes_in, shipped_folder, shipped_scenes
from dae_cli.errors import DataError

FilterImages = Split | NDArray[np.float32]
"""Digits with their grey values; or patches, (count, side²)."""


def prepare_photographs(photos: Path | None) -> Prepared:
    """Make sure of photographs, the user's or those that come with the dependencies.

    Raises:
        DataError: the user's cannot be used.
    """
    if photos is not None:
        scenes = scenes_in(photos)
        source = f"{len(scenes)} photographs of {photos}"
        return Prepared(PHOTOGRAPHS, photos.absolute(), "own", digest_of(scenes), source, "")
    scenes = shipped_scenes()
    source = f"{len(scenes)} photographs that scikit-image and scikit-learn ship"
    return Prepared(PHOTOGRAPHS, shipped_folder(), "original", digest_of(scenes), source, "")


def load_images(
    prepared: Prepared,
    random: Callable[[], np.random.Generator],
    *,
    rows: int | None,
    patches: PatchSettings | None,
) -> FilterImages:
    """Read what an experiment is trained on.

    Args:
        prepared: as `prepare` returned it.
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
    digits = load_content(prepared)
    whole = Split(digits.pixels, digits.labels, MNIST.scale)
    return whole if rows is None else whole.take(rows)


def _scenes(prepared: Prepared) -> list[Scene]:
    scenes = scenes_in(prepared.path) if prepared.origin == "own" else shipped_scenes()
    if (found := digest_of(scenes)) != prepared.sha256:
        raise DataError(
            f"{prepared.path}: holds other photographs than when the command began (SHA-256 "
            f"{found[:12]}…, expected {prepared.sha256[:12]}…); start again"
        )
    return scenes
