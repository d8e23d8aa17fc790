"""Random streams: each use of random numbers has a separate stream.

A stream depends only on the seed, its purpose and its position (layer, epoch), not on earlier
draws. A resumed run therefore draws the same numbers as an uninterrupted one; within an epoch, the
checkpoint restores the state of the noise generator. Runs that differ only in their corruption
share the initial weights and the order in which examples are presented.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Purpose(IntEnum):
    """Purpose of a stream; the numbers seed the generators and must not change."""

    WEIGHTS = 1
    PRETRAIN_ORDER = 2
    CORRUPTION = 3
    FINETUNE_ORDER = 4
    GIBBS = 5
    PATCHES = 6
    SVM_CORRUPTION = 7


def stream(seed: int, purpose: Purpose, *position: int) -> np.random.Generator:
    """Return the generator for a purpose and position; equal arguments give equal numbers."""
    sequence = np.random.SeedSequence((seed, int(purpose), *position))
    return np.random.Generator(np.random.SFC64(sequence))


def shuffled(count: int, random: np.random.Generator) -> NDArray[np.intp]:
    """Return 0 … count−1 in random order; uses only the generator's raw stream."""
    return np.argsort(random.bit_generator.random_raw(count), kind="stable")
