"""The restricted Boltzmann machine (RBM) and its update by contrastive divergence (CD).

    energy       E(v, h) = −cᵀv − bᵀh − hᵀW v            v, h binary
    conditional  P(h = 1 | v) = sigm(b + W v)            P(v = 1 | h) = sigm(c + Wᵀ h)

The gradient of the log-likelihood is the expectation of h vᵀ (for W), h (for b) or v (for c) under
the data minus the same expectation under the model. A Gibbs chain estimates the latter:

    h⁰ = P(h|x)    s⁰ ~ h⁰    vʲ ~ P(v|sʲ⁻¹)    hʲ = P(h|vʲ)    sʲ ~ hʲ        j = 1 … k

    ΔW ∝ h⁰ xᵀ − hᵏ vᵏᵀ        Δb ∝ h⁰ − hᵏ        Δc ∝ x − vᵏ

averaged over the minibatch. CD-k starts the chain at the example; persistent CD instead continues
the chain of the previous step. The updates use probabilities of hidden units, because
samples would only add variance; the chain itself samples every unit. Inputs in [0, 1] (grey values
or codes of the layer below) are treated as probabilities of binary inputs. If `sample_visible` is
False, the chain uses probabilities for the visible units as well, vʲ = P(v|sʲ⁻¹). This makes the
updates less noisy; Hinton 2010 (section 3.2) recommends it for grey inputs.

References: Bengio, Lamblin, Popovici and Larochelle 2007 (stacking and these conventions, used by
the DBN of ICML 2008, table 1); Tieleman 2008 (persistent CD); Hinton 2010 (A practical guide to
training restricted Boltzmann machines).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dae_cli.models.layers import Encoder, cross_entropy


@dataclass(eq=False)
class GibbsBatch:
    """A minibatch of m rows.

    Attributes:
        clean: x, (m, d).
        uniforms: independent uniform numbers in [0, 1), one (m, width) tensor for each entry of
            `Rbm.uniform_widths`.
    """

    clean: Tensor
    uniforms: list[Tensor]


@dataclass
class Rbm(Encoder):
    """Parameters of one RBM; its code is P(h|x), the same function as an autoencoder's.

    Attributes:
        gibbs_steps: number k of Gibbs steps per update.
        sample_visible: whether the chain samples its visible units or uses their probabilities.
        chains: hidden states s of persistent chains, (at least m, hidden), of which each step
            updates the first m; None if the chains start at x.
    """

    gibbs_steps: int = 1
    sample_visible: bool = True
    chains: Tensor | None = None

    def map_tensors(self, function: Callable[[Tensor], Tensor]) -> None:
        """Replace each tensor, including the chains, by the function's result for it."""
        super().map_tensors(function)
        if self.chains is not None:
            self.chains = function(self.chains)

    def uniform_widths(self) -> list[int]:
        """Return the number of uniform numbers per row for each sampling operation, in order.

        The operations sample s⁰; v¹; then sʲ⁻¹ and vʲ for each further Gibbs step; and finally
        sᵏ if the chains are persistent.
        """
        hidden, d = self.weight.shape
        visible = [d] if self.sample_visible else []
        final = [] if self.chains is None else [hidden]
        return self.gibbs_steps * [hidden, *visible] + final

    def sgd_step(self, batch: GibbsBatch, learning_rate: float) -> Tensor:
        """Take one contrastive divergence step in place.

        Returns:
            The cross-entropy between x and its reconstruction P(v|s⁰) before the step, summed over
            the rows. It only monitors training; the step does not minimize it.
        """
        uniforms = iter(batch.uniforms)

        def sample(probabilities: Tensor) -> Tensor:
            return (probabilities > next(uniforms)).to(probabilities.dtype)

        clean, rows = batch.clean, len(batch.clean)
        codes = self.encode(clean)  # h⁰
        states = sample(codes)
        decoder_input = self._decoder_input(states)
        cost = cross_entropy(decoder_input, clean)
        if self.chains is not None:
            decoder_input = self._decoder_input(self.chains[:rows])
        visible, hidden = self._chain_step(decoder_input, sample)
        for _ in range(1, self.gibbs_steps):
            visible, hidden = self._chain_step(self._decoder_input(sample(hidden)), sample)
        if self.chains is not None:
            self.chains[:rows] = sample(hidden)

        step = learning_rate / rows
        left, right = torch.cat((codes, -hidden)), torch.cat((clean, visible))
        self.weight.addmm_(left.T, right, alpha=step)
        self.hidden_bias.add_((codes - hidden).sum(0), alpha=step)
        self.visible_bias.add_((clean - visible).sum(0), alpha=step)
        return cost

    def _decoder_input(self, states: Tensor) -> Tensor:
        """Map hidden states s (m, hidden) to c + Wᵀ s (m, d)."""
        return torch.addmm(self.visible_bias, states, self.weight)

    def _chain_step(
        self, decoder_input: Tensor, sample: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Map c + Wᵀ sʲ⁻¹ (m, d) to vʲ (m, d) and hʲ (m, hidden)."""
        visible = torch.sigmoid(decoder_input)
        if self.sample_visible:
            visible = sample(visible)
        return visible, self.encode(visible)
