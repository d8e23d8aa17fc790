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

from dae_cli.models.encoder import Encoder
from dae_cli.models.operations import REFERENCE, Operations

Draw = Callable[[Tensor], None]
"""Fills a tensor, which lies in one piece, with independent uniform numbers in [0, 1)."""


@dataclass
class Rbm(Encoder):
    """Parameters of one RBM; the code it passes upwards is P(h|x), as an autoencoder's.

    Attributes:
        gibbs_steps: k, the steps of the Gibbs chain at each update.
        sample_visible: whether the chain draws its visible units, or takes their probabilities.
    """

    gibbs_steps: int = 1
    sample_visible: bool = True

    def minibatch(self, rows: int, operations: Operations = REFERENCE) -> GibbsMinibatch:
        """Return memory for minibatches of so many rows."""
        hidden, d = self.weight.shape
        return GibbsMinibatch(rows, d, hidden, operations, like=self.weight)

    def new_chains(self, rows: int, operations: Operations = REFERENCE) -> Tensor:
        """Return persistent chains where they begin: no hidden unit is on, (rows, hidden)."""
        return operations.zeros(rows, len(self.hidden_bias), like=self.weight)

    def contrast(
        self,
        batch: GibbsMinibatch,
        draw: Draw,
        operations: Operations = REFERENCE,
        chains: Tensor | None = None,
    ) -> None:
        """Run the chains of a minibatch: fill its statistics and its cost.

        Args:
            batch: its `clean` rows x are there.
            draw: gives the chances, in the order in which they are used.
            operations: how to compute.
            chains: (at least m, hidden), the states s of persistent chains, of which the first m
                move on; None where the chains begin at x.
        """
        visible, hidden, states = batch.visible, batch.hidden, batch.states
        self.encode(batch.clean, batch.codes, operations)
        self._sample(batch.codes, batch.hidden_chances, draw, states)
        before = operations.times(states, self.weight, self.visible_bias, batch.decoder_input)
        operations.cross_entropy(before, batch.clean, visible, batch.cost)
        if chains is None:
            visible.add_(batch.clean)  # P(v|s) from the error P(v|s) − x, an exponential saved
        else:
            states.copy_(chains[: batch.rows])
            self._decode(states, visible, operations)
        self._settle(batch, draw)
        self.encode(visible, hidden, operations)
        for _ in range(1, self.gibbs_steps):
            self._sample(hidden, batch.hidden_chances, draw, states)
            self._decode(states, visible, operations)
            self._settle(batch, draw)
            self.encode(visible, hidden, operations)
        if chains is not None:
            self._sample(hidden, batch.hidden_chances, draw, chains[: batch.rows])

    def descend(
        self,
        batch: GibbsMinibatch,
        learning_rate: float,
        draw: Draw,
        operations: Operations = REFERENCE,
        chains: Tensor | None = None,
    ) -> None:
        """Take one step of contrastive divergence in place; `batch.cost` is told of before it.

        Both statistics of the weight are one product of matrices with 2m rows, accumulated
        straight into it. Arguments as for `contrast`.
        """
        self.contrast(batch, draw, operations, chains)
        batch.hidden.neg_()
        step = learning_rate / batch.rows
        operations.accumulate(self.weight, batch.left, batch.right, step)
        operations.accumulate(self.hidden_bias[None], batch.ones, batch.left, step)
        operations.accumulate(self.visible_bias[None], batch.signs, batch.right, step)

    def _decode(self, states: Tensor, out: Tensor, operations: Operations) -> None:
        """P(v|s), (m, d), in `out`."""
        operations.sigmoid_(operations.times(states, self.weight, self.visible_bias, out))

    def _settle(self, batch: GibbsMinibatch, draw: Draw) -> None:
        """Make the visible units of the chain of their probabilities, in place."""
        if self.sample_visible:
            self._sample(batch.visible, batch.visible_chances, draw, batch.visible)

    @staticmethod
    def _sample(probabilities: Tensor, chances: Tensor, draw: Draw, out: Tensor) -> None:
        """Write 1 with these probabilities and 0 otherwise into `out`, which may be the same."""
        draw(chances)
        torch.gt(probabilities, chances, out=out)


class GibbsMinibatch:
    """Memory for a minibatch of m rows and for its Gibbs chains; used again and again.

    Attributes:
        clean: x, (m, d), to be written before a step.
        codes: h⁰, (m, hidden).
        visible: vᵏ, (m, d), zeros and ones, or probabilities where none is drawn.
        hidden: hᵏ, (m, hidden); after a step with the opposite sign.
        left, right: (h⁰, hᵏ) and (x, vᵏ), one above the other, (2m, …).
        states: s, (m, hidden), zeros and ones.
        hidden_chances, visible_chances: (m, hidden) and (m, d) uniform numbers, in one piece.
        ones, signs: (2m, 1): 1, and 1 above −1.
        cost: cross-entropy of x and its reconstruction P(v|s⁰), summed over the components and
            the rows, a tensor of one number. It is told, not descended on.
    """

    def __init__(
        self, rows: int, d: int, hidden: int, operations: Operations, like: Tensor
    ) -> None:
        self.rows = rows
        self.left = operations.zeros(2 * rows, hidden, like)
        self.right = operations.zeros(2 * rows, d, like)
        self.codes, self.hidden = self.left[:rows], self.left[rows:]
        self.clean, self.visible = self.right[:rows], self.right[rows:]
        self.states = operations.zeros(rows, hidden, like)
        self.decoder_input = operations.zeros(rows, d, like)
        self.hidden_chances = like.new_zeros(rows, hidden)
        self.visible_chances = like.new_zeros(rows, d)
        self.ones = like.new_ones(2 * rows, 1)
        self.signs = like.new_ones(2 * rows, 1)
        self.signs[rows:] = -1.0
        self.cost = like.new_zeros(())
