"""Random rectangles inside an image, for rect and rect-img."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.generators.words import Integers, Words

SIDE = 28
N_PIXELS = SIDE * SIDE


@dataclass(frozen=True)
class Rectangles:
    """``n`` rectangles; all arrays have shape (n,)."""

    height: Integers
    width: Integers
    top: Integers
    left: Integers

    @property
    def labels(self) -> NDArray[np.uint8]:
        """1 = taller than wide, 0 = wider, (n,)."""
        return (self.height > self.width).astype(np.uint8)


def pairs_of_sides(least: int) -> Integers:
    """All (height, width) from ``least`` to 28, shape (pairs, 2), to choose from."""
    sides = slice(least, SIDE + 1)
    height, width = (axis.ravel() for axis in np.mgrid[sides, sides])
    return np.stack([height, width], axis=1)


def draw_rectangles(words: Words, pairs: Integers, n: int) -> Rectangles:
    """Each of ``pairs`` is equally likely, and so is each place where the rectangle fits."""
    height, width = pairs[words.below(len(pairs), n)].T
    top = words.below(SIDE + 1 - height, n)
    left = words.below(SIDE + 1 - width, n)
    return Rectangles(height, width, top, left)


def span(first: Integers, length: Integers) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The rows or columns from ``first`` on, and the two at their ends, (n, 28) each."""
    line = np.arange(SIDE)
    first, last = first[:, None], (first + length)[:, None] - 1
    return (line >= first) & (line <= last), (line == first) | (line == last)
