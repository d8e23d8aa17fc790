"""Steps of the autoencoder and the network, in double precision, compared with autograd."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.entry_points.equations import (
    AutoencoderSteps,
    NetworkSteps,
    codes,
    initial_weights,
    moved_to,
    scores,
)

pytestmark = pytest.mark.usefixtures("one_thread")

Parameters = dict[str, Tensor]

ROWS, D, HIDDEN, CLASSES = 5, 7, 4, 3
RATE = 0.3
LOSSES = ("cross-entropy", "squared-error")
PENALTIES = ((0.0, 0.0), (0.3, 0.7))
each_loss = pytest.mark.parametrize("loss", LOSSES)


def normal(*shape: int, seed: int) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=g, dtype=torch.float64)


def parameters(tied: bool = True) -> Parameters:
    named = {
        "weight": normal(HIDDEN, D, seed=1),
        "hidden_bias": normal(HIDDEN, seed=2),
        "visible_bias": normal(D, seed=3),
    }
    return named if tied else named | {"decoder_weight": normal(D, HIDDEN, seed=4)}


def zeros(hidden: int, d: int) -> Parameters:
    return {
        "weight": torch.zeros(hidden, d, dtype=torch.float64),
        "hidden_bias": torch.zeros(hidden, dtype=torch.float64),
        "visible_bias": torch.zeros(d, dtype=torch.float64),
    }


def rows() -> tuple[Tensor, Tensor]:
    """Return clean rows in [0, 1], including 0 and 1, and a masked copy."""
    clean = torch.sigmoid(normal(ROWS, D, seed=5))
    clean[0, 0], clean[0, 1] = 0.0, 1.0
    return clean, clean * (normal(ROWS, D, seed=6) > -0.3)


def near(ours: Any, exact: Any) -> None:
    torch.testing.assert_close(ours, exact, rtol=1e-10, atol=1e-12)


def gradient(cost: Tensor, of: list[Tensor]) -> list[Tensor]:
    return list(torch.autograd.grad(cost, of))


# The autoencoder


def jacobian_squared(p: Parameters, x: Tensor) -> Tensor:
    """‖∂h/∂x‖² of one example, computed from the full Jacobian."""

    def code(inputs: Tensor) -> Tensor:
        return torch.sigmoid(p["hidden_bias"] + p["weight"] @ inputs)

    jacobian: Tensor = torch.autograd.functional.jacobian(  # type: ignore[no-untyped-call]
        code, x, create_graph=True
    )
    return (jacobian**2).sum()


def paper_cost(
    p: Parameters, clean: Tensor, corrupted: Tensor, loss: str, contraction: float = 0.0
) -> Tensor:
    """The papers' cost of each example, summed over the rows."""
    decoder = p.get("decoder_weight", p["weight"].T)
    total = torch.zeros((), dtype=torch.float64)
    for x, x_tilde in zip(clean, corrupted, strict=True):
        h = 1 / (1 + torch.exp(-(p["hidden_bias"] + p["weight"] @ x_tilde)))
        a = p["visible_bias"] + decoder @ h
        if loss == "cross-entropy":
            x_hat = 1 / (1 + torch.exp(-a))
            total = total - (x * torch.log(x_hat) + (1 - x) * torch.log(1 - x_hat)).sum()
        else:
            total = total + ((a - x) ** 2).sum() / 2
        if contraction:
            total = total + contraction * jacobian_squared(p, x_tilde)
    return total


@each_loss
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_a_step_subtracts_the_rate_times_the_gradient_of_the_papers_cost(
    loss: str, tied: bool
) -> None:
    clean, corrupted = rows()
    for weight_decay, contraction in PENALTIES:
        before = {name: t.requires_grad_() for name, t in parameters(tied).items()}
        cost = paper_cost(before, clean, corrupted, loss, contraction)
        squares = sum((t**2).sum() for name, t in before.items() if "weight" in name)
        whole = cost / ROWS + weight_decay / 2 * squares
        slopes = gradient(whole, list(before.values()))
        steps = AutoencoderSteps(
            parameters(tied), loss=loss, weight_decay=weight_decay, contraction=contraction
        )
        cost_before = steps.take(clean, corrupted, RATE)
        near(cost_before, cost.detach())  # before the step, without the weight decay term
        after = steps.parameters
        assert after.keys() == before.keys()
        for (name, old), slope in zip(before.items(), slopes, strict=True):
            near(after[name], old.detach() - RATE * slope)
    assert torch.equal(clean, rows()[0]) and torch.equal(corrupted, rows()[1])


def test_the_reconstruction_is_compared_with_the_clean_input_not_the_corrupted_one() -> None:
    # With zero weights the reconstruction is sigm(0) = 1/2 or 0 for every input.
    clean, corrupted = torch.tensor([[1.0, 0.25]]).double(), torch.tensor([[0.0, 0.0]]).double()
    for loss, x_hat in (("cross-entropy", 0.5), ("squared-error", 0.0)):
        steps = AutoencoderSteps(zeros(3, 2), loss=loss)
        cost = steps.take(clean, corrupted, 1.0).item()
        moved = steps.parameters["visible_bias"].tolist()
        assert moved == [1.0 - x_hat, 0.25 - x_hat]
        expected = 2 * math.log(2) if loss == "cross-entropy" else (1 + 0.25**2) / 2
        assert cost == pytest.approx(expected, rel=1e-12)


