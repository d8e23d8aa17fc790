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

Two penalties may be added to the mean cost: weight decay, λ/2 · Σ W², and the contractive one
(contraction.py). Neither is in ICML 2008; they are what natural images are compared with.

References: ICML 2008, sections 2.1–2.3; JMLR 2010, section 2.2 (squared error), 5.1 (weight decay).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dae_cli.models.contraction import contract
from dae_cli.models.encoder import Encoder
from dae_cli.models.operations import REFERENCE, Operations, laid_out

LossKind = Literal["cross-entropy", "squared-error"]


@dataclass
class Autoencoder(Encoder):
    """Parameters of one autoencoder.

    Attributes:
        loss: the loss, which settles the decoder's activation (see above).
        decoder_weight: V, (d, hidden); None where it is tied to Wᵀ.
        weight_decay: λ of the cost λ/2 · Σ W² of the encoder's and the decoder's weights.
        contraction: λ of the contractive penalty.
    """

    loss: LossKind = "cross-entropy"
    decoder_weight: Tensor | None = None
    weight_decay: float = 0.0
    contraction: float = 0.0

    def parameters(self) -> dict[str, Tensor]:
        """Return every parameter by its name."""
        decoder = {} if self.decoder_weight is None else {"decoder_weight": self.decoder_weight}
        return super().parameters() | decoder

    def to(self, device: torch.device) -> None:
        """Move the parameters to a device."""
        super().to(device)
        if self.decoder_weight is not None:
            self.decoder_weight = self.decoder_weight.to(device)

    def lay_out(self, operations: Operations) -> None:
        """Move the weights into memory that the operations like."""
        super().lay_out(operations)
        if self.decoder_weight is not None:
            self.decoder_weight = laid_out(self.decoder_weight, operations)

    def minibatch(self, rows: int, operations: Operations = REFERENCE) -> Minibatch:
        """Return memory for minibatches of so many rows."""
        hidden, d = self.weight.shape
        return Minibatch(rows, d, hidden, operations, like=self.weight)

    def decoder_input(
        self, codes: Tensor, out: Tensor, operations: Operations = REFERENCE
    ) -> Tensor:
        """Map codes (m, hidden) to what enters the decoder's activation (m, d), in `out`."""
        if self.decoder_weight is None:
            return operations.times(codes, self.weight, self.visible_bias, out)
        return operations.times_transposed(codes, self.decoder_weight, self.visible_bias, out)

    def errors(self, batch: Minibatch, operations: Operations = REFERENCE) -> Tensor | None:
        """Run a minibatch forwards and backwards: fill its codes, errors and cost.

        Returns:
            What `contract` returns of the contractive penalty; None where there is none.
        """
        self.encode(batch.corrupted, batch.codes, operations)
        before = self.decoder_input(batch.codes, batch.decoder_input, operations)
        if self.loss == "cross-entropy":
            operations.cross_entropy(before, batch.clean, batch.visible, batch.cost)
        else:
            torch.sub(before, batch.clean, out=batch.visible)
            half_squares = torch.mul(batch.visible, batch.visible, out=before).mul_(0.5)
            torch.sum(half_squares, dim=(0, 1), out=batch.cost)
        if self.decoder_weight is None:
            operations.times_transposed(batch.visible, self.weight, None, batch.hidden)
        else:
            operations.times(batch.visible, self.decoder_weight, None, batch.hidden)
        operations.through_sigmoid_(batch.hidden, batch.codes)
        if not self.contraction:
            return None
        return contract(self.weight, batch.codes, batch.hidden, batch.cost, self.contraction)

    def gradient(self, clean: Tensor, corrupted: Tensor) -> dict[str, Tensor]:
        """Return the gradient of the minibatch's mean cost by parameter name.

        Training takes `descend`, which keeps no gradient; this is what its steps are held against.

        Args:
            clean: x, (m, d), the target.
            corrupted: x̃, (m, d), the input.
        """
        e = self.minibatch(len(clean)).fill(clean, corrupted)
        shrinking = self.errors(e)
        gradient = {
            "weight": e.hidden.T @ e.corrupted / e.rows + self.weight_decay * self.weight,
            "hidden_bias": e.hidden.sum(0) / e.rows,
            "visible_bias": e.visible.sum(0) / e.rows,
        }
        if self.decoder_weight is None:
            gradient["weight"] += e.codes.T @ e.visible / e.rows
        else:
            gradient["decoder_weight"] = e.visible.T @ e.codes / e.rows
            gradient["decoder_weight"] += self.weight_decay * self.decoder_weight
        if shrinking is not None:
            gradient["weight"] += shrinking[:, None] * self.weight / e.rows
        return gradient

    def descend(
        self, batch: Minibatch, learning_rate: float, operations: Operations = REFERENCE
    ) -> None:
        """Take one step of gradient descent in place.

        `batch.cost` is the cost before it, without what weight decay adds. The same as subtracting
        `learning_rate * gradient(...)`, without ever storing a gradient: the products are
        accumulated straight into the parameters, and the two terms of a tied weight are one
        product of matrices with 2m rows.
        """
        shrinking = self.errors(batch, operations)
        step, keep = -learning_rate / batch.rows, 1.0 - learning_rate * self.weight_decay
        keep_encoder = keep
        if shrinking is not None:
            self.weight.mul_(torch.add(shrinking[:, None] * step, keep))
            keep_encoder = 1.0
        if self.decoder_weight is None:
            operations.accumulate(self.weight, batch.left, batch.right, step, keep_encoder)
        else:
            operations.accumulate(self.weight, batch.hidden, batch.corrupted, step, keep_encoder)
            operations.accumulate(self.decoder_weight, batch.visible, batch.codes, step, keep)
        operations.accumulate(self.hidden_bias[None], batch.ones, batch.hidden, step)
        operations.accumulate(self.visible_bias[None], batch.ones, batch.visible, step)


class Minibatch:
    """Memory for a minibatch of m rows and for what a step leaves of it; used again and again.

    Attributes:
        clean: x, (m, d), to be written before a step.
        corrupted: x̃, (m, d), to be written before a step.
        codes: h, (m, hidden).
        visible: δx, (m, d), per example, not yet averaged.
        hidden: δh, (m, hidden), likewise.
        left, right: (δh, h) and (x̃, δx), one above the other, (2m, …): ∂W is leftᵀ right.
        ones: (m, 1): ∂b is onesᵀ δh, ∂c is onesᵀ δx.
        cost: the cost of the minibatch, summed over its rows, a tensor of one number.
    """

    def __init__(
        self, rows: int, d: int, hidden: int, operations: Operations, like: Tensor
    ) -> None:
        self.rows = rows
        self.clean = operations.zeros(rows, d, like)
        self.left = operations.zeros(2 * rows, hidden, like)
        self.right = operations.zeros(2 * rows, d, like)
        self.hidden, self.codes = self.left[:rows], self.left[rows:]
        self.corrupted, self.visible = self.right[:rows], self.right[rows:]
        self.decoder_input = operations.zeros(rows, d, like)
        self.ones = like.new_ones(rows, 1)
        self.cost = like.new_zeros(())

    def fill(self, clean: Tensor, corrupted: Tensor) -> Minibatch:
        """Copy a minibatch in."""
        self.clean.copy_(clean)
        self.corrupted.copy_(corrupted)
        return self
