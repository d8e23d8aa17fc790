"""The choice of `dae_cli.models.corruption`, compiled: the same keys, the same components.

The keys are drawn here, by the steps of the generator SFC64 (C. Doty-Humphrey, PractRand; NumPy
promises to keep its streams), since NumPy makes a call for each number. Nothing is sorted: the
256 values of the highest byte are counted, and tell which few keys may be the first one kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dae_cli.compilation import compiled

Words = NDArray[np.uint64]
Counts = NDArray[np.int32]

ONE = np.uint64(1)
# The shifts of SFC64; 24 and 40 turn a word by 24 bits.
RIGHT_11, LEFT_3, LEFT_24, RIGHT_40 = (np.uint64(bits) for bits in (11, 3, 24, 40))
# Leaves the highest byte of a key.
RIGHT_56 = np.uint64(56)


@compiled
def draw_keys(state: Words, keys: Words, counts: Counts) -> None:
    """Draw a key for each component, and count the keys by their highest byte.

    Args:
        state: (4,) the words of SFC64; they move on.
        keys: (d,) random numbers, the low bits of each replaced by its index.
        counts: (256,) how many keys begin with each byte.
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
def key_of_rank(rank: int, keys: Words, counts: Counts, alike: Words) -> np.uint64:
    """Return the key that `rank` others are smaller than, 0 ≤ rank < d; no two are equal.

    Args:
        rank: counted from 0.
        keys: (d,) and
        counts: (256,) as `draw_keys` leaves them.
        alike: (d,) for the keys that begin with the same byte as the one that is looked for.
    """
    byte = 0
    while counts[byte] <= rank:
        rank -= counts[byte]
        byte += 1
    found = 0
    for key in keys:
        if key >> RIGHT_56 == np.uint64(byte):
            alike[found] = key
            found += 1
    for k in range(found):
        smaller = 0
        for other in range(found):
            smaller += alike[other] < alike[k]
        if smaller == rank:
            break
    return np.uint64(alike[k])


@compiled
def choose(
    state: Words, count: int, chosen: NDArray[np.bool_], keys: Words, counts: Counts, alike: Words
) -> None:
    """Choose the `count` components of each row that have the smallest keys, 0 < count < d.

    Args:
        state: (4,) the words of SFC64; they move on.
        count: components chosen in each row.
        chosen: (m, d), written.
        keys: (d,) for the keys of a row.
        counts: (256,) as in `draw_keys`.
        alike: (d,) as in `key_of_rank`.
    """
    for row in range(len(chosen)):
        draw_keys(state, keys, counts)
        first_kept = key_of_rank(count, keys, counts, alike)
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
    alike: Words,
) -> None:
    """Copy `clean` (m, d) to `out` (m, d), the components that `choose` would choose as 0."""
    for row in range(len(clean)):
        draw_keys(state, keys, counts)
        first_kept = key_of_rank(count, keys, counts, alike)
        for k in range(len(keys)):
            out[row, k] = np.float32(0) if keys[k] < first_kept else clean[row, k]
