"""How large each data set is: what settings are checked against, before any file is opened."""

from __future__ import annotations

from typing import NamedTuple

PIXELS = 784
"""Inputs of the first layer: every data set has images of 28 by 28."""

MNIST_DIGITS = 60_000
"""Those that MNIST gives to train on."""


class Rows(NamedTuple):
    """The rows of each split of one data set."""

    train: int
    valid: int
    test: int


_MNIST_VARIANT = Rows(10_000, 2_000, 50_000)

ROWS = {
    "basic": _MNIST_VARIANT,
    "rot": _MNIST_VARIANT,
    "bg-rand": _MNIST_VARIANT,
    "bg-img": _MNIST_VARIANT,
    "rot-bg-img": _MNIST_VARIANT,
    "rect": Rows(1_000, 200, 50_000),
    "rect-img": _MNIST_VARIANT,
    "convex": Rows(6_000, 2_000, 50_000),
    "mnist": Rows(50_000, 10_000, 10_000),
}
"""By the name of the data set; the registry of the data takes them from here."""
