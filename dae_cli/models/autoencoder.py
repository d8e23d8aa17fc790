"""The (denoising) autoencoder and its gradient in closed form.

    code            h = sigm(b + W x̃)
    reconstruction  x̂ = sigm(c + Wᵀ h)          cross-entropy loss, inputs in [0, 1]
                    x̂ = c + Wᵀ h                squared-error loss, real-valued inputs

The loss compares x̂ with the *clean* x, is summed over the d components, and averaged over the
minibatch. With the activation that matches the loss, the error at the decoder's input is x̂ − x
in both cases, and everything else follows by the chain rule:

    δx = x̂ − x        δh = (W δx) ∘ h ∘ (1 − h)
    ∂W = δh x̃ᵀ + h δxᵀ     ∂b = δh     ∂c = δx

W occurs twice, in the encoder and in the decoder: hence the two terms of ∂W. With an untied
decoder of its own weights V (d, hidden) the terms part: ∂W = δh x̃ᵀ and ∂V = δx hᵀ.

References: ICML 2008, sections 2.1–2.3; JMLR 2010, section 2.2 (squared error).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

LossKind = Literal["cross-entropy", "squared-error"]


@dataclass
class Autoencoder:
    """Parameters of one autoencoder; examples are rows everywhere.

    Attributes:
        weight: W, (hidden, d). Row j is the filter of hidden unit j.
        hidden_bias: b, (hidden,).
        visible_bias: c, (d,).
        loss: the loss, which settles the decoder's activation (see above).
        decoder_weight: V, (d, hidden); None where it is tied to Wᵀ.
    """

    weight: Tensor
    hidden_bias: Tensor
    visible_bias: Tensor
    loss: LossKind = "cross-entropy"
    decoder_weight: Tensor | None = None

    def to(self, device: torch.device) -> None:
        """Move the parameters to a device."""
        self.weight = self.weight.to(device)
        self.hidden_bias = self.hidden_bias.to(device)
        self.visible_bias = self.visible_bias.to(device)
        if self.decoder_weight is not None:
            self.decoder_weight = self.decoder_weight.to(device)

    def encode(self, inputs: Tensor) -> Tensor:
        """Map inputs (m, d) to codes h (m, hidden)."""
        return torch.addmm(self.hidden_bias, inputs, self.weight.T).sigmoid_()

    def decoder_input(self, codes: Tensor) -> Tensor:
        """Map codes (m, hidden) to what enters the decoder's activation, (m, d)."""
        weight = self.weight if self.decoder_weight is None else self.decoder_weight.T
        return torch.addmm(self.visible_bias, codes, weight)

    def reconstruct(self, inputs: Tensor) -> Tensor:
        """Encode and decode inputs (m, d)."""
        return self._activate(self.decoder_input(self.encode(inputs)))

    def cost(self, clean: Tensor, decoder_input: Tensor) -> Tensor:
        """Return the loss of a minibatch: summed over the d components, averaged over the rows."""
        if self.loss == "cross-entropy":
            total = F.binary_cross_entropy_with_logits(decoder_input, clean, reduction="sum")
        else:
            total = 0.5 * F.mse_loss(decoder_input, clean, reduction="sum")
        return total / len(clean)

    def errors(self, clean: Tensor, corrupted: Tensor) -> Errors:
        """Run one minibatch forwards and backwards.

        Args:
            clean: x, (m, d), the target.
            corrupted: x̃, (m, d), the input.
        """
        codes = self.encode(corrupted)
        decoder_input = self.decoder_input(codes)
        cost = self.cost(clean, decoder_input)
        visible = self._activate(decoder_input).sub_(clean)
        back = self.weight.T if self.decoder_weight is None else self.decoder_weight
        hidden = torch.mm(visible, back).mul_(codes).mul_(1 - codes)
        return Errors(cost=cost, corrupted=corrupted, codes=codes, visible=visible, hidden=hidden)

    def gradient(self, clean: Tensor, corrupted: Tensor) -> dict[str, Tensor]:
        """Return the gradient of the minibatch's cost by parameter name."""
        e = self.errors(clean, corrupted)
        rows = len(clean)
        gradient = {
            "weight": e.hidden.T @ e.corrupted / rows,
            "hidden_bias": e.hidden.sum(0) / rows,
            "visible_bias": e.visible.sum(0) / rows,
        }
        if self.decoder_weight is None:
            gradient["weight"] += e.codes.T @ e.visible / rows
        else:
            gradient["decoder_weight"] = e.visible.T @ e.codes / rows
        return gradient

    def descend(self, clean: Tensor, corrupted: Tensor, learning_rate: float) -> Tensor:
        """Take one step of gradient descent in place and return the cost before it.

        The same as subtracting `learning_rate * gradient(...)`, without ever storing a gradient:
        the products are accumulated straight into the parameters, and the two terms of a tied
        weight are one product of matrices with 2m rows.
        """
        e = self.errors(clean, corrupted)
        step = -learning_rate / len(clean)
        if self.decoder_weight is None:
            left, right = torch.cat((e.hidden, e.codes)), torch.cat((e.corrupted, e.visible))
            self.weight.addmm_(left.T, right, alpha=step)  # one rank-2m update
        else:
            self.weight.addmm_(e.hidden.T, e.corrupted, alpha=step)
            self.decoder_weight.addmm_(e.visible.T, e.codes, alpha=step)
        self.hidden_bias.add_(e.hidden.sum(0), alpha=step)
        self.visible_bias.add_(e.visible.sum(0), alpha=step)
        return e.cost

    def _activate(self, decoder_input: Tensor) -> Tensor:
        return decoder_input.sigmoid() if self.loss == "cross-entropy" else decoder_input.clone()


@dataclass(frozen=True)
class Errors:
    """What one minibatch leaves behind for the gradient; δ per example, not yet averaged."""

    cost: Tensor
    corrupted: Tensor = field(repr=False)
    """x̃, (m, d)."""
    codes: Tensor = field(repr=False)
    """h, (m, hidden)."""
    visible: Tensor = field(repr=False)
    """δx, (m, d)."""
    hidden: Tensor = field(repr=False)
    """δh, (m, hidden)."""
