"""Data: recipes at any size, a small ninth data set to test sources with, and patches."""

from __future__ import annotations

import sys
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.dataset import Content, Split, canonical_pixels, content_digest
from dae_cli.data.datasets import DATASETS, Archive, DatasetSpec, Recipe
from dae_cli.data.photographs import PatchSettings, load_images
from dae_cli.data.recipes import digits as digit_recipes
from dae_cli.data.recipes.integers import RandomIntegers
from dae_cli.data.sources import DataOptions, prepare
from dae_cli.data.trust import GENUINE_ROWS, GenuineRow, lawful, row_digests
from tests.support.data_files import text, zipped

__all__ = [
    "GENUINE_ROWS",
    "RandomIntegers",
    "SmallSet",
    "digests_of_rows",
    "filter_digits",
    "follows_its_law",
    "forget_small",
    "patches_of",
    "regenerated",
    "register_small",
    "restore",
    "rotated",
    "shrink",
]

Array = NDArray[Any]


def regenerated(
    name: str, train: int, test: int, digits: tuple[Array, Array] | None = None
) -> dict[str, Array]:
    """Return X, Y, Xtest, Ytest as the recipe generates them, with its seed but any size.

    Args:
        name: one of the eight data sets.
        train: number of rows of the training file, including validation rows.
        test: number of rows of the test file.
        digits: images (n, 784) of 0 … 255 and labels, used instead of MNIST.
    """

    def mnist() -> Content:
        assert digits, "asked for MNIST"
        images, labels = digits
        return Content(images, labels, images[:0], labels[:0])

    before = DATASETS[name]
    DATASETS[name] = replace(before, n_train=train, n_valid=0, n_test=test)
    try:
        assert before.recipe is not None
        content = before.recipe.generate(DATASETS[name], mnist)
    finally:
        DATASETS[name] = before
    arrays = (content.pixels, content.labels, content.test_pixels, content.test_labels)
    return dict(zip(("X", "Y", "Xtest", "Ytest"), arrays, strict=True))


def rotated(images: Array, across: Array, down: Array) -> Array:
    """Rotate images (n, 784) to the directions `across`, `down`, (n,) each."""
    turned = digit_recipes.rotated(images.reshape(-1, 28, 28), across, down)
    return turned.reshape(images.shape)


SCALE = 1 / 255


