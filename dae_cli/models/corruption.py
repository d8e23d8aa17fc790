"""How the input of an autoencoder is corrupted while it is trained: x̃ ~ q(x̃ | x).

All draws come from the raw stream of a NumPy generator on the CPU, so that every device and
engine sees the same corruption. A fresh draw is made at every presentation of an example.

What is computed on the way lies in scratch arrays, each in one piece, since NumPy would allocate
for arithmetic on padded rows. So a corruption object serves one thread at a time.

References: ICML 2008, section 2.3 (masking); JMLR 2010, section 3.3 (Gaussian, salt and pepper).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dae_cli.models.choosing import Scratch, choose, mask

Array = NDArray[np.float32]


class Corruption(Protocol):
    """Anything that writes a corrupted copy of a minibatch."""

    def corrupt(self, clean: Array, random: np.random.Generator, out: Array) -> None:
        """Write a corrupted copy of `clean` (m, d) into `out` (m, d); `clean` is not changed."""


@dataclass(frozen=True)
class Masking:
    """Sets exactly round(ν·d) components of each example to 0; the others stay untouched.

    Nothing is rescaled, unlike dropout, and the count does not vary, unlike Bernoulli masks
    (ICML 2008, section 2.3).
    """

    destruction: float
    """ν, the fraction of the components set to 0."""
    _scratch: Scratch = field(default_factory=Scratch, init=False, repr=False, compare=False)

    def corrupt(self, clean: Array, random: np.random.Generator, out: Array) -> None:
        """Write `clean` (m, d) with round(ν·d) zeros a row into `out` (m, d)."""
        count = round(self.destruction * clean.shape[1])
        if count == 0:
            np.copyto(out, clean)
        else:
            mask(count, clean, random, out, self._scratch)


@dataclass(frozen=True)
class SaltAndPepper:
    """Sets exactly round(ν·d) components of each example to an extreme, a fair coin for each."""

    destruction: float
    """ν, the fraction of the components replaced."""
    pepper: float = 0.0
    """The lower extreme."""
    salt: float = 1.0
    """The upper extreme."""
    _scratch: Scratch = field(default_factory=Scratch, init=False, repr=False, compare=False)

    def corrupt(self, clean: Array, random: np.random.Generator, out: Array) -> None:
        """Write `clean` (m, d) with round(ν·d) extreme values a row into `out` (m, d)."""
        count = round(self.destruction * clean.shape[1])
        np.copyto(out, clean)
        if count == 0:
            return
        chosen = choose(count, clean.shape, random, self._scratch)
        coins = self._scratch.array("coins", (count * len(clean),), np.float64)
        np.floor(np.multiply(random.random(out=coins), 2, out=coins), out=coins)
        np.add(np.multiply(coins, self.salt - self.pepper, out=coins), self.pepper, out=coins)
        out[chosen] = self._scratch.copy("extremes", coins, np.float32)


@dataclass(frozen=True)
class Gaussian:
    """Adds independent Gaussian noise of standard deviation σ to every component."""

    sigma: float
    """σ, in units of the input."""
    _scratch: Scratch = field(default_factory=Scratch, init=False, repr=False, compare=False)

    def corrupt(self, clean: Array, random: np.random.Generator, out: Array) -> None:
        """Write `clean` (m, d) + N(0, σ²) into `out` (m, d)."""
        if self.sigma == 0:
            np.copyto(out, clean)
        else:
            noise = self._scratch.array("noise", clean.shape, np.float32)
            random.standard_normal(out=noise, dtype=np.float32)
            np.multiply(noise, self.sigma, out=noise)
            values = self._scratch.copy("values", clean, np.float32)
            np.copyto(out, np.add(values, noise, out=values))
