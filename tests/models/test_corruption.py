"""The corruptions of the papers, to the letter: ICML 2008, section 2.3; JMLR 2010, section 3.3."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dae_cli.models.corruption import (
    Array,
    Corruption,
    Gaussian,
    Masking,
    SaltAndPepper,
    choose_exactly,
)

ALL = [Masking(0.3), SaltAndPepper(0.3), Gaussian(0.3)]
NONE = [Masking(0.0), SaltAndPepper(0.0), Gaussian(0.0), Masking(0.01), SaltAndPepper(0.01)]

destructions = st.floats(0, 1, exclude_max=True)
widths = st.integers(1, 200)
heights = st.integers(1, 12)
seeds = st.integers(0, 2**32 - 1)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def grey(rows: int, components: int, low: float = 0.25, high: float = 0.75) -> Array:
    """Inputs without a zero or a one, each component its own value."""
    return np.random.default_rng(1).uniform(low, high, (rows, components)).astype(np.float32)


def corrupted(corruption: Corruption, clean: Array, random: np.random.Generator) -> Array:
    out = np.full_like(clean, np.nan)
    corruption.corrupt(clean, random, out)
    return out


@given(destructions, widths, heights, seeds)
@example(0.10, 784, 5, 0)
@example(0.25, 784, 5, 0)
@example(0.50, 784, 5, 0)
@example(0.999, 784, 5, 0)
def test_masking_zeroes_exactly_nu_d_components_of_every_row(
    destruction: float, d: int, m: int, seed: int
) -> None:
    out = corrupted(Masking(destruction), grey(m, d), generator(seed))
    assert (out == 0).sum(axis=1).tolist() == [round(destruction * d)] * m


@pytest.mark.parametrize(("percent", "zeros"), [(0, 0), (10, 78), (25, 196), (50, 392)])
def test_masking_zeroes_the_papers_counts_of_784(percent: int, zeros: int) -> None:
    out = corrupted(Masking(percent / 100), grey(3, 784), generator())
    assert (out == 0).sum(axis=1).tolist() == [zeros] * 3


@given(destructions, widths, heights, seeds)
def test_masking_leaves_the_others_bit_equal_and_rescales_nothing(
    destruction: float, d: int, m: int, seed: int
) -> None:
    clean = grey(m, d)
    out = corrupted(Masking(destruction), clean, generator(seed))
    kept = out != 0
    assert out[kept].tobytes() == clean[kept].tobytes()


def test_masked_components_are_uniform_over_784() -> None:
    rows, d, zeros = 2000, 784, 196
    counts = (corrupted(Masking(0.25), grey(rows, d), generator(7)) == 0).sum(axis=0)
    p = zeros / d
    statistic = ((counts - rows * p) ** 2).sum() / (rows * p * (1 - p)) * (d - 1) / d
    assert 783 - 4 * 39.6 < statistic < 783 + 4 * 39.6  # chi-square, 783 degrees of freedom


def test_every_set_of_masked_components_is_equally_likely() -> None:
    rows = 15_000
    chosen = choose_exactly(2, (rows, 6), generator(3))
    counts = Counter(tuple(np.flatnonzero(row).tolist()) for row in chosen)
    assert len(counts) == 15
    statistic = sum((count - rows / 15) ** 2 for count in counts.values()) / (rows / 15)
    assert 2 < statistic < 36.1  # chi-square, 14 degrees of freedom: 0.0001 and 0.999


def test_the_count_is_exact_even_where_random_keys_collide() -> None:
    same = SimpleNamespace(random_raw=lambda count: np.full(count, 2**63, dtype=np.uint64))
    random = cast(np.random.Generator, SimpleNamespace(bit_generator=same))
    assert choose_exactly(3, (4, 784), random).sum(axis=1).tolist() == [3] * 4


def test_chosen_components_are_the_same_on_every_machine_and_version() -> None:
    chosen = choose_exactly(3, (3, 10), generator(0))
    assert [np.flatnonzero(row).tolist() for row in chosen] == [[1, 3, 9], [0, 2, 6], [1, 2, 5]]


@pytest.mark.parametrize("corruption", ALL, ids=repr)
def test_every_row_and_every_call_has_a_draw_of_its_own(corruption: Corruption) -> None:
    clean, random = np.full((8, 50), 0.5, dtype=np.float32), generator()
    presented = np.concatenate([corrupted(corruption, clean, random) for _ in range(4)])
    assert len({row.tobytes() for row in presented}) == len(presented)


@pytest.mark.parametrize("corruption", [*ALL, *NONE], ids=repr)
def test_the_clean_array_is_not_changed(corruption: Corruption) -> None:
    clean = grey(6, 40)
    before = clean.tobytes()
    clean.flags.writeable = False
    corrupted(corruption, clean, generator())
    assert clean.tobytes() == before


@pytest.mark.parametrize("corruption", ALL, ids=repr)
def test_the_same_stream_gives_the_same_corruption(corruption: Corruption) -> None:
    clean = grey(6, 40)
    first, second, other = (corrupted(corruption, clean, generator(s)) for s in (4, 4, 5))
    assert first.tobytes() == second.tobytes() != other.tobytes()


@pytest.mark.parametrize("corruption", NONE, ids=repr)
def test_no_destruction_copies_the_input_bit_for_bit_and_draws_nothing(
    corruption: Corruption,
) -> None:
    clean, random = grey(6, 40), generator()
    out = corrupted(corruption, clean, random)
    assert out.tobytes() == clean.tobytes()
    assert random.bit_generator.random_raw() == generator().bit_generator.random_raw()


@given(destructions, widths, heights, seeds)
def test_salt_and_pepper_sets_exactly_nu_d_components_and_leaves_the_others(
    destruction: float, d: int, m: int, seed: int
) -> None:
    clean = grey(m, d)
    out = corrupted(SaltAndPepper(destruction), clean, generator(seed))
    extreme = (out == 0) | (out == 1)
    assert extreme.sum(axis=1).tolist() == [round(destruction * d)] * m
    assert out[~extreme].tobytes() == clean[~extreme].tobytes()


def test_salt_and_pepper_tosses_a_fair_coin_for_each_component() -> None:
    out = corrupted(SaltAndPepper(0.5), grey(500, 80), generator(2))
    salt, pepper = (out == 1).sum(axis=1), (out == 0).sum(axis=1)
    assert (salt + pepper == 40).all()
    assert abs(salt.sum() / 20_000 - 0.5) < 4 * 0.5 / 20_000**0.5
    assert 7 < salt.var() < 13  # a coin for each: binomial, 40 / 4; for each row: 400


def test_gaussian_noise_has_mean_0_and_variance_sigma_squared_and_is_normal() -> None:
    clean = grey(500, 80)
    noise = corrupted(Gaussian(0.5), clean, generator(2)) - clean
    n = noise.size
    assert abs(noise.mean()) < 4 * 0.5 / n**0.5
    assert abs(noise.var() / 0.25 - 1) < 4 * (2 / n) ** 0.5
    assert abs((np.abs(noise) < 0.5).mean() - 0.6827) < 4 * (0.6827 * 0.3173 / n) ** 0.5


def test_gaussian_noise_is_independent_in_every_component_and_not_cut_to_0_1() -> None:
    clean = grey(2000, 10)
    out = corrupted(Gaussian(0.5), clean, generator(2))
    between = np.corrcoef((out - clean).T) - np.eye(10)
    assert np.abs(between).max() < 4.5 / 2000**0.5
    assert (out != clean).all()
    assert out.min() < 0 and out.max() > 1
