"""Code shared by the models: initial weights, reconstruction cost and the base class of layers.

Stacking, fine-tuning, filters and checkpoints use only the `Encoder` interface of a pretrained
layer. Examples are always rows; weight matrices are (units, inputs), one row per unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

# ICML 2008 does not say how weights are initialized. "tutorial" is the range that the authors'
# Theano tutorial uses for sigmoid units, four times that of Glorot and Bengio (2010).
RANGE_FACTOR = {"glorot": 1.0, "tutorial": 4.0}


def draw_weights_(weight: Tensor, init: str, random: np.random.Generator) -> None:
    """Fill W (outputs, inputs) from U(−r, r) with r = factor · sqrt(6 / (inputs + outputs))."""
    limit = RANGE_FACTOR[init] * math.sqrt(6.0 / sum(weight.shape))
    raw = random.bit_generator.random_raw(weight.numel())
    unit = (raw >> np.uint64(11)) * 2.0**-53  # uniform in [0, 1), all 53 bits of a double
    weight.copy_(torch.from_numpy((2.0 * unit - 1.0) * limit).view(weight.shape))


def cross_entropy(decoder_input: Tensor, clean: Tensor) -> Tensor:
    """Return Σ −x log x̂ − (1 − x) log(1 − x̂) with x̂ = sigm(a), over all elements of a, x (m, d).

    It is computed as log(1 + eᵃ) − x a, which does not overflow.
    """
    return (softplus(decoder_input) - clean * decoder_input).sum()


@dataclass
class Encoder:
    """Parameters of one pretrained layer with the code h = sigm(b + W x).

    Attributes:
        weight: W, (hidden, d). Row j is the filter of hidden unit j.
        hidden_bias: b, (hidden,).
        visible_bias: c, (d,).
    """

    weight: Tensor
    hidden_bias: Tensor
    visible_bias: Tensor

    def parameters(self) -> dict[str, Tensor]:
        """Return the parameters by name."""
        return {
            "weight": self.weight,
            "hidden_bias": self.hidden_bias,
            "visible_bias": self.visible_bias,
        }

    def map_tensors(self, function: Callable[[Tensor], Tensor]) -> None:
        """Replace each tensor by the function's result for it."""
        for name, tensor in self.parameters().items():
            setattr(self, name, function(tensor))

    def encode(self, inputs: Tensor) -> Tensor:
        """Map inputs (m, d) to codes h (m, hidden)."""
        return torch.addmm(self.hidden_bias, inputs, self.weight.T).sigmoid_()

    def decode(self, codes: Tensor) -> Tensor:
        """Map codes h (m, hidden) to reconstructions sigm(c + Wᵀ h), (m, d)."""
        return torch.addmm(self.visible_bias, codes, self.weight).sigmoid_()

    def sgd_step(self, batch: Any, learning_rate: float) -> Tensor:
        """Take one stochastic gradient descent step in place.

        Args:
            batch: a minibatch for this kind of layer; `DenoisingBatch` unless the training loop
                supports another type.
            learning_rate: ε.

        Returns:
            The cost before the step, summed over the rows.
        """
        raise NotImplementedError
