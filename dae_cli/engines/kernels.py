"""Compiled training steps that visit each block of weights only once.

While a block of units is in the cache, the error is backpropagated through its weights, the weights
are updated, and the *next* minibatch is encoded (and decoded) with the new weights. A pretraining
step thus passes over the weights once; the equations in dae_cli.models pass over them five times.
The kernels are single-threaded and allocate no memory.
"""

from __future__ import annotations

from typing import NamedTuple

from dae_cli.compilation import compiled, inlined
from dae_cli.engines.activations import (
    HALF,
    ONE,
    TWO,
    ZERO,
    F,
    exp_of_minus,
    log,
    sigmoid,
    softplus,
)
from dae_cli.engines.blocks import (
    Matrix,
    Vector,
    add_product,
    add_rows,
    apply_sigmoid,
    back_through_sigmoid,
    bernoulli,
    fill_rows,
    linear,
    pairwise_sum,
    sum_of,
    update,
)

# Number of units whose weights stay in the second-level cache during a visit.
BLOCK = 96
# Number of rows that stay in the second-level cache while they are only encoded.
CHUNK = 160


@inlined
def encode_block(
    rows: Matrix, m: int, weight: Matrix, bias: Vector, first: int, last: int, out: Matrix,
    ahead: bool,
) -> None:  # fmt: skip
    """out (m, units) = sigm(rows · Wᵀ + bias), for the units first … last."""
    linear(rows, m, weight, first, last, bias, out, ahead)
    apply_sigmoid(out, m, first, last)


@compiled
def encode(rows: Matrix, m: int, weight: Matrix, bias: Vector, out: Matrix, linearly: bool) -> None:
    """out (m, units) = sigm(rows · Wᵀ + bias), without the sigmoid if `linearly`."""
    for begin in range(0, m, CHUNK):
        count = min(CHUNK, m - begin)
        here, there = rows[begin : begin + count], out[begin : begin + count]
        for first in range(0, len(weight), BLOCK):
            last = min(len(weight), first + BLOCK)
            if linearly:
                linear(here, count, weight, first, last, bias, there, True)
            else:
                encode_block(here, count, weight, bias, first, last, there, True)


# Autoencoders


class Layer(NamedTuple):
    """Parameters of a layer in pretraining."""

    weight: Matrix
    """W, (hidden, d)."""
    hidden_bias: Vector
    visible_bias: Vector


class Denoising(NamedTuple):
    """A minibatch and its activations in an autoencoder; empty if m is 0."""

    m: int
    clean: Matrix
    corrupted: Matrix
    codes: Matrix
    decoder_input: Matrix
    """Input of the decoder's activation, (m, d); each step overwrites it with the cost."""


class Gibbs(NamedTuple):
    """A minibatch and its activations in an RBM; empty if m is 0."""

    m: int
    clean: Matrix
    uniforms: Matrix
    """Uniform numbers that sample the first states, (m, hidden)."""
    codes: Matrix
    states: Matrix
    decoder_input: Matrix
    """c + Wᵀ s for `states`."""
    chain_input: Matrix
    """c + Wᵀ s for the persistent chains; the same matrix as `decoder_input` without them."""


class Errors(NamedTuple):
    """Work space of a step."""

    visible: Matrix
    """δx, (m, d)."""
    hidden: Matrix
    """δh, (m, hidden)."""
    zeros: Vector
    """A bias of zeros, for up to max(hidden, d) units; `step_untied` reads its first part."""
    row: Vector
    """Room for one row of the weights."""


class Descent(NamedTuple):
    """Settings of a gradient descent step."""

    scale: F
    """−learning rate / m."""
    keep: F
    """1 − learning rate · weight decay, the factor of the old weights."""
    contraction: F
    """λ of the contractive penalty."""
    squared: bool
    """Whether the loss is the squared error; else it is the cross-entropy."""


