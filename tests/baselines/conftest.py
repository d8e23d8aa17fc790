"""A small problem of image-like rows: blobs of grey values that overlap."""

from __future__ import annotations

import numpy as np
import pytest

from dae_cli.data.dataset import Dataset, Split

WIDTH = 30


def blobs(n_classes: int, n: int, seed: int) -> Split:
    """Noisy rows around one centre for each class; the same centres for every seed."""
    centres = np.random.default_rng(0).integers(90, 166, (n_classes, WIDTH))
    random = np.random.default_rng(seed)
    labels = random.integers(0, n_classes, n).astype(np.uint8)
    noisy = centres[labels] + random.normal(0, 60, (n, WIDTH))
    return Split(noisy.clip(0, 255).astype(np.uint8), labels, 1 / 255)


def small_dataset(n_classes: int) -> Dataset:
    """300 training, 120 validation and 700 test rows."""
    train, valid, test = (
        blobs(n_classes, n, seed) for seed, n in enumerate((300, 120, 700), start=1)
    )
    return Dataset("blobs", n_classes, train, valid, test, "regenerated", "0" * 64)


@pytest.fixture(scope="session")
def two_classes() -> Dataset:
    return small_dataset(2)


@pytest.fixture(scope="session")
def four_classes() -> Dataset:
    return small_dataset(4)
