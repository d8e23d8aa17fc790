"""The same training in idiomatic PyTorch, with modules, autograd and an optimizer.

Network, loss, batch size, number of updates and exact number of destroyed components equal ours.
The command `python -m benchmarks.peers STUDY [KEY=VALUE ...]` trains and tests all cells.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dae_cli.config.experiments import resolve_study
from dae_cli.config.schema import Experiment, as_network
from dae_cli.data.cache import load
from dae_cli.data.dataset import Split
from dae_cli.data.sources import DataOptions, prepare
from dae_cli.training.inputs import dataset_for

Batches = Callable[[], Iterable[list[Tensor]]]
"""Yields the minibatches of an epoch: inputs and targets of the model."""
Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


class TiedAutoencoder(nn.Module):
    """Autoencoder with W (hidden, d) and decoder Wᵀ; returns the input of the decoder's sigmoid."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(hidden, inputs))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.visible_bias = nn.Parameter(torch.zeros(inputs))
        nn.init.xavier_uniform_(self.weight)

    def encode(self, rows: Tensor) -> Tensor:
        return torch.sigmoid(F.linear(rows, self.weight, self.hidden_bias))

    def forward(self, rows: Tensor) -> Tensor:
        return F.linear(self.encode(rows), self.weight.t(), self.visible_bias)


def classifier(widths: Iterable[int]) -> nn.Sequential:
    """Sigmoid layers and a linear layer that gives the inputs of the softmax."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.Sigmoid()]
    return nn.Sequential(*layers[:-1])


def in_memory(*tensors: Tensor, batch: int) -> Iterator[list[Tensor]]:
    """Yield minibatches of tensors in memory, indexed by a permutation."""
    order = torch.randperm(len(tensors[0]), device=tensors[0].device)
    for chosen in torch.split(order, batch):
        yield [tensor[chosen] for tensor in tensors]


def corrupted(batches: Batches, count: int) -> Iterator[list[Tensor]]:
    """Yield rows with `count` destroyed components each, and the clean rows.

    `topk` is the fastest idiom for an exact count; `argsort` takes three times as long.
    """
    for (clean,) in batches():
        rows = clean
        if count:
            chosen = torch.rand_like(clean).topk(count, largest=False, sorted=False).indices
            rows = clean.scatter(1, chosen, 0.0)
        yield [rows, clean]


def reconstruction_loss(model: nn.Module, rows: Tensor, clean: Tensor) -> Tensor:
    """Return the cross-entropy, summed over components and averaged over rows."""
    logits = model(rows)
    return F.binary_cross_entropy_with_logits(logits, clean, reduction="sum") / len(clean)


def label_loss(model: nn.Module, rows: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of the labels, averaged over rows."""
    return F.cross_entropy(model(rows), labels)


def train(model: nn.Module, batches: Batches, loss_of: Loss, rate: float) -> Iterator[Tensor]:
    """Train endlessly; yields the cost before each step."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    while True:
        for rows, wanted in batches():
            loss = loss_of(model, rows, wanted)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            yield loss.detach()


def run_cell(experiment: Experiment) -> None:
    """Read the data, pretrain on clean codes layer by layer, fine-tune with validation, test."""
    dataset = dataset_for(
        experiment, load(prepare(experiment.dataset, DataOptions(accept_unverified=True)))
    )
    rows, labels = tensors_of(dataset.train)
    pretraining, tuning = experiment.pretrain, experiment.finetune
    network = classifier((rows.shape[1], *experiment.model.hidden, dataset.n_classes))
    valid, codes = tensors_of(dataset.valid), rows
    for linear in [part for part in network if isinstance(part, nn.Linear)][:-1]:
        layer = TiedAutoencoder(linear.in_features, linear.out_features)
        count = round(experiment.corruption.destruction * linear.in_features)
        clean = partial(in_memory, codes, batch=pretraining.batch_size)
        batches = partial(corrupted, clean, count)
        steps = train(layer, batches, reconstruction_loss, pretraining.learning_rate)
        sum(islice(steps, pretraining.epochs * -(-len(rows) // pretraining.batch_size)))
        with torch.no_grad():
            codes = layer.encode(codes)
            linear.weight.copy_(layer.weight)
            linear.bias.copy_(layer.hidden_bias)
    batches = partial(in_memory, rows, labels, batch=tuning.batch_size)
    steps = train(network, batches, label_loss, tuning.learning_rate)
    for _ in range(tuning.max_epochs):
        sum(islice(steps, -(-len(rows) // tuning.batch_size)))
        count_wrong(network, *valid)
    count_wrong(network, *tensors_of(dataset.test))


def count_wrong(network: nn.Module, rows: Tensor, labels: Tensor) -> int:
    """Return the number of rows that the network misclassifies."""
    with torch.no_grad():
        scores = torch.cat([network(chunk) for chunk in torch.split(rows, 1000)])
    return int((scores.argmax(dim=1) != labels).sum())


def tensors_of(split: Split) -> list[Tensor]:
    """Return greys (n, 784) and labels (n,)."""
    return [torch.from_numpy(split.as_float()), torch.from_numpy(split.labels).long()]


if __name__ == "__main__":
    for cell in resolve_study(sys.argv[1], sys.argv[2:]).cells:
        run_cell(as_network(cell.experiment))
