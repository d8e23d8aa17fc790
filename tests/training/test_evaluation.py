"""Counting errors and encoding: every row once, the last chunk included."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dae_cli.data.dataset import Split
from dae_cli.engines.engine import Engine
from dae_cli.models.autoencoder import Autoencoder
from dae_cli.models.network import LabelledMinibatch, Layer, Network
from dae_cli.models.operations import Operations
from dae_cli.training.evaluation import count_wrong, encode_rows, wrong_rows
from dae_cli.training.inputs import CHUNK_ROWS, Pixels


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
def test_all_rows_are_counted_once_also_where_the_last_chunk_is_short(
    rows: int, engine: Engine
) -> None:
    data = split(rows)
    expected = int((predicted(data) != data.labels).sum())
    assert count_wrong(network(), data, engine) == expected


def test_every_row_counts_the_first_and_the_last_too(reference: Engine) -> None:
    rows = CHUNK_ROWS + 7
    data = split(rows)
    right = Split(data.pixels, predicted(data).astype(np.uint8), data.scale)
    assert count_wrong(network(), right, reference) == 0
    for row in (0, CHUNK_ROWS - 1, CHUNK_ROWS, rows - 1):
        labels = right.labels.copy()
        labels[row] = (labels[row] + 1) % 4
        assert count_wrong(network(), Split(data.pixels, labels, data.scale), reference) == 1
    opposite = Split(data.pixels, (right.labels + 1) % 4, data.scale)
    assert count_wrong(network(), opposite, reference) == rows


def test_counting_changes_no_parameter(engine: Engine) -> None:
    net = network()
    count_wrong(net, split(40), engine)
    for layer, untouched in zip(net, network(), strict=True):
        assert torch.equal(layer.weight, untouched.weight)
        assert torch.equal(layer.bias, untouched.bias)


def test_chunks_hold_every_row_in_order_with_its_label(
    monkeypatch: pytest.MonkeyPatch, reference: Engine
) -> None:
    data = split(2 * CHUNK_ROWS + 13)
    chunks: list[torch.Tensor] = []

    def all_right(self: Network, batch: LabelledMinibatch, operations: Operations) -> torch.Tensor:
        start = sum(len(chunk) for chunk in chunks)
        chunks.append(batch.inputs.clone())
        return torch.eye(4)[data.labels[start : start + batch.rows].tolist()]

    monkeypatch.setattr(Network, "forward", all_right)
    assert count_wrong(network(), data, reference) == 0
    assert [len(chunk) for chunk in chunks] == [CHUNK_ROWS, CHUNK_ROWS, 13]
    assert torch.cat(chunks).numpy().tobytes() == data.as_float().tobytes()


def test_rows_are_encoded_each_once_also_where_the_last_chunk_is_short(engine: Engine) -> None:
    g = torch.Generator().manual_seed(0)
    model = Autoencoder(
        torch.randn(4, 12, generator=g), torch.randn(4, generator=g), torch.zeros(12)
    )
    data = split(CHUNK_ROWS + 13)
    codes = encode_rows(Pixels(data, 10), model, engine)
    rows = torch.from_numpy(data.as_float()).double()
    expected = torch.sigmoid(model.hidden_bias.double() + rows @ model.weight.double().T)
    assert codes.values.dtype == torch.float32
    torch.testing.assert_close(codes.values.double(), expected, rtol=1e-5, atol=1e-6)
    again = encode_rows(codes, Autoencoder(torch.eye(4), torch.zeros(4), torch.zeros(4)), engine)
    torch.testing.assert_close(again.values, torch.sigmoid(codes.values))


def test_rows_that_must_not_be_written_to_are_counted_and_encoded(reference: Engine) -> None:
    data = split(40)
    expected = count_wrong(network(), data, reference)
    for array in (data.pixels, data.labels):
        array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.set_warn_always(True)
        try:
            assert count_wrong(network(), data, reference) == expected
            assert Pixels(data, 10).chunk(0, 40).numpy().tobytes() == data.as_float().tobytes()
        finally:
            torch.set_warn_always(False)


def test_the_wrong_rows_are_those_whose_label_is_not_predicted(engine: Engine) -> None:
    rows = 2 * CHUNK_ROWS + 3
    data = split(rows)
    wrong = wrong_rows(network(), data, engine)
    assert wrong.dtype == np.bool_
    assert (wrong == (predicted(data) != data.labels)).all()
    assert int(wrong.sum()) == count_wrong(network(), data, engine)
