"""The (denoising) autoencoder and its gradient in closed form.

    code            h = sigm(b + W x̃)
    reconstruction  x̂ = sigm(c + Wᵀ h)          cross-entropy loss, inputs in [0, 1]
                    x̂ = c + Wᵀ h                squared-error loss, real-valued inputs

The loss compares x̂ with the *clean* x; it is summed over the d components and averaged over the
minibatch. The decoder's activation matches the loss, so the error before the activation is x̂ − x
in both cases, and the chain rule gives the rest:

    δx = x̂ − x        δh = (W δx) ∘ h ∘ (1 − h)
    ∂W = δh x̃ᵀ + h δxᵀ     ∂b = δh     ∂c = δx

∂W has two terms because both the encoder and the decoder use W. An untied decoder has separate
weights V (d, hidden), and each matrix gets one term: ∂W = δh x̃ᵀ and ∂V = δx hᵀ.

Two penalties can be added to the mean cost. Weight decay is λ/2 · Σ W² over the weights of the
encoder and the decoder. The contractive penalty is λ times the squared Frobenius norm of the
Jacobian of the code h = sigm(a) with respect to the input. For sigmoid units this norm has a closed
form, so the Jacobian is never computed:

    ‖∂h/∂x‖² = Σⱼ sⱼ² ‖Wⱼ‖²        sⱼ = hⱼ (1 − hⱼ): slope of unit j; Wⱼ: its filter

    ∂/∂aⱼ = 2 λ sⱼ² (1 − 2 hⱼ) ‖Wⱼ‖²        ∂/∂Wⱼ = 2 λ sⱼ² Wⱼ, plus the path through aⱼ

ICML 2008 uses neither penalty; the experiments on natural images compare them with corruption.

References: ICML 2008, sections 2.1–2.3; JMLR 2010, sections 2.2 (squared error) and 5.1 (weight
decay); Larochelle's lecture, slide on the contractive autoencoder; Rifai, Vincent, Muller, Glorot
and Bengio 2011, equations 5 and 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dae_cli.models.layers import Encoder, cross_entropy

LossKind = Literal["cross-entropy", "squared-error"]


@dataclass(eq=False)
class DenoisingBatch:
    """A minibatch of m rows: clean targets x and corrupted inputs x̃, both (m, d)."""

    clean: Tensor
    corrupted: Tensor


@dataclass
class Autoencoder(Encoder):
    """Parameters of one autoencoder and the settings of its training step.

    Attributes:
        loss: reconstruction loss; it determines the decoder's activation (see above).
        decoder_weight: V, (d, hidden); None if the decoder is tied (V = Wᵀ).
        weight_decay: λ in λ/2 · Σ W², over the weights of the encoder and the decoder.
        contraction: λ of the contractive penalty.
    """

    loss: LossKind = "cross-entropy"
    decoder_weight: Tensor | None = None
    weight_decay: float = 0.0
    contraction: float = 0.0

    def parameters(self) -> dict[str, Tensor]:
        """Return the parameters by name."""
        decoder = {} if self.decoder_weight is None else {"decoder_weight": self.decoder_weight}
        return super().parameters() | decoder

    @property
    def decoder(self) -> Tensor:
        """Decoder weights (d, hidden): V, or Wᵀ if the decoder is tied."""
        return self.weight.T if self.decoder_weight is None else self.decoder_weight

    def decode(self, codes: Tensor) -> Tensor:
        """Map codes h (m, hidden) to reconstructions x̂ (m, d)."""
        decoder_input = torch.addmm(self.visible_bias, codes, self.decoder.T)
        return decoder_input.sigmoid_() if self.loss == "cross-entropy" else decoder_input

    def sgd_step(self, batch: DenoisingBatch, learning_rate: float) -> Tensor:
        """Take one gradient descent step in place.

        Returns:
            The cost before the step, summed over the rows, without the weight decay term.
        """
        decoder, codes = self.decoder, self.encode(batch.corrupted)
        decoder_input = torch.addmm(self.visible_bias, codes, decoder.T)
        if self.loss == "cross-entropy":
            cost = cross_entropy(decoder_input, batch.clean)
            visible_error = decoder_input.sigmoid_() - batch.clean
        else:
            visible_error = decoder_input - batch.clean
            cost = visible_error.square().sum() / 2
        hidden_error = (visible_error @ decoder) * codes * (1 - codes)

        step = -learning_rate / len(codes)
        keep = 1.0 - learning_rate * self.weight_decay
        keep_encoder = keep
        if self.contraction:
            penalty, code_gradient, weight_factor = self._contractive_penalty(codes)
            cost += penalty
            hidden_error += code_gradient
            self.weight.mul_(keep + step * weight_factor[:, None])
            keep_encoder = 1.0

        if self.decoder_weight is None:  # both terms of ∂W in one product of 2m rows
            left = torch.cat((hidden_error, codes))
            right = torch.cat((batch.corrupted, visible_error))
            self.weight.addmm_(left.T, right, beta=keep_encoder, alpha=step)
        else:
            self.weight.addmm_(hidden_error.T, batch.corrupted, beta=keep_encoder, alpha=step)
            self.decoder_weight.addmm_(visible_error.T, codes, beta=keep, alpha=step)
        self.hidden_bias.add_(hidden_error.sum(0), alpha=step)
        self.visible_bias.add_(visible_error.sum(0), alpha=step)
        return cost

    def _contractive_penalty(self, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the penalty λ ‖∂h/∂x‖² for codes (m, hidden) and its gradient.

        Returns:
            The penalty, summed over the rows; its gradient ∂/∂a, (m, hidden); and the factors of
            Wⱼ in ∂/∂Wⱼ, (hidden,), without the path through a.
        """
        squared_slopes = (codes * (1 - codes)).square()
        squared_norms = self.weight.square().sum(1)
        by_unit = self.contraction * squared_slopes.sum(0)
        code_gradient = 2 * self.contraction * squared_slopes * (1 - 2 * codes) * squared_norms
        return by_unit @ squared_norms, code_gradient, 2 * by_unit
