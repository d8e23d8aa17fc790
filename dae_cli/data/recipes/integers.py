"""Random whole numbers from a bit generator's raw stream.

NumPy promises that the stream of a bit generator never changes; it does not promise that for
the distribution methods. Everything random here is therefore made of raw 64-bit words
by whole-number arithmetic, and comes out the same on any machine and with any version.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


class RandomIntegers:
    """A stream of random whole numbers; the same seed gives the same numbers everywhere."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def below(self, bound: int | Integers, n: int) -> Integers:
        """``n`` numbers uniform in 0 … bound−1, bound at most 2^31.

        The 32 high bits of a word are scaled; the unevenness of 2^-32 · bound is of no account.
        """
        high = self._bits.random_raw(n) >> np.uint64(32)
        scaled = high * np.asarray(bound, dtype=np.uint64) >> np.uint64(32)
        return scaled.astype(np.int64)

    def geometric(self, success: Fraction, n: int) -> Integers:
        """``n`` numbers k = 1, 2, … with probability (1 − success)^(k−1) · success."""
        return 1 + np.searchsorted(_geometric_steps(success), self.below(1 << 31, n), side="right")

    def directions(self, n: int) -> tuple[Integers, Integers]:
        """``n`` vectors of uniform angle: whole points drawn from a ring until they fit.

        Their length varies (1024 to 2048): only their direction is meant to be used.
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
    """Thresholds out of 2^31 at which the number of trials grows by one."""
    steps: list[int] = []
    failure = 1 - success
    left = failure
    while (step := int((1 - left) * (1 << 31))) < (1 << 31) - 1 and len(steps) < 400:
        steps.append(step)
        left *= failure
    return np.array(steps, dtype=np.int64)
