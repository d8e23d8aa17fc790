"""How the input of an autoencoder is corrupted while it is trained: x̃ ~ q(x̃ | x).

All draws come from the raw stream of a NumPy generator on the CPU, so that every device and
engine sees the same corruption. A fresh draw is made at every presentation of an example.

References: ICML 2008, section 2.3 (masking); JMLR 2010, section 3.3 (Gaussian, salt and pepper).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Corruption(Protocol):
    """Anything that writes a corrupted copy of a minibatch."""

    def corrupt(self, clean: Array, random: np.random.Generator, out: Array) -> None:
        """Write a corrupted copy of `clean` (m, d) into `out` (m, d); `clean` is not changed."""


def choose_exactly(count: int, shape: tuple[int, int], random: np.random.Generator) -> Mask:
    """Choose `count` components of every row, each subset equally likely.

    Every component gets a random 64-bit key whose low bits are its own index, so that no two
    keys of a row are equal; the components with the `count` smallest keys are the chosen ones.

    Args:
        count: components chosen in each row, 0 to d.
        shape: (m, d).

    Returns:
        (m, d) booleans with exactly `count` true in each row.
    """
    rows, components = shape
    if count == 0 or count == components:
        return np.full(shape, count != 0)
    index_bits = np.uint64((components - 1).bit_length())
    keys = random.bit_generator.random_raw(rows * components).reshape(shape)
    keys >>= index_bits
    keys <<= index_bits
    keys |= np.arange(components, dtype=np.uint64)
    first_kept = np.partition(keys, count, axis=1)[:, count, None]
    return keys < first_kept


@dataclass(frozen=True)
class Masking:
    """Sets exactly round(ν·d) components of each example to 0; the others stay untouched.

    Nothing is rescaled, unlike dropout, and the count does not vary, unlike Bernoulli masks
    (ICML 2008, section 2.3).
    """

    destruction: float
    """ν, the fraction of the components set to 0."""

    def corrupt(self, clean: Array, random: np.random.Generator, out: Array) -> None:
        """Write `clean` (m, d) with round(ν·d) zeros a row into `out` (m, d)."""
        count = round(self.destruction * clean.shape[1])
        if count == 0:
            np.copyto(out, clean)
        else:
            np.multiply(clean, ~choose_exactly(count, clean.shape, random), out=out)


@dataclass(frozen=True)
class SaltAndPepper:
    """Sets exactly round(ν·d) components of each example to 0 or 1, a fair coin for each."""

    destruction: float
    """ν, the fraction of the components replaced."""

    def corrupt(self, clean: Array, random: np.random.Generator, out: Array) -> None:
        """Write `clean` (m, d) with round(ν·d) extreme values a row into `out` (m, d)."""
        count = round(self.destruction * clean.shape[1])
        np.copyto(out, clean)
        if count == 0:
            return
        chosen = choose_exactly(count, clean.shape, random)
        coins = random.bit_generator.random_raw(int(chosen.sum())) >> np.uint64(63)
        out[chosen] = coins


@dataclass(frozen=True)
class Gaussian:
    """Adds independent Gaussian noise of standard deviation σ to every component."""

    sigma: float
    """σ, in units of the input."""

    def corrupt(self, clean: Array, random: np.random.Generator, out: Array) -> None:
        """Write `clean` (m, d) + N(0, σ²) into `out` (m, d)."""
        if self.sigma == 0:
            np.copyto(out, clean)
        else:
            noise = random.standard_normal(clean.shape, dtype=np.float32)
            np.multiply(noise, self.sigma, out=noise)
            np.add(clean, noise, out=out)
