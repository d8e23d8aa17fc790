"""What is known of the original sets without having them.

Of each, as digests, the first and last ten rows of each split: ``genuine_rows.csv``, written by
``python docs/genuine_rows.py FOLDER``. Two sets have a law: the label is a function of the image,
in every row of the originals (51 200 of rect, 58 000 of convex).
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module, resources

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.content import Content
from dae_cli.data.dataset import Pixels
from dae_cli.data.datasets import DatasetSpec
from dae_cli.data.recipes.shapes import is_convex

FILE = "genuine_rows.csv"
COLUMNS = ("dataset", "part", "row", "label", "mean_grey", "sha256")
DIGITS = 16
"""Of each row's SHA-256 that are stored: no accident makes two rows agree in them."""
_FEW = 100
"""One in so many rows may be repeated, or be in both files, without telling anything."""

Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class GenuineRow:
    """One row of an original set."""

    part: str
    """The file that it stands in, training or test; validation rows end the training file."""
    row: int
    """From 1, as in messages."""
    label: int
    mean_grey: float
    """Of its pixels, to three decimals: tells how grey values that do not agree differ."""
    sha256: str
    """The first digits of `row_digests`."""


@dataclass(frozen=True)
class KnownRows:
    """The rows of some content that stand where a genuine row is known."""

    genuine: Sequence[GenuineRow]
    pixels: Pixels  # (n, pixels of an image)
    labels: NDArray[np.uint8]  # (n,)

    def of(self, parts: Sequence[str]) -> KnownRows:
        """Those that stand in some of the files."""
        chosen = np.array([row.part in parts for row in self.genuine])
        genuine = [row for row in self.genuine if row.part in parts]
        return KnownRows(genuine, self.pixels[chosen], self.labels[chosen])

    @property
    def same_images(self) -> Booleans:
        """Which of them have the pixels of the original, (n,)."""
        expected = np.array([row.sha256 for row in self.genuine])
        return np.asarray(np.array(row_digests(self.pixels)) == expected)

    @property
    def same_labels(self) -> Booleans:
        """Which of them have its label, (n,)."""
        return np.asarray(self.labels == np.array([row.label for row in self.genuine]))

    @property
    def agree(self) -> Booleans:
        """Which of them are the original's, (n,)."""
        return self.same_images & self.same_labels


def row_digests(pixels: Pixels) -> list[str]:
    """The first digits of the SHA-256 of each row, as it is stored."""
    little_endian = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    rows = np.ascontiguousarray(little_endian)
    return [hashlib.sha256(row.data).hexdigest()[:DIGITS] for row in rows]


def known_rows(spec: DatasetSpec, content: Content) -> KnownRows | None:
    """The rows of content at the places of the genuine ones; None where none are known."""
    if (genuine := GENUINE_ROWS.get(spec.name)) is None:
        return None
    rows = [(content.parts[row.part], row.row - 1) for row in genuine]
    pixels = np.stack([pixels[k] for (pixels, _), k in rows])
    labels = np.array([labels[k] for (_, labels), k in rows], dtype=np.uint8)
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
        return self.images & self.labels


def lawful(spec: DatasetSpec, pixels: Pixels, labels: NDArray[np.uint8]) -> Lawful | None:
    """Tell which rows, pixels of 0 or 1, obey the law of their set; None: it has none."""
    if not spec.law:
        return None
    module, name = spec.law.split(":")
    law = getattr(import_module(f"dae_cli.data.{module}"), name)
    images, positive = law(pixels.reshape(-1, *spec.image) > 0)
    return Lawful(images, (labels == 1) == positive)


def outlines(white: Booleans) -> tuple[Booleans, Booleans]:
    """The law of rect: images (n, height, width) are outlines of one rectangle, 1 if it is tall."""
    rows, columns = np.asarray(white.any(axis=2)), np.asarray(white.any(axis=1))
    height, width = rows.sum(axis=1), columns.sum(axis=1)
    top, left = rows.argmax(axis=1)[:, None], columns.argmax(axis=1)[:, None]
    y, x = np.arange(white.shape[1]), np.arange(white.shape[2])
    inner_rows = (y > top) & (y < top + height[:, None] - 1)
    inner_columns = (x > left) & (x < left + width[:, None] - 1)
    outline = rows[:, :, None] & columns[:, None, :]
    outline &= ~(inner_rows[:, :, None] & inner_columns[:, None, :])
    is_outline = (white == outline).all(axis=(1, 2)) & (height > 0)
    return is_outline, height > width


def convex_regions(white: Booleans) -> tuple[Booleans, Booleans]:
    """The law of convex: images are not all black, 1 if the white's hull is white."""
    return np.asarray(white.any(axis=(1, 2))), is_convex(white)


def repeated_rows(content: Content, spec: DatasetSpec) -> str:
    """What repeats itself more than in any original, as a clause; empty where nothing does."""
    most = max(2, len(content.test_labels) // _FEW)
    if (common := content.n_common_rows) > max(most, spec.common_rows * 1.1):
        return f"its test rows seem to hold training rows: {common} are in both files"
    (_, times), *_ = Counter(row.tobytes() for row in content.test_pixels).most_common(1)
    return f"one image stands {times} times among its test rows" if times > most else ""
