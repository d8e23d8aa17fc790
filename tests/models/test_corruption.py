"""The corruptions of the papers, to the letter: ICML 2008, section 2.3; JMLR 2010, section 3.3."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tracemalloc
from collections.abc import Callable

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
)

Kind = Callable[[float], Corruption]
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


@pytest.mark.parametrize("corruption", ALL, ids=repr)
def test_every_row_and_every_call_has_a_draw_of_its_own(corruption: Corruption) -> None:
    clean, random = np.full((8, 50), 0.5, dtype=np.float32), generator()
    presented = np.concatenate([corrupted(corruption, clean, random) for _ in range(4)])
    assert len({row.tobytes() for row in presented}) == len(presented)


def test_masks_are_those_that_earlier_results_were_computed_with() -> None:
    assert _digest(Masking) == "49659bccc7e2b831dc9d91bba749d789"
    assert _digest(SaltAndPepper) == "0ddf5c960375326c61a04b234a6cc063"


def _digest(kind: Kind) -> str:
    """Digest of the components changed in full and short minibatches, one after the other."""
    clean, random, digest = grey(20, 784), generator(), hashlib.sha256()
    for destruction in (0.1, 0.25, 0.5):
        for rows in (20, 20, 7):
            out = corrupted(kind(destruction), clean[:rows], random)
            digest.update(np.packbits(out != clean[:rows]).tobytes())
            digest.update(np.packbits(out == 1).tobytes())
    return digest.hexdigest()[:32]


@pytest.mark.parametrize("corruption", [*ALL, *NONE], ids=repr)
def test_padded_rows_are_corrupted_like_rows_in_one_piece(corruption: Corruption) -> None:
    clean = grey(6, 40)
    padded, out = np.full((6, 48), 9, np.float32), np.zeros((6, 64), np.float32)
    padded[:, :40] = clean
    corruption.corrupt(padded[:, :40], generator(), out[:, :40])
    assert out[:, :40].tobytes() == corrupted(corruption, clean, generator()).tobytes()
    assert (out[:, 40:] == 0).all()
    assert (padded[:, 40:] == 9).all()


@pytest.mark.parametrize("kind", [Masking, SaltAndPepper, Gaussian])
def test_a_corruption_that_has_seen_other_shapes_is_as_good_as_new(kind: Kind) -> None:
    corruption = kind(0.3)
    for rows, d in ((8, 50), (3, 50), (8, 20), (8, 50)):
        clean = grey(rows, d)
        out = corrupted(corruption, clean, generator(rows))
        assert out.tobytes() == corrupted(kind(0.3), clean, generator(rows)).tobytes()


@pytest.mark.parametrize("kind", [Masking, SaltAndPepper, Gaussian])
def test_corruptions_of_the_same_kind_and_level_are_equal_even_after_use(kind: Kind) -> None:
    used, new = kind(0.3), kind(0.3)
    corrupted(used, grey(2, 20), generator())
    assert used == new != kind(0.4)
    assert hash(used) == hash(new)
    assert repr(used) == repr(new)


@pytest.mark.parametrize("width", [784, 800])
@pytest.mark.parametrize("corruption", ALL, ids=repr)
def test_corrupting_allocates_nothing_once_warm(corruption: Corruption, width: int) -> None:
    clean, out = (np.full((20, width), 0.5, np.float32)[:, :784] for _ in range(2))
    random, rows = generator(), (20, 7)  # the full minibatch and the short one
    for m in rows:
        corruption.corrupt(clean[:m], random, out[:m])
    tracemalloc.start()
    try:
        corruption.corrupt(clean, random, out)
        tracemalloc.reset_peak()
        start, _ = tracemalloc.get_traced_memory()
        for m in rows:
            corruption.corrupt(clean[:m], random, out[:m])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - start < 2000  # a mask of 7 rows alone would be 5488 bytes


def test_the_module_is_read_without_torch_and_numba() -> None:
    program = "import sys, dae_cli.models.corruption; print({'torch', 'numba'} & {*sys.modules})"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert told.stdout.decode().strip() == "set()"


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


def test_salt_and_pepper_of_other_extremes_falls_where_it_does_of_0_and_1() -> None:
    clean = grey(20, 30)
    usual = corrupted(SaltAndPepper(0.3), clean, generator(2))
    other = corrupted(SaltAndPepper(0.3, pepper=-2.0, salt=3.0), clean, generator(2))
    assert np.array_equal(other == -2, usual == 0)
    assert np.array_equal(other == 3, usual == 1)
    kept = (other != -2) & (other != 3)
    assert np.array_equal(other[kept], clean[kept])


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