@inlined
def reconstruction_error(
    batch: Denoising, first: int, last: int, squared: bool, out: Matrix
) -> None:
    """Write x̂ − x to `out` and overwrite `batch.decoder_input` with the cost of each component."""
    for r in range(batch.m):
        a, x = batch.decoder_input[r, first:last], batch.clean[r, first:last]
        error = out[r, first:last]
        if squared:
            for j in range(len(a)):
                error[j] = a[j] - x[j]
                a[j] = HALF * error[j] * error[j]
        else:
            for j in range(len(a)):
                error[j] = sigmoid(a[j]) - x[j]
                a[j] = softplus(a[j]) - x[j] * a[j]


@inlined
def encode_block_tied(layer: Layer, batch: Denoising, first: int, last: int) -> None:
    """Encode a minibatch with a block of units and add their part of the reconstruction."""
    weight, m = layer.weight, batch.m
    encode_block(batch.corrupted, m, weight, layer.hidden_bias, first, last, batch.codes, False)
    add_product(batch.codes, m, weight, first, last, batch.decoder_input)


@compiled
def begin_tied(layer: Layer, batch: Denoising) -> None:
    """Encode and decode a minibatch that no previous step has encoded."""
    fill_rows(layer.visible_bias, batch.m, batch.decoder_input)
    for first in range(0, len(layer.weight), BLOCK):
        encode_block_tied(layer, batch, first, min(len(layer.weight), first + BLOCK))


@compiled
def step_tied(
    layer: Layer, batch: Denoising, upcoming: Denoising, errors: Errors, how: Descent
) -> float:
    """Take a step of an autoencoder with V = Wᵀ; encode and decode the next minibatch."""
    m, d, hidden = batch.m, len(layer.visible_bias), len(layer.hidden_bias)
    reconstruction_error(batch, 0, d, how.squared, errors.visible)
    cost = sum_of(batch.decoder_input, m, d)
    add_rows(layer.visible_bias, how.scale, errors.visible, m, 0, d)
    fill_rows(layer.visible_bias, upcoming.m, upcoming.decoder_input)
    for first in range(0, hidden, BLOCK):
        last = min(hidden, first + BLOCK)
        linear(errors.visible, m, layer.weight, first, last, errors.zeros, errors.hidden, True)
        back_through_sigmoid(errors.hidden, batch.codes, m, first, last)
        cost = step_encoder(cost, layer, batch, errors, first, last, m, how)
        encode_block_tied(layer, upcoming, first, last)
    return cost


@compiled
def step_untied(
    layer: Layer,
    decoder: Matrix,
    batch: Denoising,
    upcoming: Denoising,
    errors: Errors,
    how: Descent,
) -> float:
    """Take a step of an autoencoder with separate decoder weights V; encode the next minibatch.

    Each block of V is visited once: decode, backpropagate, update.
    """
    m, d, hidden = batch.m, len(layer.visible_bias), len(layer.hidden_bias)
    fill_rows(errors.zeros[:hidden], m, errors.hidden)
    for first in range(0, d, BLOCK):
        last = min(d, first + BLOCK)
        linear(batch.codes, m, decoder, first, last, layer.visible_bias, batch.decoder_input, True)
        reconstruction_error(batch, first, last, how.squared, errors.visible)
        add_product(errors.visible, m, decoder, first, last, errors.hidden)
        update(
            decoder, first, last, how.scale, how.keep,
            errors.visible, batch.codes, m, errors.visible, batch.codes, 0,
        )  # fmt: skip
        add_rows(layer.visible_bias, how.scale, errors.visible, m, first, last)
    cost = sum_of(batch.decoder_input, m, d)
    back_through_sigmoid(errors.hidden, batch.codes, m, 0, hidden)
    for first in range(0, hidden, BLOCK):
        last = min(hidden, first + BLOCK)
        cost = step_encoder(cost, layer, batch, errors, first, last, 0, how)
        encode_block(
            upcoming.corrupted, upcoming.m, layer.weight, layer.hidden_bias, first, last,
            upcoming.codes, False,
        )  # fmt: skip
    return cost


