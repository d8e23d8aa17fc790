"""The canonical content of a set: four arrays, the same whatever file they came from.

Pixels are uint8 where every genuine pixel is k/levels (``datasets.py``), else float32.
The digest is a SHA-256 over a header (name, type, scale, shapes) and the bytes of the arrays.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.dataset import Dataset, Origin, Pixels, Split
from dae_cli.data.datasets import DatasetSpec
from dae_cli.errors import DataError

ROUNDING = 1e-3
"""Largest distance of levels * pixel from a whole number: float32 and six decimals
stay below 2e-4; a level of another scale does not, as 1/256 is .004 from 1/255."""


BEYOND = 2e-6
"""How far rounding, of float32 or to six decimals, may carry a grey value out of [0, 1]."""


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
        if not (common := self.n_common_rows):
            return ""
        return f"{common} of its {len(self.test_labels)} test rows are also training rows"

    @classmethod
    def from_rows(cls, spec: DatasetSpec, pixels: Pixels, labels: NDArray[np.uint8]) -> Content:
        """The first rows as the training file of a set, the others as its test file."""
        n = spec.n_train_file
        return cls(pixels[:n], labels[:n], pixels[n:], labels[n:])


@dataclass(frozen=True, eq=False)
class Digits:
    """All of MNIST: the 60 000 training digits, then the 10 000 test digits, in their order."""

    images: NDArray[np.uint8]  # (n, pixels of an image), 0 … 255
    labels: NDArray[np.uint8]  # (n,)

    @classmethod
    def of(cls, mnist: Content) -> Digits:
        """Both files as one."""
        images = np.concatenate([mnist.pixels, mnist.test_pixels])
        return cls(images, np.concatenate([mnist.labels, mnist.test_labels]))


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
    dtype = np.dtype(np.float32 if spec.levels is None else np.uint8)
    for (part, (pixels, labels)), n in zip(
        content.parts.items(), (spec.n_train_file, spec.n_test), strict=True
    ):
        if pixels.shape != (n, spec.n_pixels) or labels.shape != (n,):
            raise DataError(
                f"{where}: the {part} rows of {spec.name} have shape {pixels.shape} and "
                f"{labels.shape}, expected ({n}, {spec.n_pixels}) and ({n},)"
            )
        if pixels.dtype != dtype or labels.dtype != label_type(spec.n_classes):
            raise DataError(
                f"{where}: the {part} pixels of {spec.name} are {pixels.dtype}, expected {dtype}"
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
    """Map grey values in [0, 1], (n, pixels of an image), to the stored pixels.

    Rounding may have carried values out of [0, 1].

    ``where`` and ``first_row`` name the file and the number of its first row in errors.
    Raises DataError for a value that is not finite, outside [0, 1] or not of the set's scale.
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
