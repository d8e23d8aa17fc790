"""Which digits of MNIST a set uses, and in which order."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.datasets import DatasetSpec
from dae_cli.data.digits import Digits
from dae_cli.data.generators.words import Integers, Words

SIDE = 28
Pixel = TypeVar("Pixel", bound=np.generic)


def draw_digits(words: Words, digits: Digits, spec: DatasetSpec) -> Digits:
    """As many digits as the set has rows, each at most once, in a random order, upright."""
    order = permutation(words, len(digits.labels))[: spec.n_train_file + spec.n_test]
    return Digits(digits.images[order], digits.labels[order])


def permutation(words: Words, n: int) -> Integers:
    """0 … n−1 in a random order: the order of ``n`` random numbers of 62 bits."""
    keys = (words.below(1 << 31, n) << 31) + words.below(1 << 31, n)
    return np.argsort(keys, kind="stable")


def transposed(images: NDArray[Pixel]) -> NDArray[Pixel]:
    """Images (n, 784) with rows and columns exchanged, as the originals store them."""
    return images.reshape(-1, SIDE, SIDE).transpose(0, 2, 1).reshape(images.shape)
