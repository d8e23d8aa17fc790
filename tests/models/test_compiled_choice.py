"""Compiled selection among keys that chance hardly ever draws."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dae_cli.models.compiled_choice import draw_keys, key_of_rank

KEYS = {
    "the same highest byte": np.arange(300, dtype=np.uint64) + np.uint64(7 << 56),
    "descending": np.arange(300, 0, -1, dtype=np.uint64) << np.uint64(50),
    "the smallest and the largest": np.array([2**64 - 1, 0, 2**63, 2**63 - 1], dtype=np.uint64),
    "one": np.array([2**64 - 1], dtype=np.uint64),
}


def counted(keys: NDArray[np.uint64]) -> NDArray[np.int32]:
    highest = (keys >> np.uint64(56)).astype(np.intp)
    return np.bincount(highest, minlength=256).astype(np.int32)


@pytest.mark.parametrize("kind", KEYS)
def test_the_key_of_a_rank_is_the_one_that_sorting_finds(kind: str) -> None:
    keys = KEYS[kind]
    alike, counts = np.zeros_like(keys), counted(keys)
    found = [key_of_rank(rank, keys, counts, alike) for rank in range(len(keys))]
    assert found == np.sort(keys).tolist()


@pytest.mark.parametrize("d", [1, 2, 3, 256, 257, 784])
def test_keys_are_the_stream_with_the_index_in_the_low_bits(d: int) -> None:
    source = np.random.SFC64(9)
    state = source.state["state"]["state"]
    keys, counts = np.zeros(d, np.uint64), np.full(256, 9, np.int32)
    draw_keys(state, keys, counts)
    bits = (d - 1).bit_length()
    raw = source.random_raw(d)
    assert keys.tolist() == [(int(n) >> bits << bits) | k for k, n in enumerate(raw)]
    assert counts.tolist() == counted(keys).tolist()
    assert state.tolist() == source.state["state"]["state"].tolist()
