"""Shapes that can only mean images or labels of a known number of rows.

Dimensions of 1 say nothing: (n, 28, 28, 1) and (n, 1, 28, 28) are n images, (n, 1) is n labels.
"""

from __future__ import annotations

import math

SIDE = 28
N_PIXELS = SIDE * SIDE
Shape = tuple[int, ...]


def mean_the_same(one: Shape, other: Shape) -> bool:
    """Whether numbers in the order of their rows can only be meant alike: 784 are 28 x 28."""
    a, b = (tuple(size for size in shape[1:] if size != 1) for shape in (one, other))
    return one[:1] == other[:1] and (a == b or {a, b} == {(N_PIXELS,), (SIDE, SIDE)})


def are_images(shape: Shape, n: int) -> bool:
    """Whether it is a row of 784 pixels, or 28 rows of 28, for each of n images."""
    return mean_the_same(shape, (n, N_PIXELS))


def are_labels(shape: Shape, n: int) -> bool:
    """Whether it is a number for each of n images, in a row or a column."""
    return math.prod(shape) == n and n in shape


def are_one_hot(shape: Shape, n: int, n_classes: int) -> bool:
    """Whether it has a row for each of n images, a column for each class."""
    return shape == (n, n_classes)
