"""Rows of the original sets that are known, as digests: the first and last ten of each split.

``genuine_rows.csv`` was written by ``python docs/genuine_rows.py FOLDER``.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.content import Content
from dae_cli.data.dataset import Pixels

FILE = "genuine_rows.csv"
COLUMNS = ("dataset", "part", "row", "label", "mean_grey", "sha256")
DIGITS = 16
"""Of each row's SHA-256 that are stored: no accident makes two rows agree in them."""


@dataclass(frozen=True)
class GenuineRow:
    """One row of an original set."""

    part: str
    """The file that it stands in, training or test; validation rows end the training file."""
    row: int
    """From 1, as in messages."""
    label: int
    mean_grey: float
    """Of its 784 pixels, to three decimals: tells how grey values that do not agree differ."""
    sha256: str
    """The first digits of `row_digests`."""


@dataclass(frozen=True)
class KnownRows:
    """The rows of some content that stand where a genuine row is known."""

    genuine: Sequence[GenuineRow]
    pixels: Pixels  # (n, 784)
    labels: NDArray[np.uint8]  # (n,)

    def of(self, parts: Sequence[str]) -> KnownRows:
        """Those that stand in some of the files."""
        chosen = np.array([row.part in parts for row in self.genuine])
        genuine = [row for row in self.genuine if row.part in parts]
        return KnownRows(genuine, self.pixels[chosen], self.labels[chosen])

    @property
    def same_images(self) -> NDArray[np.bool_]:
        """Which of them have the pixels of the original, (n,)."""
        expected = np.array([row.sha256 for row in self.genuine])
        return np.asarray(np.array(row_digests(self.pixels)) == expected, dtype=np.bool_)

    @property
    def same_labels(self) -> NDArray[np.bool_]:
        """Which of them have its label, (n,)."""
        expected = np.array([row.label for row in self.genuine])
        return np.asarray(self.labels == expected, dtype=np.bool_)

    @property
    def agree(self) -> NDArray[np.bool_]:
        """Which of them are the original's, (n,)."""
        return np.asarray(self.same_images & self.same_labels, dtype=np.bool_)


def row_digests(pixels: Pixels) -> list[str]:
    """The digest of each row of canonical pixels, shape (n, 784)."""
    little_endian = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    rows = np.ascontiguousarray(little_endian)
    return [hashlib.sha256(row.data).hexdigest()[:DIGITS] for row in rows]


def known_rows(name: str, content: Content) -> KnownRows | None:
    """The rows of content at the places of the genuine ones; None where none are known."""
    if (genuine := GENUINE_ROWS.get(name)) is None:
        return None
    parts = {
        "training": (content.pixels, content.labels),
        "test": (content.test_pixels, content.test_labels),
    }
    pixels = np.stack([parts[row.part][0][row.row - 1] for row in genuine])
    labels = np.array([parts[row.part][1][row.row - 1] for row in genuine], dtype=np.uint8)
    return KnownRows(genuine, pixels, labels)


def _read() -> dict[str, Sequence[GenuineRow]]:
    found: dict[str, list[GenuineRow]] = {}
    text = resources.files("dae_cli.data").joinpath(FILE).read_text(encoding="ascii")
    for line in csv.DictReader(text.splitlines()):
        name, part, row, label, mean_grey, sha256 = (line[column] for column in COLUMNS)
        known = GenuineRow(part, int(row), int(label), float(mean_grey), sha256)
        found.setdefault(name, []).append(known)
    return dict(found)


GENUINE_ROWS = _read()