@inlined
def step_encoder(
    cost: float, layer: Layer, batch: Denoising, errors: Errors, first: int, last: int,
    m_decoder: int, how: Descent,
) -> float:  # fmt: skip
    """Update a block of the encoder's units, whose errors are known.

    Args:
        m_decoder: m if the decoder is tied to these weights, else 0.

    Returns:
        The cost plus the contractive penalty of the block.
    """
    keep = how.keep
    if how.contraction > ZERO:
        cost = contract(cost, layer.weight, batch, errors, first, last, how)
        keep = ONE
    update(
        layer.weight, first, last, how.scale, keep,
        errors.hidden, batch.corrupted, batch.m, batch.codes, errors.visible, m_decoder,
    )  # fmt: skip
    add_rows(layer.hidden_bias, how.scale, errors.hidden, batch.m, first, last)
    return cost


@inlined
def contract(
    cost: float,
    weight: Matrix,
    batch: Denoising,
    errors: Errors,
    first: int,
    last: int,
    how: Descent,
) -> float:
    """Add the contractive penalty's gradient to the errors of a block and apply its step to W.

    See dae_cli.models.autoencoder for the equations. It also applies weight decay.

    Returns:
        The cost plus the penalty of the block, summed over the rows.
    """
    for unit in range(first, last):
        filter_, squares = weight[unit], errors.row
        for i in range(len(filter_)):
            squares[i] = filter_[i] * filter_[i]
        squared_norm = F(pairwise_sum(squares[: len(filter_)]))
        slopes = ZERO
        for r in range(batch.m):
            h = batch.codes[r, unit]
            slope = h * (ONE - h)
            slopes += slope * slope
            turn = slope * slope * (ONE - TWO * h) * squared_norm
            errors.hidden[r, unit] += TWO * how.contraction * turn
        cost += float(how.contraction * slopes * squared_norm)
        factor = how.keep + how.scale * TWO * how.contraction * slopes
        for i in range(len(filter_)):
            filter_[i] *= factor
    return cost


# RBMs


@inlined
def encode_block_gibbs(rbm: Layer, batch: Gibbs, first: int, last: int) -> None:
    """Encode a minibatch with a block of units, sample their states and add Wᵀ s of the block."""
    weight, m = rbm.weight, batch.m
    encode_block(batch.clean, m, weight, rbm.hidden_bias, first, last, batch.codes, False)
    bernoulli(batch.codes, batch.uniforms, m, first, last, batch.states)
    add_product(batch.states, m, weight, first, last, batch.decoder_input)


@compiled
def begin_gibbs(rbm: Layer, batch: Gibbs, chains: Matrix, persistent: bool) -> None:
    """Encode and decode a minibatch that no previous step has encoded; decode the chains."""
    fill_rows(rbm.visible_bias, batch.m, batch.decoder_input)
    if persistent:
        fill_rows(rbm.visible_bias, batch.m, batch.chain_input)
    for first in range(0, len(rbm.weight), BLOCK):
        last = min(len(rbm.weight), first + BLOCK)
        encode_block_gibbs(rbm, batch, first, last)
        if persistent:
            add_product(chains, batch.m, rbm.weight, first, last, batch.chain_input)


@compiled
def visible_probabilities(batch: Gibbs, d: int, visible: Matrix) -> float:
    """Write P(v|s) of the chains to `visible`; return the reconstruction cost of x."""
    for r in range(batch.m):
        a, p = batch.chain_input[r, :d], visible[r, :d]
        for j in range(d):
            p[j] = sigmoid(a[j])
    for r in range(batch.m):
        a, x = batch.decoder_input[r, :d], batch.clean[r, :d]
        for j in range(d):
            a[j] = softplus(a[j]) - x[j] * a[j]
    return sum_of(batch.decoder_input, batch.m, d)


@compiled
def sample(probabilities: Matrix, uniforms: Matrix, m: int, width: int, out: Matrix) -> None:
    """Sample 1 with the given probabilities, else 0; `out` may be `probabilities`."""
    bernoulli(probabilities, uniforms, m, 0, width, out)


@compiled
def decode_states(rbm: Layer, states: Matrix, m: int, visible: Matrix) -> None:
    """Write P(v|s) to `visible`."""
    fill_rows(rbm.visible_bias, m, visible)
    add_product(states, m, rbm.weight, 0, len(rbm.weight), visible)
    apply_sigmoid(visible, m, 0, len(rbm.visible_bias))


