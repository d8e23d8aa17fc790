"""Minibatches: every row once, the short last batch included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dae_cli.data.dataset import Split
from dae_cli.models.corruption import Masking
from dae_cli.training.batches import CHUNK_ROWS, Presenter, batches, chunks_of, own_copy

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


@pytest.mark.parametrize("batch_size", [1, 4, 9, 50])
def test_presented_rows_are_the_chosen_rows_bit_for_bit(batch_size: int) -> None:
    rows = np.random.default_rng(0).random((9, 5), dtype=np.float32)
    presenter = Presenter(rows, batch_size, CPU)
    for chosen in batches(np.random.default_rng(1).permutation(9), batch_size):
        assert presenter.clean(chosen).numpy().tobytes() == rows[chosen].tobytes()


def test_the_clean_copy_stays_clean_beside_the_corrupted_one() -> None:
    rows = np.random.default_rng(0).uniform(0.1, 1, (9, 8)).astype(np.float32)
    before, presenter = rows.copy(), Presenter(rows, 4, CPU)
    random = np.random.default_rng(2)
    for chosen in batches(np.arange(9), 4):
        clean, corrupted = presenter.corrupted(chosen, Masking(0.5), random)
        assert clean.numpy().tobytes() == rows[chosen].tobytes()
        assert (corrupted == 0).sum(1).tolist() == [4] * len(chosen)
        assert torch.equal(corrupted[corrupted != 0], clean[corrupted != 0])
    assert rows.tobytes() == before.tobytes()


def test_chunks_hold_every_row_in_order_with_its_label() -> None:
    n = 2 * CHUNK_ROWS + 13
    pixels = np.random.default_rng(0).integers(0, 256, (n, 3), dtype=np.uint8)
    labels = (np.arange(n) % 251).astype(np.uint8)
    split = Split(pixels, labels, 1 / 255)
    inputs, targets = zip(*chunks_of(split, CPU), strict=True)
    assert [len(chunk) for chunk in inputs] == [CHUNK_ROWS, CHUNK_ROWS, 13]
    assert torch.cat(inputs).numpy().tobytes() == split.as_float().tobytes()
    assert torch.cat(targets).dtype == torch.int64
    assert torch.cat(targets).tolist() == labels.tolist()


def test_a_copy_lies_in_memory_that_torch_has_aligned() -> None:
    buffer = np.arange(101, dtype=np.float32)
    for start in (0, 1):  # one of the two is not even aligned to 8 bytes
        copy = own_copy(buffer[start : start + 100].reshape(10, 10), CPU)
        assert copy.data_ptr() % 64 == 0
        assert copy.flatten().tolist() == buffer[start : start + 100].tolist()
