"""Counting the rows that a network gets wrong: every row, once."""

from __future__ import annotations

import torch

from dae_cli.data.dataset import Split
from dae_cli.models.network import Network
from dae_cli.training.batches import chunks_of


def count_wrong(network: Network, split: Split, device: torch.device) -> int:
    """Return how many rows of a split the network classifies wrongly."""
    wrong = 0
    for inputs, labels in chunks_of(split, device):
        wrong += int((network.scores(inputs).argmax(dim=1) != labels).sum())
    return wrong
