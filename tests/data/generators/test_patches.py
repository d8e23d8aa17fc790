from __future__ import annotations

import numpy as np

from dae_cli.data.generators.patches import Patches, is_textured
from dae_cli.data.generators.photographs import read_photographs
from dae_cli.data.generators.words import Words

FLOOR = 6


def test_no_patch_is_smoother_than_the_floor() -> None:
    patches = Patches(Words(3), read_photographs(), 30).draw(300)
    assert 30 <= patches.std(axis=1).min() < 33


def test_a_flat_patch_is_left_out_by_its_exact_standard_deviation() -> None:
    flat = np.full((1, 784), 100, dtype=np.uint8)
    alternating = flat.copy()
    alternating[0, ::2] += 2 * FLOOR  # a standard deviation of exactly the floor
    assert is_textured(np.concatenate([flat, alternating]), FLOOR).tolist() == [False, True]
    assert is_textured(alternating, FLOOR + 1).tolist() == [False]
