"""Choosing exactly so many components of every row, each subset equally likely.

`choose_exactly` is the definition. `choose` makes the same choices from the same stream, several
times as fast and in memory that is used again: one is made at every presentation of an example,
and must cost little beside the products that follow.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Words = NDArray[np.uint64]
Kernel = Callable[[Words, int, Mask, Words, NDArray[np.int32], Words], None]


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


class Scratch:
    """Arrays that are used again: one for each name and shape that occurs."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, tuple[int, ...]], NDArray[Any]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
        """Return the array of this name and shape, in one piece, with whatever it holds."""
        found = self._arrays.get((name, shape))
        if found is None:
            found = self._arrays[name, shape] = np.empty(shape, dtype)
        return found

    def copy(self, name: str, source: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
        """Return a copy of `source` as numbers of another type, in the array of this name."""
        copy = self.array(name, source.shape, dtype)
        np.copyto(copy, source, casting="same_kind")
        return copy


def choose(
    count: int, shape: tuple[int, int], random: np.random.Generator, scratch: Scratch
) -> Mask:
    """Return what `choose_exactly` returns, in an array of `scratch` that the next call reuses."""
    kernel, source = _kernel(), random.bit_generator
    if kernel is None or not isinstance(source, np.random.SFC64) or not 0 < count < shape[1]:
        return choose_exactly(count, shape, random)
    chosen = scratch.array("chosen", shape, np.bool_)
    keys = scratch.array("keys", shape[1:], np.uint64)
    counts = scratch.array("counts", (256,), np.int32)
    alike = scratch.array("alike", shape[1:], np.uint64)
    with source.lock:
        state = source.state
        kernel(state["state"]["state"], count, chosen, keys, counts, alike)
        source.state = state
    return chosen


@cache
def _kernel() -> Kernel | None:
    """Return the compiled choice; None where Numba cannot be imported."""
    try:
        from dae_cli.models.compiled_choice import choose
    except ImportError:
        return None
    return choose
