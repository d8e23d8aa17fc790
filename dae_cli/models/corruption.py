"""Corruption of the input while an autoencoder is trained: x̃ ~ q(x̃ | x).

All random numbers come from a NumPy generator on the CPU, so every device and engine uses the same
corruption. Each presentation of an example draws new noise.

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
    """Masking noise: sets exactly round(ν·d) components of each example to 0.

    Unlike dropout, it does not rescale; unlike a Bernoulli mask, it sets a fixed number of
    components (ICML 2008, section 2.3).
    """

    destruction: float
    """Fraction ν of the components that are set to 0."""

    def corrupt(self, clean: Array, random: np.random.Generator, out: Array) -> None:
        """Write `clean` (m, d) to `out` (m, d) with round(ν·d) components per row set to 0."""
        count = round(self.destruction * clean.shape[1])
        if count == 0:
            np.copyto(out, clean)
        elif not _run_kernel("mask", count, (clean, out), random):
            np.copyto(out, clean)
            out[choose_exactly(count, clean.shape, random)] = 0.0


@dataclass(frozen=True)
class SaltAndPepper:
    """Salt-and-pepper noise: replaces exactly round(ν·d) components of each example.

    Each of them becomes `pepper` or `salt` with equal probability.
    """

    destruction: float
    """Fraction ν of the components that are replaced."""
    pepper: float = 0.0
    """Lower replacement value."""
    salt: float = 1.0
    """Upper replacement value."""

    def corrupt(self, clean: Array, random: np.random.Generator, out: Array) -> None:
        """Write `clean` (m, d) to `out` (m, d) with round(ν·d) components per row replaced."""
        count = round(self.destruction * clean.shape[1])
        np.copyto(out, clean)
        if count == 0:
            return
        chosen = np.empty(clean.shape, np.bool_)
        if not _run_kernel("choose", count, (chosen,), random):
            chosen = choose_exactly(count, clean.shape, random)
        coins = np.floor(2 * random.random(count * len(clean)))
        out[chosen] = coins * (self.salt - self.pepper) + self.pepper


@dataclass(frozen=True)
class Gaussian:
    """Gaussian noise, added independently to every component."""

    sigma: float
    """Standard deviation σ, in units of the input."""

    def corrupt(self, clean: Array, random: np.random.Generator, out: Array) -> None:
        """Write `clean` (m, d) + N(0, σ²) to `out` (m, d)."""
        if self.sigma == 0:
            np.copyto(out, clean)
        else:
            noise = random.standard_normal(clean.shape, dtype=np.float32)
            noise *= self.sigma
            np.add(clean, noise, out=out)


class Corruption(Protocol):
    """Noise on the input of the layer being trained; fields are keys of `corruption` in YAML."""

    def corrupt(self, clean: Array, random: np.random.Generator, out: Array) -> None:
        """Write a corrupted copy of `clean` (m, d) to `out` (m, d)."""


CLASSES: dict[str, type[Masking | SaltAndPepper | Gaussian]] = {
    "masking": Masking,
    "salt-and-pepper": SaltAndPepper,
    "gaussian": Gaussian,
}
"""Classes by their names in YAML (`CORRUPTIONS` in config/schema.py)."""


def corruption_of(kind: str, settings: Mapping[str, Any]) -> Corruption:
    """Build a corruption of this kind; settings that are not fields of its class are ignored."""
    chosen = CLASSES[kind]
    return chosen(**{field.name: settings[field.name] for field in fields(chosen)})


# Choosing an exact number of components


def choose_exactly(count: int, shape: tuple[int, int], random: np.random.Generator) -> Mask:
    """Choose `count` components of each row; all subsets are equally likely.

    Each component gets a random 64-bit key whose low bits are its index, so all keys of a row
    differ. The components with the `count` smallest keys are chosen.

    Args:
        count: number of components to choose in each row, 0 to d.
        shape: (m, d).
        random: source of the keys, row by row; unused if `count` is 0 or d.

    Returns:
        Booleans (m, d), exactly `count` of them true in each row.
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


def _run_kernel(
    kernel: str, count: int, arrays: tuple[NDArray[Any], ...], random: np.random.Generator
) -> bool:
    """Run a compiled kernel in place of `choose_exactly`: same result, several times as fast.

    Every presentation of an example needs a new choice, which must be cheap compared with the
    matrix products that follow.

    Returns:
        Whether a kernel ran; if not, nothing was drawn or written.
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
    """Return the kernels by name; empty if Numba cannot be imported."""
    try:
        load_numba()
        from dae_cli.models.compiled_choice import choose, mask
    except ImportError:
        return {}
    return {"choose": choose, "mask": mask}


@cache
def _work_arrays(components: int) -> tuple[NDArray[Any], ...]:
    """Return the kernels' work space. All calls share it, so only one thread may use it."""
    words = np.empty(components, np.uint64), np.empty(components, np.uint64)
    return words[0], np.empty(256, np.int32), words[1]
