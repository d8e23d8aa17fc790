"""What autoencoders and RBMs share: parameters W, b, c, and the code h = sigm(b + W x).

Stacking, fine-tuning, filters and checkpoints need no more of a pretrained layer than this.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dae_cli.models.operations import REFERENCE, Operations, laid_out


@dataclass
class Encoder:
    """Parameters of one layer that is pretrained; examples are rows everywhere.

    Attributes:
        weight: W, (hidden, d). Row j is the filter of hidden unit j.
        hidden_bias: b, (hidden,).
        visible_bias: c, (d,).
    """

    weight: Tensor
    hidden_bias: Tensor
    visible_bias: Tensor

    def parameters(self) -> dict[str, Tensor]:
        """Return every parameter by its name."""
        return {
            "weight": self.weight,
            "hidden_bias": self.hidden_bias,
            "visible_bias": self.visible_bias,
        }

    def to(self, device: torch.device) -> None:
        """Move the parameters to a device."""
        self.weight = self.weight.to(device)
        self.hidden_bias = self.hidden_bias.to(device)
        self.visible_bias = self.visible_bias.to(device)

    def lay_out(self, operations: Operations) -> None:
        """Move the weights into memory that the operations like."""
        self.weight = laid_out(self.weight, operations)

    def encode(self, inputs: Tensor, out: Tensor, operations: Operations = REFERENCE) -> Tensor:
        """Map inputs (m, d) to codes h (m, hidden), in `out`."""
        operations.times_transposed(inputs, self.weight, self.hidden_bias, out)
        return operations.sigmoid_(out)
