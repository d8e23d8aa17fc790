"""Choosing exactly so many components of every row, each subset equally likely.

`choose_exactly` is the definition. `choose` and `mask` make the same choices from the same stream,
several times as fast and in memory that is used again: one is made at every presentation of an
example, and must cost little beside the products that follow.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.import_path import load_numba

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


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
    chosen = scratch.array("chosen", shape, np.bool_)
    if _compiled("choose", count, (chosen,), random, scratch):
        return chosen
    return choose_exactly(count, shape, random)


def mask(
    count: int, clean: Array, random: np.random.Generator, out: Array, scratch: Scratch
) -> None:
    """Write `clean` (m, d) into `out` (m, d), the components that `choose` would choose as 0."""
    if not _compiled("mask", count, (clean, out), random, scratch):
        np.multiply(clean, ~choose_exactly(count, clean.shape, random), out=out)


def _compiled(
    name: str,
    count: int,
    arrays: tuple[NDArray[Any], ...],
    random: np.random.Generator,
    scratch: Scratch,
) -> bool:
    """Run a compiled choice on the generator's own stream; False where that cannot be."""
    components = arrays[0].shape[1]
    kernels, source = _kernels(), random.bit_generator
    if not kernels or not isinstance(source, np.random.SFC64) or not 0 < count < components:
        return False
    keys = scratch.array("keys", (components,), np.uint64)
    counts = scratch.array("counts", (256,), np.int32)
    alike = scratch.array("alike", (components,), np.uint64)
    with source.lock:
        state = source.state
        kernels[name](state["state"]["state"], count, *arrays, keys, counts, alike)
        source.state = state
    return True


@cache
def _kernels() -> dict[str, Callable[..., None]]:
    """Return the compiled choices; none where Numba cannot be imported."""
    try:
        load_numba()
        from dae_cli.models.compiled_choice import choose, mask
    except ImportError:
        return {}
    return {"choose": choose, "mask": mask}
