"""Without gradients: counting the rows that a network gets wrong, and encoding rows."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from dae_cli.data.dataset import Split
from dae_cli.engines.engine import Engine
from dae_cli.models.encoder import Encoder
from dae_cli.models.network import Network
from dae_cli.training.batches import Memory
from dae_cli.training.inputs import CHUNK_ROWS, Codes, Inputs, Pixels


def count_wrong(network: Network, split: Split, engine: Engine) -> int:
    """Return how many rows of a split the network classifies wrongly: every row, once."""
    return int(wrong_rows(network, split, engine).sum())


def wrong_rows(network: Network, split: Split, engine: Engine) -> NDArray[np.bool_]:
    """Return, for each row of a split in its order, whether the network classifies it wrongly."""
    rows = Pixels(split, CHUNK_ROWS)
    wrong = np.empty(len(rows), dtype=np.bool_)
    labels = torch.tensor(split.labels, dtype=torch.int64, device=engine.device)
    memory = Memory(lambda m: network.minibatch(m, engine.operations))
    for start in range(0, len(rows), CHUNK_ROWS):
        stop = min(start + CHUNK_ROWS, len(rows))
        batch = memory.of(stop - start)
        batch.inputs.copy_(rows.chunk(start, stop))
        scores = network.forward(batch, engine.operations)
        wrong[start:stop] = (scores.argmax(dim=1) != labels[start:stop]).cpu().numpy()
    return wrong


def encode_rows(rows: Inputs, autoencoder: Encoder, engine: Engine) -> Codes:
    """Encode all rows, uncorrupted."""
    like = torch.zeros(0, dtype=autoencoder.weight.dtype)
    codes = engine.operations.zeros(len(rows), len(autoencoder.hidden_bias), like)
    for start in range(0, len(rows), CHUNK_ROWS):
        stop = min(start + CHUNK_ROWS, len(rows))
        chunk = rows.chunk(start, stop)
        if engine.device.type == "cpu":
            autoencoder.encode(chunk, codes[start:stop], engine.operations)
        else:
            there = chunk.to(engine.device)
            out = torch.empty(stop - start, codes.shape[1], device=engine.device)
            codes[start:stop] = autoencoder.encode(there, out, engine.operations)
    return Codes(codes)
