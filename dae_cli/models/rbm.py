"""The restricted Boltzmann machine, and its update by contrastive divergence.

    energy       E(v, h) = −cᵀv − bᵀh − hᵀW v            v, h binary
    conditional  P(h = 1 | v) = sigm(b + W v)            P(v = 1 | h) = sigm(c + Wᵀ h)

The gradient of the log-likelihood is a difference of expectations, of h vᵀ for W, h for b and v
for c: those under the data less those under the model. The second ones come from a Gibbs chain

    h⁰ = P(h|x)    s⁰ ~ h⁰    vʲ ~ P(v|sʲ⁻¹)    hʲ = P(h|vʲ)    sʲ ~ hʲ        j = 1 … k

    ΔW ∝ h⁰ xᵀ − hᵏ vᵏᵀ        Δb ∝ h⁰ − hᵏ        Δc ∝ x − vᵏ

averaged over the minibatch. CD-k begins the chain at the example; persistent CD goes on from where
the chain of the previous step stood, whatever the example. The statistics have probabilities of
hidden units, never samples, since these would only add variance; within the chain every unit is
sampled. Inputs in [0, 1], grey values or codes of the layer below, stand for the probabilities of
binary ones. On request the visible units of the chain are such probabilities too, vʲ = P(v|sʲ⁻¹):
less noise in each step, and what Hinton 2010 (section 3.2) recommends where inputs are grey.

References: Bengio, Lamblin, Popovici, Larochelle 2007 (stacking, and these conventions, for the
DBN of ICML 2008, table 1); Tieleman 2008 (persistent CD); Hinton 2010 (A practical guide to
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
        uniforms: independent uniform numbers in [0, 1), as `Rbm.uniform_widths` wants them.
    """

    clean: Tensor
    uniforms: list[Tensor]


@dataclass
class Rbm(Encoder):
    """Parameters of one RBM; the code it passes upwards is P(h|x), as an autoencoder's.

    Attributes:
        gibbs_steps: k, the steps of the Gibbs chain at each update.
        sample_visible: whether the chain draws its visible units, or takes their probabilities.
        chains: states s of persistent chains, (at least m, hidden), of which the first m move on
            with each step; None where the chains begin at x.
    """

    gibbs_steps: int = 1
    sample_visible: bool = True
    chains: Tensor | None = None

    def map_tensors(self, function: Callable[[Tensor], Tensor]) -> None:
        """Put what the function returns in the place of each tensor, the chains included."""
        super().map_tensors(function)
        if self.chains is not None:
            self.chains = function(self.chains)

    def uniform_widths(self) -> list[int]:
        """Return how wide the uniform numbers of a step are, in the order it uses them.

        One for each unit that is sampled: s⁰; v¹; then sʲ⁻¹ and vʲ of each further step; at last
        sᵏ, which persistent chains keep.
        """
        hidden, d = self.weight.shape
        visible = [d] if self.sample_visible else []
        kept = [] if self.chains is None else [hidden]
        return self.gibbs_steps * [hidden, *visible] + kept

    def sgd_step(self, batch: GibbsBatch, learning_rate: float) -> Tensor:
        """Take one step of contrastive divergence in place.

        Returns:
            The cross-entropy of x and its reconstruction P(v|s⁰) before the step, summed over the
            rows. It is told, not descended on.
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
        """Map states of hidden units (m, hidden) to c + Wᵀ s, (m, d)."""
        return torch.addmm(self.visible_bias, states, self.weight)

    def _chain_step(
        self, decoder_input: Tensor, sample: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return vʲ, (m, d), and hʲ, (m, hidden), of c + Wᵀ sʲ⁻¹."""
        visible = torch.sigmoid(decoder_input)
        if self.sample_visible:
            visible = sample(visible)
        return visible, self.encode(visible)
