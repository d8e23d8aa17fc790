"""The digits of MNIST, which five of the eight sets are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Digits:
    """All of MNIST: the 60 000 training digits, then the 10 000 test digits, in their order."""

    images: NDArray[np.uint8]  # (70000, 784), 0 … 255
    labels: NDArray[np.uint8]  # (70000,)


DigitSource = Callable[[], Digits]
"""Hands out MNIST when it is asked to; raises DataError where MNIST cannot be had."""
