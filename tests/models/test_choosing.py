"""Exactly so many components of each row, by the definition and compiled: the same ones."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dae_cli.models import choosing
from dae_cli.models.choosing import Scratch, choose, choose_exactly


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def chosen(count: int, shape: tuple[int, int], random: np.random.Generator) -> list[list[int]]:
    """The components chosen in each row."""
    return [np.flatnonzero(row).tolist() for row in choose(count, shape, random, Scratch())]


@pytest.fixture
def no_numba(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without Numba."""
    monkeypatch.setitem(sys.modules, "dae_cli.models.compiled_choice", None)
    choosing._kernels.cache_clear()
    yield
    choosing._kernels.cache_clear()


def test_every_set_of_components_is_equally_likely() -> None:
    rows = 15_000
    counts = Counter(map(tuple, chosen(2, (rows, 6), generator(3))))
    assert len(counts) == 15
    statistic = sum((count - rows / 15) ** 2 for count in counts.values()) / (rows / 15)
    assert 2 < statistic < 36.1  # chi-square, 14 degrees of freedom: 0.0001 and 0.999


def test_the_count_is_exact_even_where_random_keys_collide() -> None:
    same = SimpleNamespace(random_raw=lambda count: np.full(count, 2**63, dtype=np.uint64))
    random = cast(np.random.Generator, SimpleNamespace(bit_generator=same))
    assert choose_exactly(3, (4, 784), random).sum(axis=1).tolist() == [3] * 4


def test_chosen_components_are_the_same_on_every_machine_and_version() -> None:
    assert chosen(3, (3, 10), generator(0)) == [[1, 3, 9], [0, 2, 6], [1, 2, 5]]


@given(st.integers(1, 2000), st.floats(0, 1), st.integers(0, 6), st.integers(0, 2**32 - 1))
@example(784, 0.1, 20, 0)
@example(784, 0.25, 20, 0)
@example(784, 0.5, 20, 0)
@example(1, 1.0, 3, 0)
@example(2, 0.5, 3, 0)
@example(256, 0.5, 3, 0)
@example(257, 0.999, 3, 0)
@example(5000, 0.0002, 3, 0)
def test_compiled_choices_are_those_of_the_definition_and_leave_the_stream_alike(
    d: int, share: float, rows: int, seed: int
) -> None:
    count = round(share * d)
    compiled, defined = generator(seed), generator(seed)
    made = choose(count, (rows, d), compiled, Scratch())
    assert made.dtype == np.bool_
    assert made.tobytes() == choose_exactly(count, (rows, d), defined).tobytes()
    assert compiled.bit_generator.random_raw() == defined.bit_generator.random_raw()


def test_half_a_number_that_the_stream_keeps_is_not_lost() -> None:
    """A draw of 32 bits leaves the other half of 64 for the next one."""
    compiled, defined = generator(), generator()
    for random in (compiled, defined):
        random.random(dtype=np.float32)
    choose(3, (2, 9), compiled, Scratch())
    choose_exactly(3, (2, 9), defined)
    after = [random.random(3, dtype=np.float32).tolist() for random in (compiled, defined)]
    assert after[0] == after[1]


def test_the_array_of_a_choice_is_used_again() -> None:
    scratch, random = Scratch(), generator()
    first = choose(3, (4, 20), random, scratch)
    before = first.copy()
    second = choose(3, (4, 20), random, scratch)
    assert second is first
    assert second.tobytes() != before.tobytes()
    assert choose(3, (2, 20), random, scratch) is not first


def test_other_generators_are_served_by_the_definition() -> None:
    made = choose(3, (4, 20), np.random.default_rng(5), Scratch())
    assert made.tobytes() == choose_exactly(3, (4, 20), np.random.default_rng(5)).tobytes()


@pytest.mark.usefixtures("no_numba")
def test_without_numba_the_definition_chooses_the_same() -> None:
    assert choosing._kernels() == {}
    assert chosen(3, (3, 10), generator(0)) == [[1, 3, 9], [0, 2, 6], [1, 2, 5]]


def test_scratch_keeps_one_array_for_each_name_and_shape() -> None:
    scratch = Scratch()
    first = scratch.array("a", (2, 3), np.float32)
    assert scratch.array("a", (2, 3), np.float32) is first
    assert scratch.array("a", (3, 2), np.float32) is not first
    assert scratch.array("b", (2, 3), np.float32) is not first
    copy = scratch.copy("b", np.eye(3, dtype=np.bool_)[:2], np.float32)
    assert copy.dtype == np.float32
    assert copy.tolist() == [[1, 0, 0], [0, 1, 0]]
