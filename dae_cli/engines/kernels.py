"""The steps of training, compiled: everything for which a block of weights is needed at one visit.

While a block of a layer's units is in the cache, the error goes back through its weights, they are
updated, and the *next* minibatch is encoded, and decoded again, with what they are now. So a step
of pretraining passes over the weights once, where the equations (dae_cli.models) pass over them
five times. One thread, nothing allocated.
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

# Units whose weights stay in the second-level cache while everything is done with them.
BLOCK = 96
# Rows that stay in the second-level cache where no step is taken.
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
    """out (m, units) = sigm(rows · Wᵀ + bias), or without the sigmoid."""
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
    """Parameters of a layer that is pretrained."""

    weight: Matrix
    """W, (hidden, d)."""
    hidden_bias: Vector
    visible_bias: Vector


class Denoising(NamedTuple):
    """A minibatch on its way through an autoencoder; there is none where m is 0."""

    m: int
    clean: Matrix
    corrupted: Matrix
    codes: Matrix
    decoder_input: Matrix
    """Of a tied decoder, before its activation."""


class Gibbs(NamedTuple):
    """A minibatch on its way through an RBM; there is none where m is 0."""

    m: int
    clean: Matrix
    uniforms: Matrix
    """What the first states of the chains are drawn by, (m, hidden)."""
    codes: Matrix
    states: Matrix
    decoder_input: Matrix
    """Of the states."""
    chain_input: Matrix
    """Of the states of the persistent chains; the same matrix where there are none."""


class Errors(NamedTuple):
    """Memory for what a step computes and forgets."""

    visible: Matrix
    """δx, (m, d)."""
    hidden: Matrix
    """δh, (m, hidden)."""
    zeros: Vector
    """No bias, for as many units as there are."""
    row: Vector
    """A row of the weights."""


class Descent(NamedTuple):
    """How a step of gradient descent is taken."""

    scale: F
    """−learning rate / m."""
    keep: F
    """What weight decay leaves of the weights."""
    contraction: F
    """λ of the contractive penalty."""
    squared: bool
    """The loss is the squared error, not the cross-entropy."""


@inlined
def reconstruction_error(
    batch: Denoising, first: int, last: int, squared: bool, out: Matrix
) -> None:
    """Write x̂ − x into `out`, and the cost in the place of what entered the decoder."""
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
    """Encode a minibatch by a block of units, and add what they say to its reconstruction."""
    weight, m = layer.weight, batch.m
    encode_block(batch.corrupted, m, weight, layer.hidden_bias, first, last, batch.codes, False)
    add_product(batch.codes, m, weight, first, last, batch.decoder_input)


@compiled
def begin_tied(layer: Layer, batch: Denoising) -> None:
    """Encode and decode a minibatch that no step before it has encoded."""
    fill_rows(layer.visible_bias, batch.m, batch.decoder_input)
    for first in range(0, len(layer.weight), BLOCK):
        encode_block_tied(layer, batch, first, min(len(layer.weight), first + BLOCK))


@compiled
def step_tied(
    layer: Layer, batch: Denoising, upcoming: Denoising, errors: Errors, how: Descent
) -> float:
    """Take a step of an autoencoder with V = Wᵀ, and encode and decode the next minibatch."""
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
    """Take a step of an autoencoder with weights V of its own, and encode the next minibatch.

    The decoder is passed over once, by blocks of components: decode, error back, update.
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
    """Take the step of a block of the encoder's units, whose errors are known.

    Args:
        m_decoder: m where these are the decoder's weights as well, else 0.

    Returns:
        The cost, with the contractive penalty.
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
    """Add the contractive penalty of a block of units to the errors, and take its step in W.

    Returns:
        The cost and the penalty, summed over the rows (dae_cli.models.autoencoder).
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
    """Encode a minibatch by a block of units, draw their states, and add what these say of x."""
    weight, m = rbm.weight, batch.m
    encode_block(batch.clean, m, weight, rbm.hidden_bias, first, last, batch.codes, False)
    bernoulli(batch.codes, batch.uniforms, m, first, last, batch.states)
    add_product(batch.states, m, weight, first, last, batch.decoder_input)


@compiled
def begin_gibbs(rbm: Layer, batch: Gibbs, chains: Matrix, persistent: bool) -> None:
    """Encode and decode a minibatch, and the persistent chains, that no step has before it."""
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
    """Write P(v|s) of the chains into `visible`; return the cost of the reconstruction of x."""
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
    """Draw ones with these probabilities, else zeros; `out` may be the probabilities."""
    bernoulli(probabilities, uniforms, m, 0, width, out)


@compiled
def decode_states(rbm: Layer, states: Matrix, m: int, visible: Matrix) -> None:
    """Write P(v|s) into `visible`."""
    fill_rows(rbm.visible_bias, m, visible)
    add_product(states, m, rbm.weight, 0, len(rbm.weight), visible)
    apply_sigmoid(visible, m, 0, len(rbm.visible_bias))


@compiled
def step_gibbs(
    rbm: Layer, batch: Gibbs, upcoming: Gibbs, visible: Matrix, hidden: Matrix, scale: F,
    chains: Matrix, chain_uniforms: Matrix, persistent: bool,
) -> None:  # fmt: skip
    """Take a step of contrastive divergence from vᵏ, and begin the chains of the next minibatch.

    Args:
        rbm: its parameters.
        batch: the minibatch, with its codes h⁰.
        upcoming: the next one.
        visible: vᵏ, (m, d).
        hidden: for hᵏ, (m, hidden).
        scale: learning rate / m.
        chains: states of the persistent chains, which move on.
        chain_uniforms: what these are drawn by, (m, hidden).
        persistent: whether there are such chains.
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
    """Write softmax(scores) − targets into `errors`; return the cost −log p[y], summed."""
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
    """Take a layer's errors back to its inputs h, and its step, in one pass over the weights."""
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
    """Take the lowest layer's step, and encode the next minibatch."""
    for first in range(0, len(weight), BLOCK):
        last = min(len(weight), first + BLOCK)
        update(weight, first, last, scale, keep, errors, inputs, m, errors, inputs, 0)
        add_rows(bias, scale, errors, m, first, last)
        encode_block(upcoming, m_upcoming, weight, bias, first, last, codes, False)