@dataclass(frozen=True)
class SmallSet:
    """The data set "small": 6 training, 2 validation and 5 test rows, 3 classes."""

    X: Array
    Y: Array
    Xtest: Array
    Ytest: Array

    @property
    def sha256(self) -> str:
        """The digest of its content."""
        content = Content(self.X, self.Y, self.Xtest, self.Ytest)
        return content_digest(DATASETS["small"], content)

    def text(self, part: str) -> bytes:
        """Rows of X or Xtest as text in the format of the originals."""
        pixels, labels = (self.X, self.Y) if part == "X" else (self.Xtest, self.Ytest)
        return text(pixels * SCALE, labels)

    def archive(self) -> bytes:
        """An archive of both text files."""
        rows = {"small_train.amat": self.text("X"), "50k/small_test.amat": self.text("Xtest")}
        return zipped(rows, zipfile.ZIP_STORED)

    def write_npz(self, folder: Path, **changes: Array) -> Path:
        """Write small.npz with grey values."""
        folder.mkdir(parents=True, exist_ok=True)
        greys: dict[str, Any] = {"X": self.X * SCALE, "Xtest": self.Xtest * SCALE}
        arrays = greys | {"Y": self.Y, "Ytest": self.Ytest} | changes
        np.savez(folder / "small.npz", allow_pickle=False, **arrays)
        return folder / "small.npz"

    def write_text(self, folder: Path) -> tuple[Path, Path]:
        """Write small_train.amat and 50k/small_test.amat."""
        (folder / "50k").mkdir(parents=True, exist_ok=True)
        train, test = folder / "small_train.amat", folder / "50k" / "small_test.amat"
        train.write_bytes(self.text("X"))
        test.write_bytes(self.text("Xtest"))
        return train, test

    def write_zip(self, folder: Path) -> Path:
        """Write small.zip."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "small.zip").write_bytes(self.archive())
        return folder / "small.zip"


def register_small(
    *,
    archive_sha1: str = "0" * 40,
    known_sha256: str | None = None,
    version: int = 1,
    exact: bool = False,
    wrong_recipe: bool = False,
    genuine: bool = False,
    archive: str = "small.zip",
    has_recipe: bool = True,
) -> tuple[SmallSet, SmallSet]:
    """Register the small set; return its original and what its recipe generates.

    Args:
        archive_sha1: SHA-1 of the published archive.
        known_sha256: digest of the original's content, if known.
        version: version of the recipe.
        exact: whether the recipe generates the original.
        wrong_recipe: whether the recipe generates content with a wrong digest.
        genuine: whether the first and last rows of both files are known.
        archive: name of the published archive; empty if there is none.
        has_recipe: whether there is a recipe.
    """
    published = Archive(archive, archive_sha1, "small_train.amat", "50k/small_test.amat")
    spec = DatasetSpec(
        "small",
        n_classes=3,
        n_train=6,
        n_valid=2,
        n_test=5,
        levels=255,
        archive=published if archive else None,
        content_sha256=known_sha256,
    )
    original = _random_small(1)
    regenerated = original if exact else _random_small(2)
    DATASETS["small"] = spec

    def generate(_: DatasetSpec) -> Content:
        labels = 2 - regenerated.Y if wrong_recipe else regenerated.Y
        return Content(regenerated.X, labels, regenerated.Xtest, regenerated.Ytest)

    module: Any = ModuleType("dae_cli.data.recipes.small")
    module.generate = generate
    sys.modules[module.__name__] = module
    recipe = Recipe(version, regenerated.sha256, "small:generate", exact=exact)
    if has_recipe:
        DATASETS["small"] = replace(spec, recipe=recipe)
    GENUINE_ROWS.pop("small", None)
    if genuine:
        GENUINE_ROWS["small"] = [
            GenuineRow(part, row + 1, int(Y[row]), float(X[row].mean()) * SCALE, digest)
            for part, X, Y in (("training", original.X, original.Y),
                               ("test", original.Xtest, original.Ytest))
            for row, digest in enumerate(row_digests(X))
            if row in (0, 1, len(X) - 2, len(X) - 1)
        ]  # fmt: skip
    return original, regenerated


def shrink(name: str, train: int, valid: int, test: int) -> tuple[DatasetSpec, list[GenuineRow]]:
    """Reduce the rows of a data set, known rows at the ends of its splits; undo with `restore`."""
    before = DATASETS[name], list(GENUINE_ROWS[name])
    DATASETS[name] = replace(before[0], n_train=train, n_valid=valid, n_test=test)
    starts = (0, train - 10, train, train + valid - 10, 0, test - 10)
    GENUINE_ROWS[name] = [
        replace(row, row=starts[k // 10] + k % 10 + 1) for k, row in enumerate(before[1])
    ]
    return before


def restore(before: tuple[DatasetSpec, list[GenuineRow]]) -> None:
    """Undo `shrink`."""
    spec, rows = before
    DATASETS[spec.name], GENUINE_ROWS[spec.name] = spec, rows


def forget_small() -> None:
    """Undo `register_small`."""
    for table in (DATASETS, GENUINE_ROWS):
        table.pop("small", None)
    sys.modules.pop("dae_cli.data.recipes.small", None)


def _random_small(seed: int) -> SmallSet:
    random = np.random.default_rng(seed)

    def some(most: int, *shape: int) -> Array:
        return random.integers(0, most + 1, shape, dtype=np.uint8)

    return SmallSet(some(255, 8, 784), some(2, 8), some(255, 5, 784), some(2, 5))


def patches_of(
    photos: Path | None, seed: int = 7, meanwhile: Any = None, **patches: Any
) -> tuple[str, str, Array]:
    """Cut patches as a filter study does; returns source, digest and patches.

    Args:
        photos: folder of photographs; None: those shipped with the dependencies.
        seed: seed of the generator that places the patches.
        meanwhile: function called between preparing the photographs and cutting.
        patches: settings of the patches.
    """
    usual: dict[str, Any] = {
        "side": 12,
        "count": 500_000,
        "whitening": "olshausen-field",
        "cutoff": 0.4,
    }
    settings = PatchSettings(**usual | {"deviation": 1.0} | patches)
    prepared = prepare("photographs", DataOptions(photos=photos))
    if meanwhile:
        meanwhile()
    cut = load_images(prepared, lambda: np.random.default_rng(seed), rows=None, patches=settings)
    assert isinstance(cut, np.ndarray)
    return prepared.source, prepared.sha256, cut


def filter_digits(data_dir: Path, rows: int | None) -> tuple[Array, Array]:
    """Return the MNIST digits that a filter study learns from: grey values, labels."""
    prepared = prepare("mnist", DataOptions(data_dir))
    digits = load_images(prepared, np.random.default_rng, rows=rows, patches=None)
    assert isinstance(digits, Split)
    return digits.as_float(), digits.labels


def digests_of_rows(name: str, greys: Array) -> list[str]:
    """Return digests of rows of grey values, (n, 784), as in the packaged table."""
    return row_digests(canonical_pixels(greys, DATASETS[name], name))


def follows_its_law(name: str, pixels: Array, labels: Array) -> Array:
    """Which rows, pixels (n, 784) of 0 or 1, have the label given by the law of their data set."""
    obeyed = lawful(DATASETS[name], pixels, labels)
    assert obeyed is not None
    return obeyed
