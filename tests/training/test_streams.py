"""Random streams are named by purpose and position, and by nothing drawn before."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dae_cli.training.streams import Purpose, shuffled, stream


def raw(seed: int, purpose: Purpose, *position: int) -> tuple[int, ...]:
    return tuple(stream(seed, purpose, *position).bit_generator.random_raw(4).tolist())


def test_a_stream_gives_these_numbers_on_every_machine_and_version() -> None:
    assert raw(0, Purpose.CORRUPTION, 1, 2) == (
        4567353389064756145,
        17920964593334632391,
        3980112082519100965,
        15222482303531979035,
    )
    order = shuffled(10, stream(0, Purpose.PRETRAIN_ORDER, 1, 2))
    assert order.tolist() == [4, 1, 2, 9, 3, 8, 6, 5, 7, 0]


def test_the_numbers_of_the_purposes_are_part_of_the_numerics() -> None:
    assert {p.name: int(p) for p in Purpose} == {
        "WEIGHTS": 1,
        "PRETRAIN_ORDER": 2,
        "CORRUPTION": 3,
        "FINETUNE_ORDER": 4,
        "GIBBS": 5,
        "PATCHES": 6,
    }


def test_streams_differ_by_seed_purpose_layer_and_epoch() -> None:
    places = list(product(range(3), Purpose, range(3), range(5)))
    assert len({raw(*place) for place in places}) == len(places)


def test_streams_at_the_ends_of_the_range_of_seeds_differ_too() -> None:
    seeds = [0, 1, 2**31, 2**32 - 1]
    assert len({raw(seed, Purpose.WEIGHTS, 0) for seed in seeds}) == len(seeds)


def test_a_stream_does_not_depend_on_what_was_drawn_before() -> None:
    first = raw(7, Purpose.CORRUPTION, 0, 3)
    stream(7, Purpose.CORRUPTION, 0, 2).standard_normal(100)
    np.random.default_rng().random(3)
    assert raw(7, Purpose.CORRUPTION, 0, 3) == first


@given(st.integers(0, 300), st.integers(0, 2**32 - 1))
def test_shuffled_is_a_permutation(count: int, seed: int) -> None:
    order = shuffled(count, stream(seed, Purpose.FINETUNE_ORDER, 0))
    assert sorted(order.tolist()) == list(range(count))


def test_every_order_is_equally_likely() -> None:
    draws = 6000
    counts = Counter(
        tuple(shuffled(3, stream(0, Purpose.FINETUNE_ORDER, k)).tolist()) for k in range(draws)
    )
    assert len(counts) == 6
    statistic = sum((count - draws / 6) ** 2 for count in counts.values()) / (draws / 6)
    assert statistic < 20.5  # chi-square, 5 degrees of freedom: .999
