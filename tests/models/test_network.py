"""The stacked network against formulas written out, autograd and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dae_cli.models.network import LabelledMinibatch, Layer, Network

ROWS, D, CLASSES = 6, 5, 3
each_depth = pytest.mark.parametrize("hidden", [(4,), (4, 3), (3, 6, 4)], ids=str)


def network(hidden: tuple[int, ...]) -> Network:
    g = torch.Generator().manual_seed(1)

    def layer(outputs: int, inputs: int) -> Layer:
        weight = torch.randn((outputs, inputs), generator=g, dtype=torch.float64)
        return Layer(weight, torch.randn(outputs, generator=g, dtype=torch.float64))

    layers = [layer(n, below) for below, n in zip((D, *hidden), hidden, strict=False)]
    return Network(layers, layer(CLASSES, hidden[-1]))


def rows() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(2)
    inputs = torch.rand((ROWS, D), generator=g, dtype=torch.float64)
    return inputs, torch.tensor([0, 1, 2, 2, 1, 2])


def forward(net: Network, inputs: Tensor, labels: Tensor) -> tuple[LabelledMinibatch, Tensor]:
    """Return the memory of a forward pass and what enters the softmax."""
    batch = net.minibatch(len(inputs)).fill(inputs, labels)
    return batch, net.forward(batch)


def step(net: Network, inputs: Tensor, labels: Tensor, rate: float) -> LabelledMinibatch:
    """Take one step of gradient descent and return the memory it was taken in."""
    batch = net.minibatch(len(inputs)).fill(inputs, labels)
    net.descend(batch, rate)
    return batch


def tensors(net: Network) -> list[Tensor]:
    return [tensor for layer in net for tensor in (layer.weight, layer.bias)]


def paper_cost(net: Network, inputs: Tensor, labels: Tensor) -> Tensor:
    """The mean of −log p[y], example by example."""
    total = torch.zeros((), dtype=torch.float64)
    for x, y in zip(inputs, labels, strict=True):
        h = x
        for layer in net.layers:
            h = 1 / (1 + torch.exp(-(layer.bias + layer.weight @ h)))
        scores = torch.exp(net.top.bias + net.top.weight @ h)
        total -= torch.log(scores[y] / scores.sum())
    return total / len(labels)


@each_depth
def test_the_gradient_is_autograds(hidden: tuple[int, ...]) -> None:
    (inputs, labels), watched = rows(), network(hidden)
    for tensor in tensors(watched):
        tensor.requires_grad_()
    paper_cost(watched, inputs, labels).backward()  # type: ignore[no-untyped-call]
    gradient = network(hidden).gradient(inputs, labels)
    assert len(gradient) == len(hidden) + 1
    for layer, slope in zip(watched, gradient, strict=True):
        assert layer.weight.grad is not None and layer.bias.grad is not None
        torch.testing.assert_close(slope.weight, layer.weight.grad, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(slope.bias, layer.bias.grad, rtol=1e-10, atol=1e-12)


@each_depth
def test_the_gradient_is_that_of_central_finite_differences(hidden: tuple[int, ...]) -> None:
    net, (inputs, labels), shift = network(hidden), rows(), 1e-5
    slopes = [t for layer in net.gradient(inputs, labels) for t in (layer.weight, layer.bias)]
    for tensor, slope in zip(tensors(net), slopes, strict=True):
        flat = tensor.view(-1)
        for i in range(len(flat)):
            value, costs = flat[i].item(), []
            for moved in (value + shift, value - shift):
                flat[i] = moved
                _, scores = forward(net, inputs, labels)
                costs.append(torch.nn.functional.cross_entropy(scores, labels).item())
            flat[i] = value
            expected = (costs[0] - costs[1]) / (2 * shift)
            assert slope.view(-1)[i].item() == pytest.approx(expected, rel=1e-6, abs=1e-8)


@each_depth
def test_descend_subtracts_rate_times_gradient_of_every_layer(hidden: tuple[int, ...]) -> None:
    net, (inputs, labels) = network(hidden), rows()
    cost = step(net, inputs, labels, 0.3).cost / ROWS
    torch.testing.assert_close(cost, paper_cost(network(hidden), inputs, labels))
    before, gradient = network(hidden), network(hidden).gradient(inputs, labels)
    for layer, old, slope in zip(net, before, gradient, strict=True):
        torch.testing.assert_close(layer.weight, old.weight - 0.3 * slope.weight)
        torch.testing.assert_close(layer.bias, old.bias - 0.3 * slope.bias)


@each_depth
def test_weight_decay_is_the_gradient_of_half_the_squared_weights_biases_left_out(
    hidden: tuple[int, ...],
) -> None:
    (inputs, labels), watched = rows(), network(hidden)
    for tensor in tensors(watched):
        tensor.requires_grad_()
    squares = torch.stack([(layer.weight**2).sum() for layer in watched]).sum()
    (paper_cost(watched, inputs, labels) + 0.05 * squares).backward()  # type: ignore[no-untyped-call]
    gradient = network(hidden).gradient(inputs, labels, weight_decay=0.1)
    net = network(hidden)
    batch = net.minibatch(ROWS).fill(inputs, labels)
    net.descend(batch, 0.3, weight_decay=0.1)
    for layer, slope, after in zip(watched, gradient, net, strict=True):
        assert layer.weight.grad is not None and layer.bias.grad is not None
        torch.testing.assert_close(slope.weight, layer.weight.grad)
        torch.testing.assert_close(slope.bias, layer.bias.grad)
        torch.testing.assert_close(after.weight, layer.weight.detach() - 0.3 * slope.weight)
        torch.testing.assert_close(after.bias, layer.bias.detach() - 0.3 * slope.bias)
    torch.testing.assert_close(batch.cost / ROWS, paper_cost(network(hidden), inputs, labels))


def test_a_step_is_taken_in_place_and_changes_neither_inputs_nor_labels() -> None:
    net, (inputs, labels) = network((4, 3)), rows()
    places = [t.data_ptr() for t in tensors(net)]
    batch = step(net, inputs, labels, 0.3)
    assert [t.data_ptr() for t in tensors(net)] == places
    assert torch.equal(inputs, rows()[0]) and torch.equal(labels, rows()[1])
    assert torch.equal(batch.inputs, inputs)
    assert torch.equal(batch.targets.argmax(1), labels) and batch.targets.sum() == ROWS


def test_the_gradient_is_averaged_over_the_minibatch() -> None:
    net, (inputs, labels) = network((4, 3)), rows()
    each = [net.gradient(inputs[i : i + 1], labels[i : i + 1]) for i in range(ROWS)]
    for k, mean in enumerate(net.gradient(inputs, labels)):
        torch.testing.assert_close(mean.weight, torch.stack([g[k].weight for g in each]).mean(0))
        torch.testing.assert_close(mean.bias, torch.stack([g[k].bias for g in each]).mean(0))


@each_depth
def test_every_hidden_layer_is_a_sigmoid_and_the_top_is_linear_in_its_code(
    hidden: tuple[int, ...],
) -> None:
    net, (inputs, labels) = network(hidden), rows()
    batch, scores = forward(net, inputs, labels)
    codes = batch.codes
    assert torch.equal(codes[0], inputs) and len(codes) == len(hidden) + 1
    for layer, below, code in zip(net.layers, codes, codes[1:], strict=False):
        torch.testing.assert_close(code, torch.sigmoid(layer.bias + below @ layer.weight.T))
    expected = net.top.bias + codes[-1] @ net.top.weight.T
    torch.testing.assert_close(scores, expected, rtol=1e-12, atol=0)


def test_a_softmax_layer_of_zeros_costs_the_logarithm_of_the_number_of_classes() -> None:
    net, (inputs, labels) = network((4,)), rows()
    net.top.weight.zero_()
    net.top.bias.zero_()
    cost = step(net, inputs, labels, 0.1).cost.item() / ROWS
    assert cost == pytest.approx(math.log(CLASSES))


def test_layers_are_listed_lowest_first_and_the_softmax_layer_last() -> None:
    net = network((4, 3))
    assert [layer.weight.shape for layer in net] == [(4, D), (3, 4), (CLASSES, 3)]
    assert list(net)[-1] is net.top


def test_extreme_scores_cost_finitely_and_give_a_finite_gradient() -> None:
    net, (inputs, labels) = network((4,)), rows()
    net.top.weight *= 1e4
    gradient = net.gradient(inputs, labels)
    assert all(t.isfinite().all() for layer in gradient for t in (layer.weight, layer.bias))
    assert step(net, inputs, labels, 0.1).cost.isfinite()


def test_memory_that_is_used_again_gives_what_fresh_memory_gives() -> None:
    again, fresh, (inputs, labels) = network((4, 3)), network((4, 3)), rows()
    batch = again.minibatch(ROWS).fill(inputs.flip(0) * 5, labels.flip(0))
    again.forward(batch)
    for _ in range(3):
        again.descend(batch.fill(inputs, labels), 0.3)
        assert batch.cost.item() == step(fresh, inputs, labels, 0.3).cost.item()
    assert all(torch.equal(a, b) for a, b in zip(tensors(again), tensors(fresh), strict=True))
