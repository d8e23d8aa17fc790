"""What training sees: images and labels of one set, split as the papers split them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from dae_cli.errors import DataError

Pixels = NDArray[np.uint8] | NDArray[np.float32]
Origin = Literal["original", "regenerated", "own"]
"""own: the user's data or photographs, which are of no published set."""
Trust = Literal["verified", "plausible", "unverified", ""]
"""How far original content is proven (``trust.py``); empty where there is nothing to prove."""
Rows = slice | NDArray[np.integer[Any]] | NDArray[np.bool_]


def standing(origin: str, trust: str) -> str:
    """The origin of data, and how far it is to be trusted: "regenerated", "original, verified"."""
    return f"{origin}, {trust}" if trust else origin


@dataclass(frozen=True)
class Prepared:
    """A set that lies whole and checked in the cache; small enough to send to a worker."""

    name: str
    path: Path
    origin: Origin
    sha256: str
    source: str
    """A sentence for the reader of a report: where the content came from."""
    trust: Trust

    @property
    def standing(self) -> str:
        """Origin and trust, in words."""
        return standing(self.origin, self.trust)


@dataclass(frozen=True)
class Split:
    """Rows of one split; the grey value in [0, 1] is ``pixels * scale``."""

    pixels: Pixels  # (n, pixels of an image) uint8 where that is lossless, else float32
    labels: NDArray[np.uint8]  # (n,)
    scale: float

    def __len__(self) -> int:
        return len(self.labels)

    def as_float(self, rows: Rows | None = None) -> NDArray[np.float32]:
        """Grey values in [0, 1] of the chosen rows (default: all).

        Returns a new C-contiguous float32 array of shape (rows, pixels of an image).
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


class Greys:
    """Gathers the grey values of minibatches, in memory that is used again.

    No float copy of all rows is made, and a call allocates nothing.
    """

    def __init__(self, split: Split, max_rows: int) -> None:
        """Prepare for `max_rows` rows of `split` at a time, or all if it has fewer."""
        shape = (min(max_rows, len(split)), split.pixels.shape[1])
        self._split = split
        self._divisor = _divisor(split)
        self._pixels = np.empty(shape, split.pixels.dtype)
        self._greys = np.empty(shape, np.float32)

    def into(self, rows: NDArray[np.integer[Any]], out: NDArray[np.float32]) -> None:
        """Write the grey values of the chosen rows into `out`.

        The numbers are those of ``split.as_float(rows)``, bit for bit.

        Args:
            rows: (m,) indices from 0 up to, not including, the length of the split.
            out: (m, pixels of an image), its rows at any distance from each other.
        """
        if self._divisor is None:
            np.copyto(out, self._split.as_float(rows))
            return
        # Each step here is one that NumPy does without a copy of its own: indices are clipped,
        # which they never need, and arithmetic is done where the memory is in one piece.
        pixels, greys = self._pixels[: len(rows)], self._greys[: len(rows)]
        self._split.pixels.take(rows, axis=0, out=pixels, mode="clip")
        np.copyto(greys, pixels)
        np.divide(greys, self._divisor, out=greys)
        np.copyto(out, greys)


def _divisor(split: Split) -> np.float32 | None:
    """Return what pixels can be divided by, to the very bits of `as_float`; None: nothing.

    For a scale such as 1/255 that is 255, and dividing is quicker than a table of 256 values.
    """
    divisor = np.float32(round(1 / split.scale))
    if split.pixels.dtype != np.uint8:
        return divisor if split.scale == 1 else None
    every_byte = np.arange(256, dtype=np.uint8)[:, None]
    greys = Split(every_byte, every_byte[:, 0], split.scale).as_float()
    return divisor if np.array_equal(every_byte / divisor, greys) else None


@dataclass(frozen=True)
class Dataset:
    """A set with its origin and the SHA-256 of its content."""

    name: str
    n_classes: int
    train: Split
    valid: Split
    test: Split
    origin: Origin
    sha256: str

    @property
    def splits(self) -> dict[str, Split]:
        """Each split by its name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}