@compiled
def step_gibbs(
    rbm: Layer, batch: Gibbs, upcoming: Gibbs, visible: Matrix, hidden: Matrix, scale: F,
    chains: Matrix, chain_uniforms: Matrix, persistent: bool,
) -> None:  # fmt: skip
    """Take a contrastive divergence step from vᵏ and start the chains of the next minibatch.

    Args:
        rbm: parameters, updated in place.
        batch: minibatch with its codes h⁰.
        upcoming: next minibatch.
        visible: vᵏ, (m, d).
        hidden: work space for hᵏ, (m, hidden).
        scale: learning rate / m.
        chains: states of the persistent chains, updated in place.
        chain_uniforms: uniform numbers that sample these states, (m, hidden).
        persistent: whether the chains are persistent; if not, `chains` is unused.
    """
    m, d = batch.m, len(rbm.visible_bias)
    add_rows(rbm.visible_bias, scale, batch.clean, m, 0, d)
    add_rows(rbm.visible_bias, -scale, visible, m, 0, d)
    fill_rows(rbm.visible_bias, upcoming.m, upcoming.decoder_input)
    if persistent:
        fill_rows(rbm.visible_bias, upcoming.m, upcoming.chain_input)
    for first in range(0, len(rbm.weight), BLOCK):
        last = min(len(rbm.weight), first + BLOCK)
        encode_block(visible, m, rbm.weight, rbm.hidden_bias, first, last, hidden, True)
        if persistent:
            bernoulli(hidden, chain_uniforms, m, first, last, chains)
        for r in range(m):
            for j in range(first, last):
                hidden[r, j] = -hidden[r, j]
        update(rbm.weight, first, last, scale, ONE, batch.codes, batch.clean, m, hidden, visible, m)
        add_rows(rbm.hidden_bias, scale, batch.codes, m, first, last)
        add_rows(rbm.hidden_bias, scale, hidden, m, first, last)
        encode_block_gibbs(rbm, upcoming, first, last)
        if persistent:
            add_product(chains, upcoming.m, rbm.weight, first, last, upcoming.chain_input)


# Networks


@compiled
def softmax_error(scores: Matrix, targets: Matrix, m: int, classes: int, errors: Matrix) -> float:
    """Write softmax(scores) − targets to `errors`; return the cost −log p[y], summed over rows."""
    cost = 0.0
    for r in range(m):
        score, target, p = scores[r, :classes], targets[r, :classes], errors[r, :classes]
        greatest = score[0]
        for k in range(1, classes):
            if score[k] > greatest:
                greatest = score[k]
        sum_ = ZERO
        for k in range(classes):
            p[k] = exp_of_minus(greatest - score[k])
            sum_ += p[k]
        for k in range(classes):
            cost += target[k] * (log(sum_) + (greatest - score[k]))
            p[k] = p[k] / sum_ - target[k]
    return cost


@compiled
def step_layer(
    weight: Matrix, bias: Vector, inputs: Matrix, errors: Matrix, m: int, scale: F, keep: F,
    errors_below: Matrix,
) -> None:  # fmt: skip
    """Backpropagate errors to a layer's inputs h and update the layer in one pass over W."""
    width = weight.shape[1]
    for r in range(m):
        errors_below[r, :width] = ZERO
    for first in range(0, len(weight), BLOCK):
        last = min(len(weight), first + BLOCK)
        add_product(errors, m, weight, first, last, errors_below)
        update(weight, first, last, scale, keep, errors, inputs, m, errors, inputs, 0)
        add_rows(bias, scale, errors, m, first, last)
    back_through_sigmoid(errors_below, inputs, m, 0, width)


@compiled
def step_lowest(
    weight: Matrix, bias: Vector, inputs: Matrix, errors: Matrix, m: int, scale: F, keep: F,
    upcoming: Matrix, m_upcoming: int, codes: Matrix,
) -> None:  # fmt: skip
    """Update the lowest layer and encode the next minibatch with it."""
    for first in range(0, len(weight), BLOCK):
        last = min(len(weight), first + BLOCK)
        update(weight, first, last, scale, keep, errors, inputs, m, errors, inputs, 0)
        add_rows(bias, scale, errors, m, first, last)
        encode_block(upcoming, m_upcoming, weight, bias, first, last, codes, False)
