"""Forward passes: classify rows, count errors, encode and decode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dae_cli.data.dataset import Split
from dae_cli.engines.engine import Engine
from dae_cli.models.layers import Encoder
from dae_cli.models.network import Network
from dae_cli.training.inputs import ArrayRows, FloatRows, Inputs, Pixels, host_zeros

AnyRows = Inputs | ArrayRows
CHUNK_ROWS = 1000
"""Number of rows encoded or classified at a time."""


def count_wrong(network: Network, split: Split, engine: Engine) -> int:
    """Return the number of rows of a split that the network misclassifies."""
    return int(wrong_rows(network, split, engine).sum())


def wrong_rows(network: Network, split: Split, engine: Engine) -> NDArray[np.bool_]:
    """Return, for each row of a split, whether the network misclassifies it."""
    predicted = predict_rows(network, Pixels(split, CHUNK_ROWS), engine)
    wrong: NDArray[np.bool_] = predicted != split.labels
    return wrong


def predict_rows(network: Network, rows: AnyRows, engine: Engine) -> NDArray[np.integer[Any]]:
    """Return the predicted class of each row, counted from 0."""
    predicted = np.empty(len(rows), dtype=np.intp)
    for part, scores in _scored(network, rows, engine):
        predicted[part] = scores.argmax(dim=1).cpu().numpy()
    return predicted


def score_rows(network: Network, rows: AnyRows, engine: Engine) -> NDArray[np.float32]:
    """Return the inputs of the softmax for each row, (n, classes)."""
    scores = np.empty((len(rows), len(network.top.bias)), dtype=np.float32)
    for part, some in _scored(network, rows, engine):
        scores[part] = some.cpu().numpy()
    return scores


def _scored(network: Network, rows: AnyRows, engine: Engine) -> Iterator[tuple[slice, Tensor]]:
    engine.prepare(network)
    for part, inputs in _chunks(rows, engine):
        yield part, engine.scores(network, inputs)


def through_layers(
    rows: AnyRows,
    layers: Sequence[Encoder],
    engine: Engine,
    out: NDArray[np.float32],
    *,
    and_back: bool = False,
) -> None:
    """Encode all rows, without corruption, with `layers`, the lowest first.

    Args:
        out: (rows, units of the last layer), or (rows, d) with `and_back`.
        and_back: decode the codes back to the inputs.
    """
    codes = []
    for layer in layers:
        engine.prepare(layer)
        codes.append(engine.zeros(min(CHUNK_ROWS, len(rows)), len(layer.hidden_bias)))
    for part, values in _chunks(rows, engine):
        for layer, memory in zip(layers, codes, strict=True):
            values = engine.encode(layer, values, memory[: len(values)])
        for layer in reversed(layers) if and_back else ():
            values = layer.decode(values)
        out[part] = values.cpu().numpy()


def encode_rows(rows: Inputs, layer: Encoder, engine: Engine) -> FloatRows:
    """Encode all rows without corruption."""
    codes = host_zeros(engine, len(rows), len(layer.hidden_bias))
    through_layers(rows, [layer], engine, codes.numpy())
    return FloatRows(codes)


def _chunks(rows: AnyRows, engine: Engine) -> Iterator[tuple[slice, Tensor]]:
    """Yield a slice and its rows; the engine's memory for them is reused."""
    memory = engine.zeros(min(CHUNK_ROWS, len(rows)), rows.width)
    for start in range(0, len(rows), CHUNK_ROWS):
        stop = min(start + CHUNK_ROWS, len(rows))
        yield slice(start, stop), memory[: stop - start].copy_(rows.chunk(start, stop))
