"""Patches cut out of photographs at random, in the order in which chance gave them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.natural.scenes import Scene
from dae_cli.data.natural.whitening import standardized, whitened
from dae_cli.errors import DataError


@dataclass(frozen=True)
class PatchSettings:
    """How patches are cut, and what is done to the photographs before."""

    side: int
    count: int
    whitening: str
    cutoff: float
    deviation: float


def cut_patches(
    scenes: Sequence[Scene], settings: PatchSettings, random: np.random.Generator
) -> NDArray[np.float32]:
    """Cut patches at uniform places of the scenes, each as often as it has places.

    The photographs are whitened whole; of all patches together each pixel's mean is taken away,
    and one number scales them to the deviation of the settings.

    Returns:
        (count, side²).

    Raises:
        DataError: a scene is smaller than a patch, or all are of one grey.
    """
    side = settings.side
    for scene in scenes:
        if min(scene.grey.shape) < side:
            height, width = scene.grey.shape
            raise DataError(
                f"{scene.name}: has {width} x {height} pixels, a patch {side} x {side}; "
                "take it out, or set patches.side"
            )
    windows = [
        np.lib.stride_tricks.sliding_window_view(_prepared(scene, settings), (side, side))
        for scene in scenes
    ]
    places = np.array([view.shape[0] * view.shape[1] for view in windows])
    ends = np.cumsum(places)
    chosen = random.integers(ends[-1], size=settings.count)
    which = np.searchsorted(ends, chosen, side="right")
    patches = np.empty((settings.count, side * side), np.float32)
    for k, view in enumerate(windows):
        mine = np.flatnonzero(which == k)
        top, left = np.divmod(chosen[mine] - (ends[k] - places[k]), view.shape[1])
        patches[mine] = view[top, left].reshape(-1, side * side)
    return _scaled(patches, settings.deviation)


def _prepared(scene: Scene, settings: PatchSettings) -> NDArray[np.float32]:
    if settings.whitening == "none":
        return standardized(scene.grey)
    return whitened(scene.grey, settings.cutoff)


def _scaled(patches: NDArray[np.float32], deviation: float) -> NDArray[np.float32]:
    patches -= patches.mean(axis=0, dtype=np.float64).astype(np.float32)
    found = float(np.sqrt(np.mean(np.square(patches), dtype=np.float64)))
    if found == 0:
        raise DataError("the photographs are of one grey each: there is nothing to learn from them")
    patches *= np.float32(deviation / found)
    return patches
