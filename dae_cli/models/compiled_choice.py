"""Compiled version of `corruption.choose_exactly`: the same keys choose the same components.

The kernels implement the generator SFC64 (C. Doty-Humphrey, PractRand), because NumPy makes one
call per number; NumPy guarantees that its streams do not change. No keys are sorted: a histogram
of their highest bytes leaves only a few candidates for the smallest key that is not chosen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dae_cli.compilation import compiled

Words = NDArray[np.uint64]
Counts = NDArray[np.int32]

ONE = np.uint64(1)
# Shifts of SFC64; 24 and 40 together rotate a word by 24 bits.
RIGHT_11, LEFT_3, LEFT_24, RIGHT_40 = (np.uint64(bits) for bits in (11, 3, 24, 40))
# A right shift by 56 bits leaves the highest byte of a key.
RIGHT_56 = np.uint64(56)


@compiled
def draw_keys(state: Words, keys: Words, counts: Counts) -> None:
    """Draw a key for each component and count the keys by their highest byte.

    Args:
        state: (4,), words of SFC64; updated in place.
        keys: (d,), output: random numbers whose low bits are replaced by the index.
        counts: (256,), output: number of keys for each value of the highest byte.
    """
    index_bits = np.uint64(0)
    while (len(keys) - 1) >> np.int64(index_bits):
        index_bits += ONE
    counts[:] = 0
    a, b, c, counter = state[0], state[1], state[2], state[3]
    for k in range(len(keys)):
        number = a + b + counter
        counter += ONE
        a = b ^ (b >> RIGHT_11)
        b = c + (c << LEFT_3)
        c = ((c << LEFT_24) | (c >> RIGHT_40)) + number
        key = ((number >> index_bits) << index_bits) | np.uint64(k)
        keys[k] = key
        counts[key >> RIGHT_56] += 1
    state[0], state[1], state[2], state[3] = a, b, c, counter


@compiled
def key_of_rank(rank: int, keys: Words, counts: Counts, candidates: Words) -> np.uint64:
    """Return the key that has exactly `rank` smaller keys, 0 ≤ rank < d; all keys differ.

    Args:
        rank: counted from 0.
        keys: (d,), from `draw_keys`.
        counts: (256,), from `draw_keys`.
        candidates: (d,), work space for the keys with the same highest byte as the result.
    """
    byte = 0
    while counts[byte] <= rank:
        rank -= counts[byte]
        byte += 1
    found = 0
    for key in keys:
        if key >> RIGHT_56 == np.uint64(byte):
            candidates[found] = key
            found += 1
    for k in range(found):
        smaller = 0
        for other in range(found):
            smaller += candidates[other] < candidates[k]
        if smaller == rank:
            break
    return np.uint64(candidates[k])


@compiled
def choose(
    state: Words,
    count: int,
    chosen: NDArray[np.bool_],
    keys: Words,
    counts: Counts,
    candidates: Words,
) -> None:
    """Choose the `count` components of each row with the smallest keys, 0 < count < d.

    Args:
        state: (4,), words of SFC64; updated in place.
        count: number of components to choose in each row.
        chosen: (m, d), output.
        keys: (d,), work space.
        counts: (256,), work space.
        candidates: (d,), work space.
    """
    for row in range(len(chosen)):
        draw_keys(state, keys, counts)
        first_kept = key_of_rank(count, keys, counts, candidates)
        for k in range(len(keys)):
            chosen[row, k] = keys[k] < first_kept


@compiled
def mask(
    state: Words,
    count: int,
    clean: NDArray[np.float32],
    out: NDArray[np.float32],
    keys: Words,
    counts: Counts,
    candidates: Words,
) -> None:
    """Copy `clean` (m, d) to `out` (m, d) and set the components that `choose` selects to 0."""
    for row in range(len(clean)):
        draw_keys(state, keys, counts)
        first_kept = key_of_rank(count, keys, counts, candidates)
        for k in range(len(keys)):
            out[row, k] = np.float32(0) if keys[k] < first_kept else clean[row, k]
