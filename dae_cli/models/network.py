"""The stacked network: sigmoid layers under a softmax layer, and its gradient in closed form.

    h⁰ = x     hᵏ = sigm(bᵏ + Wᵏ hᵏ⁻¹)     p = softmax(a + U hᴷ)     cost = −log p[y]

    δ(top) = p − onehot(y)     δᵏ = (δᵏ⁺¹ Wᵏ⁺¹) ∘ hᵏ ∘ (1 − hᵏ)     ∂Wᵏ = (δᵏ)ᵀ hᵏ⁻¹

References: ICML 2008, section 2.4 (stacking and fine-tuning).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dae_cli.models.operations import REFERENCE, Operations, laid_out


@dataclass
class Layer:
    """One fully connected layer: weight (outputs, inputs) and bias (outputs,)."""

    weight: Tensor
    bias: Tensor

    def encode(self, inputs: Tensor, out: Tensor, operations: Operations = REFERENCE) -> Tensor:
        """Map inputs (m, inputs) to sigmoid outputs (m, outputs), in `out`."""
        return operations.sigmoid_(operations.times_transposed(inputs, self.weight, self.bias, out))


@dataclass
class Network:
    """Sigmoid layers, lowest first, and the softmax layer on top."""

    layers: list[Layer]
    top: Layer

    def lay_out(self, operations: Operations) -> None:
        """Move the weights into memory that the operations like."""
        for layer in self:
            layer.weight = laid_out(layer.weight, operations)

    def minibatch(self, rows: int, operations: Operations = REFERENCE) -> LabelledMinibatch:
        """Return memory for minibatches of so many rows."""
        widths = [self.layers[0].weight.shape[1], *(len(layer.bias) for layer in self)]
        return LabelledMinibatch(rows, widths, operations, like=self.top.weight)

    def forward(self, batch: LabelledMinibatch, operations: Operations = REFERENCE) -> Tensor:
        """Fill the codes of every layer; return what enters the softmax, (m, classes)."""
        for layer, below, above in zip(self.layers, batch.codes, batch.codes[1:], strict=False):
            layer.encode(below, above, operations)
        return operations.times_transposed(
            batch.codes[-1], self.top.weight, self.top.bias, batch.scores
        )

    def errors(
        self, batch: LabelledMinibatch, operations: Operations = REFERENCE
    ) -> Iterator[tuple[Layer, Tensor, Tensor]]:
        """Run a minibatch forwards and backwards, its cost and errors being filled on the way.

        Yields:
            Each layer, the topmost first, with its δ (m, units) and what entered it. The layer's
            weights are not needed any more then, and still in the processor's cache.
        """
        scores = self.forward(batch, operations)
        delta = batch.errors[-1]
        torch.log_softmax(scores, dim=1, out=batch.log_p)
        torch.exp(batch.log_p, out=delta)
        delta.sub_(batch.targets)
        torch.sum(batch.log_p.mul_(batch.targets), dim=(0, 1), out=batch.cost)
        batch.cost.neg_()
        for k, layer in reversed(list(enumerate(self))):
            if k > 0:
                operations.times(batch.errors[k], layer.weight, None, batch.errors[k - 1])
                operations.through_sigmoid_(batch.errors[k - 1], batch.codes[k])
            yield layer, batch.errors[k], batch.codes[k]

    def gradient(self, inputs: Tensor, labels: Tensor, weight_decay: float = 0.0) -> list[Layer]:
        """Return the gradient of the mean cost, lowest layer first and the top last.

        With a weight decay λ, that of the mean cost + λ/2 · Σ W², biases left out. Training takes
        `descend`, which keeps no gradient; this is what its steps are held against.
        """
        batch = self.minibatch(len(inputs)).fill(inputs, labels)
        gradient = [
            Layer(
                delta.T @ below / batch.rows + weight_decay * layer.weight,
                delta.sum(0) / batch.rows,
            )
            for layer, delta, below in self.errors(batch)
        ]
        return gradient[::-1]

    def descend(
        self,
        batch: LabelledMinibatch,
        learning_rate: float,
        operations: Operations = REFERENCE,
        weight_decay: float = 0.0,
    ) -> None:
        """Take one step of gradient descent in place.

        `batch.cost` is the cost before it, without what weight decay adds.
        """
        step, keep = -learning_rate / batch.rows, 1.0 - learning_rate * weight_decay
        for layer, delta, below in self.errors(batch, operations):
            operations.accumulate(layer.weight, delta, below, step, keep)
            operations.accumulate(layer.bias[None], batch.ones, delta, step)

    def __iter__(self) -> Iterator[Layer]:
        """Yield every layer, lowest first, the softmax layer last."""
        yield from self.layers
        yield self.top


class LabelledMinibatch:
    """Memory for a minibatch of m rows and for what a step leaves of it; used again and again.

    Attributes:
        codes: [x, h¹, …, hᴷ], each (m, units); x is to be written before a step.
        targets: onehot(y), (m, classes), to be written before a step.
        errors: [δ¹, …, δᴷ, δ(top)], each (m, units), per example, not yet averaged.
        cost: the cost of the minibatch, summed over its rows, a tensor of one number.
    """

    def __init__(self, rows: int, widths: list[int], operations: Operations, like: Tensor) -> None:
        self.rows = rows
        self.codes = [operations.zeros(rows, width, like) for width in widths[:-1]]
        self.errors = [operations.zeros(rows, width, like) for width in widths[1:]]
        self.ones = like.new_ones(rows, 1)
        # In one piece, whatever the operations like: torch's softmax would make a copy.
        self.scores, self.targets, self.log_p = (like.new_zeros(rows, widths[-1]) for _ in range(3))
        self.cost = like.new_zeros(())

    @property
    def inputs(self) -> Tensor:
        """x, (m, d)."""
        return self.codes[0]

    def fill(self, inputs: Tensor, labels: Tensor) -> LabelledMinibatch:
        """Copy a minibatch in; `labels` (m,) are class numbers, int64."""
        self.inputs.copy_(inputs)
        self.targets.zero_().scatter_(1, labels[:, None], 1.0)
        return self
