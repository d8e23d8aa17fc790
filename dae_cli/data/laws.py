"""Sets whose label is a function of the image: what it is of each row.

Both laws hold in every row of the originals: 51 200 of rect, 58 000 of convex.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.dataset import Pixels
from dae_cli.data.datasets import DATASETS
from dae_cli.data.recipes.shapes import is_convex

Booleans = NDArray[np.bool_]


def _rect(white: Booleans) -> tuple[Booleans, Booleans]:
    """Outlines of one rectangle; and whether it is taller than wide."""
    rows: Booleans = np.asarray(white.any(axis=2))
    columns: Booleans = np.asarray(white.any(axis=1))
    height, width = rows.sum(axis=1), columns.sum(axis=1)
    within = rows[:, :, None] & columns[:, None, :]
    top, left = rows.argmax(axis=1)[:, None], columns.argmax(axis=1)[:, None]
    line = np.arange(white.shape[1])
    inner_rows = (line > top) & (line < top + height[:, None] - 1)
    line = np.arange(white.shape[2])
    inner_columns = (line > left) & (line < left + width[:, None] - 1)
    outline = within & ~(inner_rows[:, :, None] & inner_columns[:, None, :])
    is_outline = (white == outline).all(axis=(1, 2)) & (height > 0)
    return np.asarray(is_outline), np.asarray(height > width)


def _convex(white: Booleans) -> tuple[Booleans, Booleans]:
    """Images that are not all black; and whether all pixels of the hull of the white are white."""
    return np.asarray(white.any(axis=(1, 2))), is_convex(white)


_LAWS: dict[str, Callable[[Booleans], tuple[Booleans, Booleans]]] = {
    "rect": _rect,
    "convex": _convex,
}


@dataclass(frozen=True)
class Lawful:
    """Which rows obey the law of their set; both (n,)."""

    images: Booleans
    """Those that are images of the set."""
    labels: Booleans
    """Those that have the label of their image."""

    @property
    def rows(self) -> Booleans:
        """Those that do both."""
        return np.asarray(self.images & self.labels)


def lawful(name: str, pixels: Pixels, labels: NDArray[np.uint8]) -> Lawful | None:
    """Tell which rows, pixels of 0 or 1, obey the law of their set; None: it has none."""
    if (law := _LAWS.get(name)) is None:
        return None
    images, positive = law(pixels.reshape(-1, *DATASETS[name].image) > 0)
    return Lawful(images, np.asarray((labels == 1) == positive))
