"""The stacked network: sigmoid layers under a softmax layer, and its gradient in closed form.

    h⁰ = x     hᵏ = sigm(bᵏ + Wᵏ hᵏ⁻¹)     p = softmax(a + U hᴷ)     cost = −log p[y]

    δ(top) = p − onehot(y)     δᵏ = (δᵏ⁺¹ Wᵏ⁺¹) ∘ hᵏ ∘ (1 − hᵏ)     ∂Wᵏ = (δᵏ)ᵀ hᵏ⁻¹

References: ICML 2008, section 2.4 (stacking and fine-tuning).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass
class Layer:
    """One fully connected layer: weight (outputs, inputs) and bias (outputs,)."""

    weight: Tensor
    bias: Tensor

    def encode(self, inputs: Tensor) -> Tensor:
        """Map inputs (m, inputs) to sigmoid outputs (m, outputs)."""
        return torch.addmm(self.bias, inputs, self.weight.T).sigmoid_()


@dataclass
class Network:
    """Sigmoid layers, lowest first, and the softmax layer on top."""

    layers: list[Layer]
    top: Layer

    def codes(self, inputs: Tensor) -> list[Tensor]:
        """Return [x, h¹, …, hᴷ], each (m, units)."""
        activations = [inputs]
        for layer in self.layers:
            activations.append(layer.encode(activations[-1]))
        return activations

    def scores(self, inputs: Tensor) -> Tensor:
        """Return what enters the softmax, (m, classes)."""
        for layer in self.layers:
            inputs = layer.encode(inputs)
        return torch.addmm(self.top.bias, inputs, self.top.weight.T)

    def gradient(self, inputs: Tensor, labels: Tensor) -> list[Layer]:
        """Return the gradient of the mean cost, lowest layer first and the top last."""
        _, errors, codes = self._backward(inputs, labels)
        rows = len(labels)
        return [
            Layer(delta.T @ below / rows, delta.sum(0) / rows)
            for delta, below in zip(errors, codes, strict=True)
        ]

    def descend(self, inputs: Tensor, labels: Tensor, learning_rate: float) -> Tensor:
        """Take one step of gradient descent in place and return the mean cost before it.

        Args:
            inputs: (m, d).
            labels: (m,) class numbers, int64.
            learning_rate: multiplies the gradient of the mean cost.
        """
        cost, errors, codes = self._backward(inputs, labels)
        step = -learning_rate / len(labels)
        for layer, delta, below in zip(self, errors, codes, strict=True):
            layer.weight.addmm_(delta.T, below, alpha=step)
            layer.bias.add_(delta.sum(0), alpha=step)
        return cost

    def __iter__(self) -> Iterator[Layer]:
        """Yield every layer, lowest first, the softmax layer last."""
        yield from self.layers
        yield self.top

    def _backward(
        self, inputs: Tensor, labels: Tensor
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Return the mean cost, δ of every layer and what entered every layer, lowest first."""
        codes = self.codes(inputs)
        log_p = F.log_softmax(torch.addmm(self.top.bias, codes[-1], self.top.weight.T), dim=1)
        cost = F.nll_loss(log_p, labels)
        delta = log_p.exp().sub_(F.one_hot(labels, log_p.shape[1]))
        errors = [delta]
        for above, code in zip([self.top, *self.layers[:0:-1]], codes[:0:-1], strict=True):
            delta = torch.mm(delta, above.weight).mul_(code).mul_(1 - code)
            errors.append(delta)
        return cost, errors[::-1], codes
