"""Minibatches: every row once, the short last batch included; memory that is used again."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from dae_cli.training.batches import Memory, Stage, Total, batches

CPU = torch.device("cpu")


@given(st.integers(0, 100), st.integers(1, 120))
def test_minibatches_hold_every_row_once_and_only_the_last_is_short(
    rows: int, batch_size: int
) -> None:
    order = np.random.default_rng(0).permutation(rows)
    cut = list(batches(order, batch_size))
    assert [row for batch in cut for row in batch] == order.tolist()
    assert all(len(batch) == batch_size for batch in cut[:-1])
    assert all(0 < len(batch) <= batch_size for batch in cut)


def test_there_is_one_memory_for_each_number_of_rows() -> None:
    made: list[int] = []

    def make(rows: int) -> list[int]:
        made.append(rows)
        return [rows]

    memory = Memory(make)
    full, short = memory.of(20), memory.of(7)
    assert memory.of(20) is full and memory.of(7) is short
    assert (full, short, made) == ([20], [7], [20, 7])


def test_what_is_staged_is_written_into_the_tensor_itself() -> None:
    whole = torch.zeros(3, 16)
    stage = Stage(whole[:, :5])
    stage.rows[:] = 2.0
    stage.send()
    assert whole[:, :5].eq(2).all() and whole[:, 5:].eq(0).all()


def test_on_another_device_rows_are_staged_here() -> None:
    tensor = torch.zeros(3, 5, device="meta")  # a device that holds nothing
    stage = Stage(tensor)
    assert stage.rows.shape == (3, 5) and stage.rows.dtype == np.float32
    stage.send()


def test_costs_are_summed_in_double_precision_from_where_the_sum_was_left() -> None:
    total, small = Total(CPU), torch.tensor(0.5)
    total.add(torch.tensor(2.0**25))
    for _ in range(8):
        total.add(small)  # each would be lost in single precision
    small.zero_()
    assert total.value() == 2.0**25 + 4
    total.start()
    assert total.value() == 0
    total.start(2.5)
    total.add(torch.tensor(3.0))
    assert total.value() == 5.5
