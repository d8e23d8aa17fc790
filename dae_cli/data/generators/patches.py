"""Patches of photographs: a uniform photograph, a uniform place in it, textured enough."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.generators.words import Words

SIDE = 28
N_PIXELS = SIDE * SIDE
BATCH = 4096


class Patches:
    """A stream of 28 × 28 patches whose standard deviation is at least ``floor`` (of 255)."""

    def __init__(self, words: Words, photographs: Sequence[NDArray[np.uint8]], floor: int) -> None:
        self._words = words
        self._floor = floor
        # Every window of a photograph, as a view (height − 27, width − 27, 28, 28).
        self._windows = [
            np.lib.stride_tricks.sliding_window_view(grey, (SIDE, SIDE)) for grey in photographs
        ]

    def draw(self, n: int) -> NDArray[np.uint8]:
        """The next ``n`` patches, (n, 784)."""
        found = np.empty((n, N_PIXELS), dtype=np.uint8)
        done = 0
        while done < n:
            patches = self._candidates()
            rough = patches[is_textured(patches, self._floor)][: n - done]
            found[done : done + len(rough)] = rough
            done += len(rough)
        return found

    def _candidates(self) -> NDArray[np.uint8]:
        which = self._words.below(len(self._windows), BATCH)
        heights = np.array([len(windows) for windows in self._windows])
        widths = np.array([windows.shape[1] for windows in self._windows])
        top = self._words.below(heights[which], BATCH)
        left = self._words.below(widths[which], BATCH)
        patches = np.empty((BATCH, N_PIXELS), dtype=np.uint8)
        for i, windows in enumerate(self._windows):
            mine = which == i
            patches[mine] = windows[top[mine], left[mine]].reshape(-1, N_PIXELS)
        return patches


def is_textured(patches: NDArray[np.uint8], floor: int) -> NDArray[np.bool_]:
    """Whether the standard deviation reaches the floor, in whole numbers: no rounding."""
    values = patches.astype(np.int64)
    scaled_variance = N_PIXELS * (values**2).sum(axis=1) - values.sum(axis=1) ** 2
    return np.asarray(scaled_variance >= floor**2 * N_PIXELS**2, dtype=np.bool_)
