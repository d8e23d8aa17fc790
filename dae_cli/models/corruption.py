"""How the input of an autoencoder is corrupted while it is trained: x̃ ~ q(x̃ | x).

All draws come from the raw stream of a NumPy generator on the CPU, so that every device and
engine sees the same corruption. A fresh draw is made at every presentation of an example.

References: ICML 2008, section 2.3 (masking); JMLR 2010, section 3.3 (Gaussian, salt and pepper).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dae_cli.import_path import load_numba

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


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
        elif not _compiled("mask", count, (clean, out), random):
            np.copyto(out, clean)
            out[choose_exactly(count, clean.shape, random)] = 0.0


@dataclass(frozen=True)
class SaltAndPepper:
    """Sets exactly round(ν·d) components of each example to an extreme, a fair coin for each."""

    destruction: float
    """ν, the fraction of the components replaced."""
    pepper: float = 0.0
    """The lower extreme."""
    salt: float = 1.0
    """The upper extreme."""

    def corrupt(self, clean: Array, random: np.random.Generator, out: Array) -> None:
        """Write `clean` (m, d) with round(ν·d) extreme values a row into `out` (m, d)."""
        count = round(self.destruction * clean.shape[1])
        np.copyto(out, clean)
        if count == 0:
            return
        chosen = np.empty(clean.shape, np.bool_)
        if not _compiled("choose", count, (chosen,), random):
            chosen = choose_exactly(count, clean.shape, random)
        coins = np.floor(2 * random.random(count * len(clean)))
        out[chosen] = coins * (self.salt - self.pepper) + self.pepper


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
            noise *= self.sigma
            np.add(clean, noise, out=out)


class Corruption(Protocol):
    """Noise on the input of the layer being trained; its fields are settings of `corruption`."""

    def corrupt(self, clean: Array, random: np.random.Generator, out: Array) -> None:
        """Write a noisy copy of `clean` (m, d) into `out` (m, d)."""


CLASSES: dict[str, type[Masking | SaltAndPepper | Gaussian]] = {
    "masking": Masking,
    "salt-and-pepper": SaltAndPepper,
    "gaussian": Gaussian,
}
"""By their names in YAML (`CORRUPTIONS` of config/schema.py)."""


def corruption_of(kind: str, settings: Mapping[str, Any]) -> Corruption:
    """Build a corruption, whose fields are among the settings."""
    chosen = CLASSES[kind]
    return chosen(**{field.name: settings[field.name] for field in fields(chosen)})


# Choosing exactly so many components


def choose_exactly(count: int, shape: tuple[int, int], random: np.random.Generator) -> Mask:
    """Choose `count` components of every row, each subset equally likely.

    Every component gets a random 64-bit key whose low bits are its own index, so that no two
    keys of a row are equal; the components with the `count` smallest keys are the chosen ones.

    Args:
        count: components chosen in each row, 0 to d.
        shape: (m, d).
        random: its raw stream gives the keys, row after row; none if there is nothing to choose.

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


def _compiled(
    kernel: str, count: int, arrays: tuple[NDArray[Any], ...], random: np.random.Generator
) -> bool:
    """Make the choice of `choose_exactly` by a kernel, from the same stream, several times as fast.

    It is made at every presentation of an example, and must cost little beside the products that
    follow.

    Returns:
        Whether that was possible; if not, nothing was drawn or written.
    """
    components = arrays[0].shape[1]
    kernels, source = _kernels(), random.bit_generator
    if not kernels or not isinstance(source, np.random.SFC64) or not 0 < count < components:
        return False
    with source.lock:
        state = source.state
        kernels[kernel](state["state"]["state"], count, *arrays, *_work_arrays(components))
        source.state = state
    return True


@cache
def _kernels() -> dict[str, Callable[..., None]]:
    """Return the kernels by name; none where Numba cannot be imported."""
    try:
        load_numba()
        from dae_cli.models.compiled_choice import choose, mask
    except ImportError:
        return {}
    return {"choose": choose, "mask": mask}


@cache
def _work_arrays(components: int) -> tuple[NDArray[Any], ...]:
    """Return memory for the keys of a row, used again by every choice: one thread at a time."""
    words = np.empty(components, np.uint64), np.empty(components, np.uint64)
    return words[0], np.empty(256, np.int32), words[1]
