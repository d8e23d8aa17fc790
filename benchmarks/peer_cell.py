"""A whole cell of the table in plain PyTorch: pretraining, fine-tuning with validation, test."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.peers import (
    TiedAutoencoder,
    by_selection,
    classifier,
    finetune_in_memory,
    pretrain_in_memory,
)
from dae_cli.config.schema import Experiment
from dae_cli.data.dataset import Dataset, Split
from dae_cli.data.provide import load, prepare

CHUNK_ROWS = 1000


def run_cell(experiment: Experiment) -> float:
    """Read the data, train and test; return the seconds."""
    prepared = prepare(experiment.dataset)
    started = perf_counter()
    dataset, subset = load(prepared), experiment.subset
    sizes = (subset.train, subset.valid, subset.test) if subset else (None, None, None)
    splits = (dataset.train, dataset.valid, dataset.test)
    train, valid, test = (
        split.take(size) if size else split for split, size in zip(splits, sizes, strict=True)
    )
    model = finetuned(experiment, pretrained(experiment, _rows(train)), train, valid, dataset)
    count_wrong(model, _rows(test), _labels(test))
    return perf_counter() - started


def pretrained(experiment: Experiment, rows: Tensor) -> list[TiedAutoencoder]:
    """Train one layer after the other, each on the clean codes below it."""
    settings, layers = experiment.pretrain, []
    for units in experiment.model.hidden:
        layer = TiedAutoencoder(rows.shape[1], units)
        count = round(experiment.corruption.destruction * rows.shape[1])
        rate, batch = settings.learning_rate, settings.batch_size
        steps = pretrain_in_memory(layer, rows, batch, rate, by_selection, count)
        for _ in range(settings.epochs * -(-len(rows) // batch)):
            next(steps)
        with torch.no_grad():
            rows = torch.cat([layer.encode(chunk) for chunk in torch.split(rows, CHUNK_ROWS)])
        layers.append(layer)
    return layers


def finetuned(
    experiment: Experiment,
    layers: list[TiedAutoencoder],
    train: Split,
    valid: Split,
    dataset: Dataset,
) -> nn.Module:
    """Train the whole network by the labels, counting validation errors after each epoch."""
    settings, rows = experiment.finetune, _rows(train)
    model = classifier(rows.shape[1], experiment.model.hidden, dataset.n_classes)
    with torch.no_grad():
        for layer, linear in zip(layers, list(model)[::2], strict=False):
            assert isinstance(linear, nn.Linear)
            linear.weight.copy_(layer.weight)
            linear.bias.copy_(layer.hidden_bias)
    batch, rate = settings.batch_size, settings.learning_rate
    steps = finetune_in_memory(model, rows, _labels(train), batch, rate)
    for _ in range(settings.max_epochs):
        for _ in range(-(-len(rows) // batch)):
            next(steps)
        count_wrong(model, _rows(valid), _labels(valid))
    return model


def count_wrong(model: nn.Module, rows: Tensor, labels: Tensor) -> int:
    """Return how many rows the model classifies wrongly."""
    wrong = 0
    with torch.no_grad():
        for some, right in zip(
            torch.split(rows, CHUNK_ROWS), torch.split(labels, CHUNK_ROWS), strict=True
        ):
            wrong += int((model(some).argmax(dim=1) != right).sum())
    return wrong


def _rows(split: Split) -> Tensor:
    return torch.from_numpy(split.as_float())


def _labels(split: Split) -> Tensor:
    return torch.from_numpy(split.labels.astype(np.int64))
