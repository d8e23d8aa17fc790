"""Arrays of a data set: the canonical content and the splits that training uses.

The content is four arrays that do not depend on the file format they were read from. Pixels are
uint8 if every original pixel is k/levels (``datasets.py``), otherwise float32. The digest is a
SHA-256 of a header (name, type, scale, shapes) and the bytes of the arrays. Splits are the papers'.
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
"""own: the user's own data or photographs, not a published data set."""
Trust = Literal["verified", "plausible", "unverified", ""]
"""Evidence that content is the original (``trust.py``); empty if it does not claim to be."""
Rows = slice | NDArray[np.integer[Any]] | NDArray[np.bool_]
ROUNDING = 1e-3
"""Tolerance for levels * pixel to be an integer. Rounding to float32 or six decimals stays
below 2e-4; a pixel of another scale is farther off (1/256 instead of 1/255: .004)."""
BEYOND = 2e-6
"""Tolerance for grey values outside [0, 1], due to rounding to float32 or six decimals."""


def standing(origin: str, trust: str) -> str:
    """Origin and trust as one text: "regenerated" or "original, verified"."""
    return f"{origin}, {trust}" if trust else origin


@dataclass(frozen=True)
class Prepared:
    """A data set that is ready in the cache; small enough to send to a worker."""

    name: str
    path: Path
    origin: Origin
    sha256: str
    source: str
    """Where the content came from, for readers of reports."""
    trust: Trust

    @property
    def standing(self) -> str:
        """Origin and trust as one text."""
        return standing(self.origin, self.trust)


@dataclass(frozen=True)
class Split:
    """Rows of one split; grey values in [0, 1] are ``pixels * scale``."""

    pixels: Pixels  # (n, pixels of an image) uint8 if that is lossless, otherwise float32
    labels: NDArray[np.uint8]  # (n,)
    scale: float

    def __len__(self) -> int:
        return len(self.labels)

    def as_float(self, rows: Rows | None = None) -> NDArray[np.float32]:
        """Return grey values in [0, 1] of `rows` (default: all) as a new array (rows, pixels)."""
        chosen = self.pixels if rows is None else self.pixels[rows]
        if chosen.dtype == np.uint8:
            greys = (np.arange(256) * self.scale).astype(np.float32)
            return np.take(greys, cast(NDArray[np.uint8], chosen))
        return np.array(chosen, dtype=np.float32, order="C") * np.float32(self.scale)

    def take(self, n: int) -> Split:
        """Return ``n`` rows evenly spread over the split, in order.

        The first ``n`` rows would be biased: the test file of convex is sorted by class.
        Raises DataError if the split has fewer rows.
        """
        if not 0 < n <= len(self):
            raise DataError(f"cannot take a subset of {n} rows; expected 1 to {len(self)}")
        rows = np.arange(n) * len(self) // n
        return Split(self.pixels[rows], self.labels[rows], self.scale)


class Greys:
    """Gathers the grey values of minibatches in reused buffers.

    It makes no float copy of all rows, and a call allocates no memory.
    """

    def __init__(self, split: Split, max_rows: int) -> None:
        """Allocate buffers for up to `max_rows` rows of `split`."""
        shape = (min(max_rows, len(split)), split.pixels.shape[1])
        self._split = split
        self._divisor = _divisor(split)
        self._pixels = np.empty(shape, split.pixels.dtype)
        self._greys = np.empty(shape, np.float32)

    def into(self, rows: NDArray[np.integer[Any]], out: NDArray[np.float32]) -> None:
        """Write the grey values of `rows`, (m,), into `out`, (m, pixels of an image).

        The values equal ``split.as_float(rows)`` bit for bit. `out` may have any row stride.
        """
        if self._divisor is None:
            np.copyto(out, self._split.as_float(rows))
            return
        # NumPy makes no temporary copy in any of these steps: mode="clip" avoids a buffer (no
        # index is out of range), and the arithmetic uses contiguous memory.
        pixels, greys = self._pixels[: len(rows)], self._greys[: len(rows)]
        self._split.pixels.take(rows, axis=0, out=pixels, mode="clip")
        np.copyto(greys, pixels)
        np.divide(greys, self._divisor, out=greys)
        np.copyto(out, greys)


