"""The stacked network of sigmoid layers and a softmax layer, and its gradient in closed form.

    h⁰ = x     hᵏ = sigm(bᵏ + Wᵏ hᵏ⁻¹)     p = softmax(a + U hᴷ)     cost = −log p[y]

    δ(top) = p − onehot(y)     δᵏ = (δᵏ⁺¹ Wᵏ⁺¹) ∘ hᵏ ∘ (1 − hᵏ)     ∂Wᵏ = (δᵏ)ᵀ hᵏ⁻¹

Weight decay λ adds λ/2 · Σ W² to the mean cost; biases are not included.

References: ICML 2008, section 2.4 (stacking and fine-tuning).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dae_cli.models.layers import Encoder


@dataclass(eq=False)
class LabelledBatch:
    """A minibatch of inputs x (m, d) and targets onehot(y) (m, classes)."""

    inputs: Tensor
    targets: Tensor


@dataclass
class Layer:
    """One fully connected layer: weight (outputs, inputs) and bias (outputs,)."""

    weight: Tensor
    bias: Tensor

    def linear(self, inputs: Tensor) -> Tensor:
        """Map inputs (m, inputs) to pre-activations (m, outputs)."""
        return torch.addmm(self.bias, inputs, self.weight.T)


@dataclass
class Network:
    """Sigmoid layers, lowest first, and the softmax layer on top.

    Attributes:
        weight_decay: λ in λ/2 · Σ W², over all weights.
    """

    layers: list[Layer]
    top: Layer
    weight_decay: float = 0.0

    @classmethod
    def stacked(
        cls, encoders: Sequence[Encoder], classes: int, weight_decay: float = 0.0
    ) -> Network:
        """Copy the encoders and add a softmax layer of zeros on top (ICML 2008, section 2.4)."""
        layers = [Layer(e.weight.clone(), e.hidden_bias.clone()) for e in encoders]
        below = layers[-1].weight
        top = Layer(below.new_zeros(classes, len(below)), below.new_zeros(classes))
        return cls(layers, top, weight_decay)

    def __iter__(self) -> Iterator[Layer]:
        """Yield the layers from the lowest to the softmax layer."""
        yield from self.layers
        yield self.top

    def parameters(self) -> dict[str, Tensor]:
        """Return the parameters by name: 1.weight, 1.bias, …, top.bias."""
        names = [*(str(k) for k in range(1, len(self.layers) + 1)), "top"]
        return {
            f"{name}.{part}": getattr(layer, part)
            for name, layer in zip(names, self, strict=True)
            for part in ("weight", "bias")
        }

    def map_tensors(self, function: Callable[[Tensor], Tensor]) -> None:
        """Replace each tensor by the function's result for it."""
        for layer in self:
            layer.weight, layer.bias = function(layer.weight), function(layer.bias)

    def copy(self) -> Network:
        """Return a deep copy."""
        layers = [Layer(layer.weight.clone(), layer.bias.clone()) for layer in self]
        return Network(layers[:-1], layers[-1], self.weight_decay)

    def scores(self, inputs: Tensor) -> Tensor:
        """Map inputs (m, d) to the inputs of the softmax (m, classes)."""
        for layer in self.layers:
            inputs = layer.linear(inputs).sigmoid_()
        return self.top.linear(inputs)

    def sgd_step(self, batch: LabelledBatch, learning_rate: float) -> Tensor:
        """Take one gradient descent step in place.

        Returns:
            The cost before the step, summed over the rows, without the weight decay term.
        """
        codes = [batch.inputs]
        for layer in self.layers:
            codes.append(layer.linear(codes[-1]).sigmoid_())
        log_p = torch.log_softmax(self.top.linear(codes[-1]), dim=1)
        cost = -(log_p * batch.targets).sum()

        step = -learning_rate / len(batch.inputs)
        keep = 1.0 - learning_rate * self.weight_decay
        error_below = log_p.exp() - batch.targets
        for layer, below in reversed(list(zip(self, codes, strict=True))):
            error = error_below
            if below is not batch.inputs:  # with the weights from before the step
                error_below = (error @ layer.weight) * below * (1 - below)
            layer.weight.addmm_(error.T, below, beta=keep, alpha=step)
            layer.bias.add_(error.sum(0), alpha=step)
        return cost
