from __future__ import annotations

import hashlib
from fractions import Fraction

import numpy as np
import pytest

from dae_cli.data.generators.backgrounds import FLOOR, SATURATED, draw_backgrounds, stretched
from dae_cli.data.generators.photographs import read_photographs
from dae_cli.data.generators.words import Words


def test_the_patches_are_the_same_on_every_machine_and_rough_enough() -> None:
    patches = draw_backgrounds(Words(5), 500)
    assert hashlib.sha256(patches.tobytes()).hexdigest()[:16] == "2b3bbe4014e82b6a"
    assert patches.std(axis=1).min() >= FLOOR


def test_their_deviations_are_those_of_the_genuine_backgrounds() -> None:
    deviations = draw_backgrounds(Words(6), 4000).std(axis=1)
    quartiles = np.quantile(deviations, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles, [41, 49.8, 57.5], atol=3)  # of 120 genuine rows


def test_stretching_fills_the_range_but_for_the_saturated_pixels() -> None:
    grey = np.arange(50, 150, dtype=np.uint8).repeat(10).reshape(20, 50)
    full = stretched(grey, Fraction(0))
    assert (full.min(), full.max()) == (0, 255)
    some = stretched(grey, Fraction(1, 100))  # ten pixels at either end
    assert (some == 0).sum() == (some == 255).sum() == 20
    assert (np.diff(full.astype(int).ravel()) >= 0).all()


def test_a_half_is_rounded_up_and_a_flat_photograph_stays_flat() -> None:
    assert stretched(np.array([[0, 1, 2]], dtype=np.uint8), Fraction(0)).tolist() == [[0, 128, 255]]
    flat = np.full((3, 4), 77, dtype=np.uint8)
    assert np.unique(stretched(flat, SATURATED)).tolist() == [0]


@pytest.mark.parametrize("number", range(13))
def test_each_photograph_is_stretched_to_both_ends(number: int) -> None:
    full = stretched(read_photographs()[number], SATURATED)
    assert (full == 0).mean() >= float(SATURATED) / 2
    assert (full == 255).mean() >= float(SATURATED) / 2
