"""What training sees: images and labels of one set, split as the papers split them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from dae_cli.errors import DataError

Pixels = NDArray[np.uint8] | NDArray[np.float32]
Origin = Literal["original", "regenerated"]
Rows = slice | NDArray[np.integer[Any]] | NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """Rows of one split; the grey value in [0, 1] is ``pixels * scale``."""

    pixels: Pixels  # (n, 784) uint8 where that is lossless, else float32
    labels: NDArray[np.uint8]  # (n,)
    scale: float

    def __len__(self) -> int:
        return len(self.labels)

    def as_float(self, rows: Rows | None = None) -> NDArray[np.float32]:
        """Grey values in [0, 1] of the chosen rows (default: all).

        Returns a new C-contiguous float32 array of shape (rows, 784).
        """
        chosen = self.pixels if rows is None else self.pixels[rows]
        if chosen.dtype == np.uint8:
            greys = (np.arange(256) * self.scale).astype(np.float32)
            return np.take(greys, cast(NDArray[np.uint8], chosen))
        return np.array(chosen, dtype=np.float32, order="C") * np.float32(self.scale)

    def take(self, n: int) -> Split:
        """Return ``n`` rows evenly spread over the split, in order.

        A prefix would not do: the test file of convex is sorted by class.
        Raises DataError when there are not so many rows.
        """
        if not 0 < n <= len(self):
            raise DataError(f"a subset of {n} rows was asked for; the split has 1 to {len(self)}")
        rows = np.arange(n) * len(self) // n
        return Split(self.pixels[rows], self.labels[rows], self.scale)


@dataclass(frozen=True)
class Dataset:
    """One of the eight sets, with its origin and the SHA-256 of its content."""

    name: str
    n_classes: int
    train: Split
    valid: Split
    test: Split
    origin: Origin
    sha256: str