def test_the_cost_is_summed_over_the_d_components_and_squared_error_has_the_factor_one_half() -> (
    None
):
    ones = torch.ones(10, 784, dtype=torch.float64)
    cross_entropy = AutoencoderSteps(zeros(3, 784)).take(ones, ones, 0.1).item() / 10
    assert cross_entropy == pytest.approx(784 * math.log(2), rel=1e-12)
    squared = AutoencoderSteps(zeros(3, 784), loss="squared-error").take(ones, ones, 0.1) / 10
    assert squared.item() == 784 / 2


@each_loss
def test_tied_weights_are_one_matrix_that_learns_from_the_encoder_and_the_decoder(
    loss: str,
) -> None:
    clean, corrupted = rows()
    start = parameters()
    untied = start | {"decoder_weight": start["weight"].T.clone()}
    one, two = AutoencoderSteps(start, loss=loss), AutoencoderSteps(untied, loss=loss)
    near(one.take(clean, corrupted, RATE), two.take(clean, corrupted, RATE))
    encoder = two.parameters["weight"] - start["weight"]
    decoder = two.parameters["decoder_weight"].T - start["weight"]
    assert (encoder - decoder).abs().max() > 0.01
    near(one.parameters["weight"], start["weight"] + encoder + decoder)


def test_the_cost_stays_finite_where_the_decoder_saturates() -> None:
    clean, corrupted = rows()
    for sign, wrong in ((1, 1 - clean), (-1, clean)):
        start = parameters() | {"visible_bias": torch.full((D,), 1000.0 * sign).double()}
        steps = AutoencoderSteps(start)
        cost = steps.take(clean, corrupted, 0.1).item()
        assert cost == pytest.approx(1000 * wrong.sum().item(), rel=0.05)
        assert all(t.isfinite().all() for t in steps.parameters.values())


def test_the_code_for_the_layer_above_is_the_sigmoid_of_its_uncorrupted_input() -> None:
    p, (clean, _) = parameters(), rows()
    exact = 1 / (1 + torch.exp(-(p["hidden_bias"] + clean @ p["weight"].T)))
    for kind in ("autoencoder", "rbm"):
        near(codes(kind, p, clean), exact)


def test_every_parameter_goes_to_the_device() -> None:
    for kind, p in (("autoencoder", parameters(tied=False)), ("rbm", parameters())):
        there = moved_to("meta", kind, p)
        assert there.keys() == p.keys() and all(tensor.is_meta for tensor in there.values())


# The network


def test_a_step_of_fine_tuning_subtracts_the_rate_times_the_gradient_from_every_layer() -> None:
    inputs, labels = torch.sigmoid(normal(6, D, seed=7)), torch.tensor([0, 1, 2, 2, 1, 2])
    for hidden in ((4,), (4, 3), (3, 6, 4)):
        shapes = list(pairwise((D, *hidden, CLASSES)))
        net = [(normal(n, m, seed=10 + n), normal(n, seed=20 + n)) for m, n in shapes]
        steps = NetworkSteps(net, weight_decay=0.1)
        before = [(w.clone().requires_grad_(), b.clone().requires_grad_()) for w, b in net]
        a = inputs
        for weight, bias in before[:-1]:
            a = 1 / (1 + torch.exp(-(bias + a @ weight.T)))
        a = before[-1][1] + a @ before[-1][0].T  # the softmax layer is linear in the last code
        near(scores(net, inputs), a.detach())
        cost = -torch.log(torch.exp(a)[range(6), labels] / torch.exp(a).sum(1)).sum()
        squares = torch.stack([(weight**2).sum() for weight, _ in before]).sum()
        flat = [tensor for layer in before for tensor in layer]
        slopes = gradient(cost / 6 + 0.1 / 2 * squares, flat)
        near(steps.take(inputs, labels, RATE), cost.detach())
        after = [tensor for layer in steps.layers for tensor in layer]
        near(after, [t.detach() - RATE * s for t, s in zip(flat, slopes, strict=True)])


# Initial weights


def test_initial_weights_are_uniform_up_to_a_root_of_6_over_fan_in_plus_fan_out() -> None:
    def stream() -> np.random.Generator:
        return np.random.Generator(np.random.SFC64(0))

    for init, factor in (("glorot", 1), ("tutorial", 4)):
        weights = initial_weights(60, 784, init, stream(), torch.float64)
        limit = factor * math.sqrt(6 / (784 + 60))
        uniform = stream().random((60, 784))  # uses 53 bits of each raw number
        exact = torch.from_numpy((2 * uniform - 1) * limit)
        torch.testing.assert_close(weights, exact, rtol=1e-15, atol=0)
        assert 0.999 * limit < weights.abs().max().item() <= limit
        single = initial_weights(60, 784, init, stream(), torch.float32)
        assert torch.equal(single, weights.float()) and single.is_contiguous()
