"""Corruptions as the papers define them: ICML 2008, section 2.3; JMLR 2010, section 3.3."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.entry_points.equations import (
    CORRUPTIONS,
    Gaussian,
    Masking,
    SaltAndPepper,
    corrupt,
    corrupt_into,
)

Rows = NDArray[np.float32]

ALL = [kind(0.3) for kind in CORRUPTIONS]
NONE = [*(kind(0.0) for kind in CORRUPTIONS), Masking(0.01), SaltAndPepper(0.01)]
"""Corruptions that leave 40 components unchanged; for the last two, round(0.4) is 0."""

destructions = st.floats(0, 1, exclude_max=True)
widths = st.integers(1, 200)
heights = st.integers(1, 12)
seeds = st.integers(0, 2**32 - 1)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def grey(rows: int, components: int) -> Rows:
    """Inputs with distinct values strictly between 0 and 1."""
    return np.random.default_rng(1).uniform(0.25, 0.75, (rows, components)).astype(np.float32)


def smallest_keys(count: int, shape: tuple[int, int], random: np.random.Generator) -> Any:
    """Choose the `count` components of each row with the smallest random keys.

    The low bits of a key are the component's index, so all keys of a row differ.
    """
    rows, d = shape
    bits = (d - 1).bit_length()
    if not 0 < count < d:
        return np.full(shape, count != 0)
    keys = random.bit_generator.random_raw(rows * d).reshape(shape) >> bits << bits
    order = np.argsort(keys | np.arange(d, dtype=np.uint64), axis=1)
    chosen = np.zeros(shape, np.bool_)
    np.put_along_axis(chosen, order[:, :count], True, axis=1)
    return chosen


@given(destructions, widths, heights, seeds)
@example(0.999, 784, 5, 0)
def test_masking_sets_exactly_round_nu_d_components_to_zero_and_rescales_nothing(
    nu: float, d: int, m: int, seed: int
) -> None:
    clean = grey(m, d)
    out = corrupt(Masking(nu), clean, generator(seed))
    assert (out == 0).sum(axis=1).tolist() == [round(nu * d)] * m
    intact = out != 0
    assert out[intact].tobytes() == clean[intact].tobytes()


def test_masking_zeroes_the_papers_counts_of_784() -> None:
    for percent, zeros in ((0, 0), (10, 78), (25, 196), (50, 392)):
        out = corrupt(Masking(percent / 100), grey(3, 784), generator())
        assert (out == 0).sum(axis=1).tolist() == [zeros] * 3


def test_every_set_of_components_is_equally_likely() -> None:
    rows = 15_000
    out = corrupt(Masking(1 / 3), grey(rows, 6), generator(3))
    counts = Counter(tuple(np.flatnonzero(row == 0).tolist()) for row in out)
    assert len(counts) == 15
    statistic = sum((count - rows / 15) ** 2 for count in counts.values()) / (rows / 15)
    assert 2 < statistic < 36.1  # chi-square with 14 degrees of freedom: 0.0001 and 0.999 quantiles


@given(st.integers(1, 2000), st.floats(0, 1), st.integers(1, 6), seeds)
@example(784, 0.25, 20, 0)
@example(1, 1.0, 3, 0)
@example(256, 0.5, 3, 0)
@example(257, 0.999, 3, 0)
@example(5000, 0.0002, 3, 0)
def test_compiled_drawing_of_masks_is_the_plain_drawing_and_leaves_the_stream_alike(
    d: int, nu: float, m: int, seed: int
) -> None:
    for kind in (Masking, SaltAndPepper):
        for make in (generator, np.random.default_rng):  # with and without compiled kernels
            drawn, plain = make(seed), make(seed)
            clean = grey(m, d)
            out = corrupt(kind(nu), clean, drawn)
            chosen = smallest_keys(round(nu * d), (m, d), plain)
            assert (out != clean).tolist() == chosen.tolist()
            if kind is SaltAndPepper:
                coins = plain.random(round(nu * d) * m) >= 0.5
                assert (out[chosen] == 1).tolist() == coins.tolist()
            assert drawn.bit_generator.random_raw() == plain.bit_generator.random_raw()


def test_gaussian_noise_is_normal_of_deviation_sigma_in_every_component_and_not_cut_to_0_1() -> (
    None
):
    clean = grey(500, 80)
    out = corrupt(Gaussian(0.5), clean, generator(2))
    drawn = generator(2).standard_normal((500, 80), dtype=np.float32)
    np.testing.assert_allclose(out - clean, 0.5 * drawn, atol=1e-6)
    assert out.min() < 0 and out.max() > 1


def test_no_destruction_copies_the_input_bit_for_bit_and_draws_nothing() -> None:
    for corruption in NONE:
        clean, random = grey(6, 40), generator()
        assert corrupt(corruption, clean, random).tobytes() == clean.tobytes()
        assert random.bit_generator.random_raw() == generator().bit_generator.random_raw()


def test_padded_rows_are_corrupted_like_rows_in_one_piece_and_the_clean_ones_do_not_change() -> (
    None
):
    clean = grey(6, 40)
    for corruption in (*ALL, *NONE):
        padded, out = np.full((6, 48), 9, np.float32), np.zeros((6, 64), np.float32)
        padded[:, :40] = clean
        padded.flags.writeable = False
        corrupt_into(out[:, :40], corruption, padded[:, :40], generator())
        assert out[:, :40].tobytes() == corrupt(corruption, clean, generator()).tobytes()
        assert (out[:, 40:] == 0).all()
    assert clean.tobytes() == grey(6, 40).tobytes()
