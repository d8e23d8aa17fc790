"""Random streams: each use of chance has a stream of its own, named by where it stands.

A stream depends on the seed, its purpose and its position (layer, epoch) and on nothing that was
drawn before. So a run that resumes draws what the uninterrupted run would have drawn (in the
middle of an epoch, from the state that the checkpoint kept of the generator of its noise), and
runs that differ in the corruption alone share their initial weights and the order in which
examples are presented.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Purpose(IntEnum):
    """What a stream is for; the numbers are part of the numerics and must not change."""

    WEIGHTS = 1
    PRETRAIN_ORDER = 2
    CORRUPTION = 3
    FINETUNE_ORDER = 4
    GIBBS = 5
    PATCHES = 6
    SVM_CORRUPTION = 7


def stream(seed: int, purpose: Purpose, *position: int) -> np.random.Generator:
    """Return the stream of a purpose at a position; the same arguments, the same numbers."""
    sequence = np.random.SeedSequence((seed, int(purpose), *position))
    return np.random.Generator(np.random.SFC64(sequence))


def shuffled(count: int, random: np.random.Generator) -> NDArray[np.intp]:
    """Return the numbers 0 … count−1 in random order, by the raw stream alone."""
    return np.argsort(random.bit_generator.random_raw(count), kind="stable")
