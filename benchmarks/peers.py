"""The same training in plain PyTorch, as its users write it: modules, autograd, an optimizer.

Network, loss, batch, number of updates and the exact count of destroyed components are ours.
Each training is an endless iterator that takes one step at a time, epoch after epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

Mask = Callable[[Tensor, int], Tensor]
"""Returns a copy of rows (m, d) with so many components of each set to 0."""
Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""Cost of a model on a minibatch and what it is to give."""


class TiedAutoencoder(nn.Module):
    """W (hidden, d) encodes, Wᵀ decodes; gives what enters the decoder's sigmoid."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(hidden, inputs))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.visible_bias = nn.Parameter(torch.zeros(inputs))
        nn.init.xavier_uniform_(self.weight)

    def encode(self, rows: Tensor) -> Tensor:
        """Map rows (m, d) to codes (m, hidden)."""
        return torch.sigmoid(F.linear(rows, self.weight, self.hidden_bias))

    def forward(self, rows: Tensor) -> Tensor:
        """Map rows (m, d) to logits of their reconstruction (m, d)."""
        return F.linear(self.encode(rows), self.weight.t(), self.visible_bias)


def classifier(inputs: int, hidden: tuple[int, ...], classes: int) -> nn.Sequential:
    """Sigmoid layers under a linear one, whose outputs enter the softmax."""
    layers: list[nn.Module] = []
    for below, units in zip((inputs, *hidden), hidden, strict=False):
        layers += [nn.Linear(below, units), nn.Sigmoid()]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], classes))


def by_sorting(clean: Tensor, count: int) -> Tensor:
    """Destroy `count` components of each row: the first of a random order, as in MAE."""
    chosen = torch.rand_like(clean).argsort(dim=1)[:, :count]
    return clean.scatter(1, chosen, 0.0)


def by_selection(clean: Tensor, count: int) -> Tensor:
    """Destroy `count` components of each row: those of the smallest random numbers."""
    chosen = torch.rand_like(clean).topk(count, dim=1, largest=False, sorted=False).indices
    return clean.scatter(1, chosen, 0.0)


MASKS: dict[str, Mask] = {"argsort and scatter": by_sorting, "topk and scatter": by_selection}


def reconstruction_loss(model: nn.Module, corrupted: Tensor, clean: Tensor) -> Tensor:
    """Cross-entropy summed over the components, averaged over the rows."""
    logits = model(corrupted)
    return F.binary_cross_entropy_with_logits(logits, clean, reduction="sum") / len(clean)


def label_loss(model: nn.Module, rows: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the labels, averaged over the rows."""
    return F.cross_entropy(model(rows), labels)


def _update(optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item()


def pretrain_with_loader(
    model: nn.Module, rows: Tensor, batch: int, rate: float, mask: Mask, count: int
) -> Iterator[None]:
    """Minibatches from a DataLoader, shuffled by it."""
    loader = DataLoader(TensorDataset(rows), batch_size=batch, shuffle=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    while True:
        total = 0.0
        for (clean,) in loader:
            loss = reconstruction_loss(model, mask(clean, count), clean)
            total += _update(optimizer, loss) * len(clean)
            yield


def pretrain_in_memory(
    model: nn.Module,
    rows: Tensor,
    batch: int,
    rate: float,
    mask: Mask,
    count: int,
    loss_of: Loss = reconstruction_loss,
) -> Iterator[None]:
    """Minibatches indexed by a permutation, from one tensor in memory."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    while True:
        total = 0.0
        for chosen in torch.split(torch.randperm(len(rows)), batch):
            clean = rows[chosen]
            corrupted = mask(clean, count) if count else clean
            total += _update(optimizer, loss_of(model, corrupted, clean)) * len(clean)
            yield


def finetune_with_loader(
    model: nn.Module, rows: Tensor, labels: Tensor, batch: int, rate: float
) -> Iterator[None]:
    """Minibatches from a DataLoader, shuffled by it."""
    loader = DataLoader(TensorDataset(rows, labels), batch_size=batch, shuffle=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    while True:
        total = 0.0
        for inputs, targets in loader:
            total += _update(optimizer, label_loss(model, inputs, targets)) * len(inputs)
            yield


def finetune_in_memory(
    model: nn.Module,
    rows: Tensor,
    labels: Tensor,
    batch: int,
    rate: float,
    loss_of: Loss = label_loss,
) -> Iterator[None]:
    """Minibatches indexed by a permutation, from tensors in memory."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    while True:
        total = 0.0
        for chosen in torch.split(torch.randperm(len(rows)), batch):
            loss = loss_of(model, rows[chosen], labels[chosen])
            total += _update(optimizer, loss) * len(chosen)
            yield


def compiled(loss_of: Loss) -> Loss:
    """Return the cost under torch.compile, forwards and backwards; compiled at its first call."""
    return torch.compile(loss_of)
