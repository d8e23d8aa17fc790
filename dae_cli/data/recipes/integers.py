"""Random integers from the raw stream of a bit generator.

NumPy guarantees that the stream of a bit generator never changes, but not the output of its
distribution methods. All random numbers here are therefore computed from raw 64-bit words in
integer arithmetic. They are the same on every machine and with every version.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


class RandomIntegers:
    """A stream of random integers; the same seed gives the same numbers everywhere."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def below(self, bound: int | Integers, n: int) -> Integers:
        """Return ``n`` numbers uniform in 0 … bound−1, bound at most 2^31.

        They are the scaled 32 high bits of a word; the bias, at most 2^-32 · bound, is negligible.
        """
        high = self._bits.random_raw(n) >> np.uint64(32)
        scaled = high * np.asarray(bound, dtype=np.uint64) >> np.uint64(32)
        return scaled.astype(np.int64)

    def geometric(self, success: Fraction, n: int) -> Integers:
        """Return ``n`` numbers k = 1, 2, … with probability (1 − success)^(k−1) · success."""
        return 1 + np.searchsorted(_geometric_steps(success), self.below(1 << 31, n), side="right")

    def directions(self, n: int) -> tuple[Integers, Integers]:
        """Return ``n`` integer vectors of uniform angle, by rejection from a ring.

        Only their direction is meaningful; their length varies from 1024 to 2048.
        """
        found: list[Integers] = []
        missing = n
        while missing > 0:
            points = self.below(4097, 2 * (2 * missing + 16)).reshape(-1, 2) - 2048
            square = (points**2).sum(axis=1)
            found.append(points[(square >= 1024**2) & (square <= 2048**2)][:missing])
            missing -= len(found[-1])
        chosen = np.concatenate(found) if found else np.zeros((0, 2), dtype=np.int64)
        return chosen[:, 0], chosen[:, 1]


def _geometric_steps(success: Fraction) -> Integers:
    """Cumulative probabilities of 1, 2, … trials, in units of 2^-31."""
    steps: list[int] = []
    failure = 1 - success
    left = failure
    while (step := int((1 - left) * (1 << 31))) < (1 << 31) - 1 and len(steps) < 400:
        steps.append(step)
        left *= failure
    return np.array(steps, dtype=np.int64)