def _divisor(split: Split) -> np.float32 | None:
    """Return the number to divide pixels by to get `as_float` bit for bit; None if none exists.

    For the scale 1/255 it is 255. Dividing is faster than looking up a table of 256 values.
    """
    divisor = np.float32(round(1 / split.scale))
    if split.pixels.dtype != np.uint8:
        return divisor if split.scale == 1 else None
    every_byte = np.arange(256, dtype=np.uint8)[:, None]
    greys = Split(every_byte, every_byte[:, 0], split.scale).as_float()
    return divisor if np.array_equal(every_byte / divisor, greys) else None


@dataclass(frozen=True)
class Dataset:
    """A data set with its splits, origin and the SHA-256 of its content."""

    name: str
    n_classes: int
    train: Split
    valid: Split
    test: Split
    origin: Origin
    sha256: str

    @property
    def splits(self) -> dict[str, Split]:
        """Splits by name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}


@dataclass(frozen=True, eq=False)
class Content:
    """Training file (training and validation rows) and test file of a data set."""

    pixels: Pixels  # (n_train + n_valid, pixels of an image)
    labels: NDArray[np.uint8]  # (n_train + n_valid,)
    test_pixels: Pixels  # (n_test, pixels of an image)
    test_labels: NDArray[np.uint8]  # (n_test,)

    @property
    def parts(self) -> dict[str, tuple[Pixels, NDArray[np.uint8]]]:
        """Pixels and labels of each file, by name."""
        return {
            "training": (self.pixels, self.labels),
            "test": (self.test_pixels, self.test_labels),
        }

    @cached_property
    def n_common_rows(self) -> int:
        """Number of test rows whose image also occurs in the training file."""
        training = {row.tobytes() for row in self.pixels}
        return sum(row.tobytes() in training for row in self.test_pixels)

    @property
    def common_rows(self) -> str:
        """`n_common_rows` as a clause; empty if it is 0."""
        n, n_test = self.n_common_rows, len(self.test_labels)
        return f"{n} of its {n_test} test rows are also training rows" if n else ""

    @classmethod
    def from_rows(cls, spec: DatasetSpec, pixels: Pixels, labels: NDArray[np.uint8]) -> Content:
        """Split rows: the first are the training file of the data set, the others its test file."""
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
    """Return the integer type for labels of `n_classes` classes."""
    return np.uint8 if n_classes <= 256 else np.uint16


def check_shape(spec: DatasetSpec, content: Content, where: str) -> None:
    """Raise DataError, naming `where`, unless shapes and types are those of the data set."""
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
    """Split the content; the last ``n_valid`` rows of the training file are the validation set."""
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
    """Convert grey values, (n, pixels of an image), to the stored pixels.

    Raises DataError, naming `where` and the row, for a value that is not finite, is outside [0, 1]
    by more than rounding, or is not a multiple of 1/levels.
    """
    if not (values.min(initial=0) >= -BEYOND and values.max(initial=0) <= 1 + BEYOND):  # or NaN
        sound = (values >= -BEYOND) & (values <= 1 + BEYOND)
        row, column = np.argwhere(~sound)[0]
        value = values[row, column]
        hint = ""
        if column == 0 and value in range(2, spec.n_classes):
            hint = "; is it the label? Labels belong in the last column"
        elif 1 < value <= 255:
            divisor = f"; divide by {max(spec.levels, 255)}" if spec.levels else ""
            hint = f"; values seem to range from 0 to 255{divisor}"
        raise DataError(
            f"{where}, row {first_row + row + 1}, pixel {column + 1}: {value:.9g} is "
            f"not a grey value from 0 to 1{hint}"
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
            f"{where}, row {first_row + row + 1}, pixel {column + 1}: "
            f"{values[row, column]:.7g} is not {levels}; supply the original {spec.name}"
        )
    return np.asarray(whole, dtype=np.uint8)


def canonical_labels(
    values: NDArray[np.floating], spec: DatasetSpec, where: str, first_row: int = 0
) -> NDArray[np.uint8]:
    """Check labels, (n,), and return them as uint8; DataError names the first bad row."""
    sound = np.isin(values, np.arange(spec.n_classes))
    if not sound.all():
        row = int(np.flatnonzero(~sound)[0])
        raise DataError(
            f"{where}, row {first_row + row + 1}: label {values[row]:g} is not an integer from 0 "
            f"to {spec.n_classes - 1}"
        )
    return values.astype(np.uint8)
