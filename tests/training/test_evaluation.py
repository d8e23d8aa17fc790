"""Counting errors: every row once, the last chunk included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dae_cli.data.dataset import Split
from dae_cli.models.network import Layer, Network
from dae_cli.training.batches import CHUNK_ROWS
from dae_cli.training.evaluation import count_wrong

CPU = torch.device("cpu")


def network() -> Network:
    g = torch.Generator().manual_seed(0)
    hidden = Layer(torch.randn(6, 12, generator=g), torch.randn(6, generator=g))
    return Network([hidden], Layer(torch.randn(4, 6, generator=g), torch.randn(4, generator=g)))


def split(rows: int) -> Split:
    random = np.random.default_rng(rows)
    pixels = random.integers(0, 256, (rows, 12), dtype=np.uint8)
    return Split(pixels, random.integers(0, 4, rows).astype(np.uint8), 1 / 256)


def predicted(rows: Split) -> NDArray[np.int64]:
    net = network()
    h = rows.pixels.astype(np.float64) / 256
    for layer in net.layers:
        h = 1 / (1 + np.exp(-(layer.bias.double().numpy() + h @ layer.weight.double().numpy().T)))
    scores = net.top.bias.double().numpy() + h @ net.top.weight.double().numpy().T
    return np.asarray(scores.argmax(axis=1), dtype=np.int64)


@pytest.mark.parametrize("rows", [1, 13, CHUNK_ROWS, CHUNK_ROWS + 1, 2 * CHUNK_ROWS + 13])
def test_all_rows_are_counted_once_also_where_the_last_chunk_is_short(rows: int) -> None:
    data = split(rows)
    expected = int((predicted(data) != data.labels).sum())
    assert count_wrong(network(), data, CPU) == expected


def test_every_row_counts_the_first_and_the_last_too() -> None:
    rows = CHUNK_ROWS + 7
    data = split(rows)
    right = Split(data.pixels, predicted(data).astype(np.uint8), data.scale)
    assert count_wrong(network(), right, CPU) == 0
    for row in (0, CHUNK_ROWS - 1, CHUNK_ROWS, rows - 1):
        labels = right.labels.copy()
        labels[row] = (labels[row] + 1) % 4
        assert count_wrong(network(), Split(data.pixels, labels, data.scale), CPU) == 1
    opposite = Split(data.pixels, (right.labels + 1) % 4, data.scale)
    assert count_wrong(network(), opposite, CPU) == rows


def test_counting_changes_no_parameter() -> None:
    net = network()
    count_wrong(net, split(40), CPU)
    for layer, untouched in zip(net, network(), strict=True):
        assert torch.equal(layer.weight, untouched.weight)
        assert torch.equal(layer.bias, untouched.bias)
