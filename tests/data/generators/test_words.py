from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from dae_cli.data.generators.words import Words


def test_the_same_seed_gives_the_same_numbers_on_every_machine() -> None:
    words = Words(1)
    assert words.below(1000, 6).tolist() == [511, 950, 144, 948, 311, 423]
    assert words.geometric(Fraction(1, 5), 6).tolist() == [8, 3, 4, 1, 7, 4]
    across, down = words.directions(3)
    assert across.tolist() == [-698, -1499, -1215]
    assert down.tolist() == [1182, -397, -974]


def test_numbers_below_a_bound_are_uniform() -> None:
    counts = np.bincount(Words(3).below(7, 70_000), minlength=7)
    assert len(counts) == 7
    assert np.abs(counts - 10_000).max() < 400


def test_each_number_may_have_its_own_bound() -> None:
    bounds = np.array([1, 2, 500] * 1000)
    numbers = Words(4).below(bounds, 3000)
    assert (numbers < bounds).all()
    assert numbers[0::3].max() == 0
    assert numbers[2::3].max() > 400


@pytest.mark.parametrize("success", [Fraction(195, 1000), Fraction(7, 100)])
def test_geometric_numbers_start_at_1_and_have_the_mean_of_their_law(success: Fraction) -> None:
    numbers = Words(5).geometric(success, 100_000)
    assert numbers.min() == 1
    assert numbers.mean() == pytest.approx(1 / float(success), rel=0.02)
    assert (numbers == 1).mean() == pytest.approx(float(success), abs=0.005)


def test_directions_are_uniform_over_the_circle() -> None:
    across, down = Words(6).directions(40_000)
    assert len(across) == 40_000
    eighths = np.floor(np.arctan2(down, across) / (np.pi / 4)).astype(int) % 8
    assert np.abs(np.bincount(eighths, minlength=8) - 5000).max() < 300
    assert np.hypot(across, down).min() >= 1024
