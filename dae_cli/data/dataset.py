"""The arrays of a set: its canonical content, and what training sees of it.

Content is four arrays, the same whatever file they came from. Pixels are uint8 where every genuine
pixel is k/levels (``datasets.py``), else float32. Its digest is a SHA-256 over a header (name,
type, scale, shapes) and the bytes of the arrays. The splits are those of the papers.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.datasets import DatasetSpec
from dae_cli.errors import DataError

Pixels = NDArray[np.uint8] | NDArray[np.float32]
Origin = Literal["original", "regenerated", "own"]
"""own: the user's data or photographs, which are of no published set."""
Trust = Literal["verified", "plausible", "unverified", ""]
"""How far original content is proven (``trust.py``); empty where there is nothing to prove."""
Rows = slice | NDArray[np.integer[Any]] | NDArray[np.bool_]
ROUNDING = 1e-3
"""Largest distance of levels * pixel from a whole number: float32 and six decimals
stay below 2e-4; a level of another scale does not, as 1/256 is .004 from 1/255."""
BEYOND = 2e-6
"""How far rounding, of float32 or to six decimals, may carry a grey value out of [0, 1]."""


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
        """Grey values in [0, 1] of the chosen rows (default: all), a new array (rows, pixels)."""
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
        """Write the grey values of the chosen rows, (m,), into `out`, (m, pixels of an image).

        The numbers are those of ``split.as_float(rows)``, bit for bit; the rows of `out` may lie
        at any distance from each other.
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


@dataclass(frozen=True, eq=False)
class Content:
    """Training file (training and validation rows together) and test file of a set."""

    pixels: Pixels  # (n_train + n_valid, pixels of an image)
    labels: NDArray[np.uint8]  # (n_train + n_valid,)
    test_pixels: Pixels  # (n_test, pixels of an image)
    test_labels: NDArray[np.uint8]  # (n_test,)

    @property
    def parts(self) -> dict[str, tuple[Pixels, NDArray[np.uint8]]]:
        """Pixels and labels of both files."""
        return {
            "training": (self.pixels, self.labels),
            "test": (self.test_pixels, self.test_labels),
        }

    @cached_property
    def n_common_rows(self) -> int:
        """How many test rows have an image that is also one of the training or validation rows."""
        training = {row.tobytes() for row in self.pixels}
        return sum(row.tobytes() in training for row in self.test_pixels)

    @property
    def common_rows(self) -> str:
        """The same in words; empty where there is none."""
        n, n_test = self.n_common_rows, len(self.test_labels)
        return f"{n} of its {n_test} test rows are also training rows" if n else ""

    @classmethod
    def from_rows(cls, spec: DatasetSpec, pixels: Pixels, labels: NDArray[np.uint8]) -> Content:
        """The first rows as the training file of a set, the others as its test file."""
        n = spec.n_train_file
        return cls(pixels[:n], labels[:n], pixels[n:], labels[n:])


def content_digest(spec: DatasetSpec, content: Content) -> str:
    """SHA-256 (hexadecimal) of the canonical arrays."""
    digest = hashlib.sha256()
    if spec.digest_header:
        header: dict[str, object] = {
            "name": spec.name,
            "dtype": str(content.pixels.dtype),
            "levels": spec.levels,
            "train": list(content.pixels.shape),
            "test": list(content.test_pixels.shape),
        }
        if spec.own:
            header |= {key: getattr(spec, key) for key in ("rows", "classes", "image", "channels")}
        digest.update(json.dumps(header, sort_keys=True).encode())
    for array in (content.pixels, content.test_pixels, content.labels, content.test_labels):
        little_endian = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(np.ascontiguousarray(little_endian).data)
    return digest.hexdigest()


def label_type(n_classes: int) -> type[np.uint8 | np.uint16]:
    """The type of labels of so many classes."""
    return np.uint8 if n_classes <= 256 else np.uint16


def check_shape(spec: DatasetSpec, content: Content, where: str) -> None:
    """Raise DataError, with the file or recipe, unless sizes and types are those of the set."""
    dtypes = np.dtype(np.float32 if spec.levels is None else np.uint8), label_type(spec.n_classes)
    for (part, rows), n in zip(
        content.parts.items(), (spec.n_train_file, spec.n_test), strict=True
    ):
        for array, shape, dtype in zip(rows, ((n, spec.n_pixels), (n,)), dtypes, strict=True):
            if array.shape != shape or array.dtype != dtype:
                raise DataError(
                    f"{where}: the {part} rows of {spec.name} have shape {array.shape} and type "
                    f"{array.dtype}, expected {shape} and {np.dtype(dtype)}"
                )


def as_dataset(spec: DatasetSpec, content: Content, origin: Origin, sha256: str) -> Dataset:
    """Split the content: the last ``n_valid`` rows of the training file are for validation."""
    n = spec.n_train
    return Dataset(
        name=spec.name,
        n_classes=spec.n_classes,
        train=Split(content.pixels[:n], content.labels[:n], spec.scale),
        valid=Split(content.pixels[n:], content.labels[n:], spec.scale),
        test=Split(content.test_pixels, content.test_labels, spec.scale),
        origin=origin,
        sha256=sha256,
    )


def canonical_pixels(
    values: NDArray[np.floating], spec: DatasetSpec, where: str, first_row: int = 0
) -> Pixels:
    """Map grey values, (n, pixels of an image), to the stored pixels.

    Raises DataError, with `where` and the row, for a value that is not finite, outside [0, 1] by
    more than rounding, or not of the set's scale.
    """
    if not (values.min(initial=0) >= -BEYOND and values.max(initial=0) <= 1 + BEYOND):  # or NaN
        sound = (values >= -BEYOND) & (values <= 1 + BEYOND)
        row, column = np.argwhere(~sound)[0]
        value = values[row, column]
        hint = ""
        if column == 0 and value in range(2, spec.n_classes):
            hint = "; that may be the label, which stands last in a row"
        elif 1 < value <= 255:
            divisor = f", divide it by {max(spec.levels, 255)}" if spec.levels else ""
            hint = f"; it seems to be 0 to 255{divisor}"
        raise DataError(
            f"{where}, row {first_row + row + 1}, pixel {column + 1}: {value:.9g} found, "
            f"expected a grey value from 0 to 1{hint}"
        )
    if spec.levels is None:
        return np.asarray(np.clip(values, 0, 1), dtype=np.float32)
    steps = values * float(spec.levels)
    whole = np.rint(steps)
    steps -= whole
    if np.abs(steps, out=steps).max(initial=0) > ROUNDING or whole.max(initial=0) > 255:
        row, column = np.argwhere((steps > ROUNDING) | (whole > 255))[0]
        levels = "0 or 1" if spec.levels == 1 else f"a multiple of 1/{spec.levels}"
        raise DataError(
            f"{where}, row {first_row + row + 1}, pixel {column + 1}: {values[row, column]:.7g} "
            f"found, expected {levels}, up to rounding; is this the original {spec.name} set?"
        )
    return np.asarray(whole, dtype=np.uint8)


def canonical_labels(
    values: NDArray[np.floating], spec: DatasetSpec, where: str, first_row: int = 0
) -> NDArray[np.uint8]:
    """Check labels, shape (n,), and return them as uint8; DataError names the first bad row."""
    sound = np.isin(values, np.arange(spec.n_classes))
    if not sound.all():
        row = int(np.flatnonzero(~sound)[0])
        raise DataError(
            f"{where}, row {first_row + row + 1}: label {values[row]:g} found, "
            f"expected a whole number from 0 to {spec.n_classes - 1}"
        )
    return values.astype(np.uint8)
