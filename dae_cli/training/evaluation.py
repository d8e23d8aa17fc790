"""Without gradients: counting the rows that a network gets wrong, and encoding rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dae_cli.data.dataset import Split
from dae_cli.engines.engine import Engine
from dae_cli.models.layers import Encoder
from dae_cli.models.network import Network
from dae_cli.training.inputs import FloatRows, Inputs, Pixels, host_zeros

CHUNK_ROWS = 1000
"""Rows encoded or classified at a time."""


def count_wrong(network: Network, split: Split, engine: Engine) -> int:
    """Return how many rows of a split the network classifies wrongly: every row, once."""
    return int(wrong_rows(network, split, engine).sum())


def wrong_rows(network: Network, split: Split, engine: Engine) -> NDArray[np.bool_]:
    """Return, for each row of a split in its order, whether the network classifies it wrongly."""
    engine.prepare(network)
    wrong = np.empty(len(split), dtype=np.bool_)
    for part, inputs in _chunks(Pixels(split, CHUNK_ROWS), engine):
        predicted = engine.scores(network, inputs).argmax(dim=1).cpu().numpy()
        wrong[part] = predicted != split.labels[part]
    return wrong


def encode_rows(rows: Inputs, layer: Encoder, engine: Engine) -> FloatRows:
    """Encode all rows, uncorrupted."""
    engine.prepare(layer)
    hidden = len(layer.hidden_bias)
    codes = host_zeros(engine, len(rows), hidden)
    out = engine.zeros(min(CHUNK_ROWS, len(rows)), hidden)
    for part, inputs in _chunks(rows, engine):
        codes[part] = engine.encode(layer, inputs, out[: len(inputs)])
    return FloatRows(codes)


def _chunks(rows: Inputs, engine: Engine) -> Iterator[tuple[slice, Tensor]]:
    """Yield which rows come next, and these in the engine's memory, used again."""
    memory = engine.zeros(min(CHUNK_ROWS, len(rows)), rows.width)
    for start in range(0, len(rows), CHUNK_ROWS):
        stop = min(start + CHUNK_ROWS, len(rows))
        yield slice(start, stop), memory[: stop - start].copy_(rows.chunk(start, stop))
