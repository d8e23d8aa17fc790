"""The nonlinear operations of every engine against double precision, at both ends and beyond."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dae_cli.models.operations import Operations

Draw = Callable[..., Tensor]
Guard = Callable[..., Any]

# Widths at the ends of vectors and, from 1599, where a logarithm is taken of a product.
SHAPES = [(3, width) for width in (*range(1, 50), 784, 1000, 1599, 1600, 1601, 3300)]
EXTREMES = [0.0, 1e-8, 1e-3, 1.0, 20.0, 86.9, 90.0, 1e4, 1e30]
EPSILON = torch.finfo(torch.float32).eps
each_gap = pytest.mark.parametrize("gap", [0, 1, 5])


def cost_of(a: Tensor, x: Tensor) -> Tensor:
    """Return log(1 + eᵃ) − x a in double precision."""
    a, x = a.double(), x.double()
    return a.clamp(min=0) - x * a + torch.log1p(torch.exp(-a.abs()))


@each_gap
def test_sigmoid_is_that_of_double_precision(
    operations: Operations, draw: Draw, guarded: Guard, gap: int
) -> None:
    for shape in SHAPES:
        values = draw(*shape) * 30
        here = guarded(values, gap)
        assert operations.sigmoid_(here.view) is here.view
        expected = torch.sigmoid(values.double())
        torch.testing.assert_close(here.view.double(), expected, rtol=4 * EPSILON, atol=2e-38)
        assert here.guards_stand


@each_gap
def test_an_error_goes_back_through_the_sigmoid_as_in_double_precision(
    operations: Operations, draw: Draw, guarded: Guard, gap: int
) -> None:
    for shape in SHAPES:
        values = draw(*shape)
        error, code = guarded(values, gap), guarded(torch.sigmoid(3 * draw(*shape, seed=1)), gap)
        assert operations.through_sigmoid_(error.view, code.view) is error.view
        h = code.view.double()
        difference = error.view - values.double() * h * (1 - h)
        assert (difference.abs() <= 2 * EPSILON * values.abs()).all()
        assert error.guards_stand and code.unchanged


@each_gap
def test_cross_entropy_and_its_error_are_those_of_double_precision(
    operations: Operations, draw: Draw, guarded: Guard, gap: int
) -> None:
    for shape in SHAPES:
        a, x = guarded(10 * draw(*shape), gap), guarded(torch.sigmoid(draw(*shape, seed=1)), gap)
        error, cost = guarded(torch.full(shape, math.nan), gap, guard=9.0), torch.tensor(7.0)
        place = cost.data_ptr()
        operations.cross_entropy(a.view, x.view, error.view, cost)
        expected = torch.sigmoid(a.view.double()) - x.view
        torch.testing.assert_close(error.view.double(), expected, rtol=0, atol=2 * EPSILON)
        assert cost.item() == pytest.approx(cost_of(a.view, x.view).sum().item(), rel=3e-6)
        assert cost.data_ptr() == place
        assert error.guards_stand and a.unchanged and x.unchanged


@pytest.mark.parametrize("size", EXTREMES)
def test_extreme_inputs_give_the_values_of_the_formulas(
    operations: Operations, size: float
) -> None:
    for a in (torch.full((2, 18), size), torch.full((2, 18), -size)):
        code = operations.sigmoid_(a.clone()).double()
        torch.testing.assert_close(code, torch.sigmoid(a.double()), rtol=4 * EPSILON, atol=2e-38)
        for clean in (0.0, 0.3, 1.0):
            x, error, cost = torch.full((2, 18), clean), torch.empty(2, 18), torch.empty(())
            operations.cross_entropy(a, x, error, cost)
            # Where the cost is next to nothing beside a, it may be nothing.
            near = 36 * (3e-9 + EPSILON * size)
            assert cost.item() == pytest.approx(cost_of(a, x).sum().item(), rel=1e-6, abs=near)
            torch.testing.assert_close(error.double(), code - x, rtol=0, atol=2 * EPSILON)


def test_what_saturates_lets_no_error_through(operations: Operations) -> None:
    for end in (0.0, 1.0):
        error = torch.full((2, 18), 1e30)
        assert not operations.through_sigmoid_(error, torch.full((2, 18), end)).any()


def test_an_infinite_input_saturates_and_costs_no_finite_number(operations: Operations) -> None:
    for value, code in ((math.inf, 1.0), (-math.inf, 0.0)):
        a = torch.full((1, 5), value)
        error, cost = torch.empty(1, 5), torch.empty(())
        operations.cross_entropy(a, torch.full((1, 5), 0.25), error, cost)
        assert not cost.isfinite()
        torch.testing.assert_close(error, torch.full((1, 5), code - 0.25))
        torch.testing.assert_close(operations.sigmoid_(a), torch.full((1, 5), code))


@pytest.mark.parametrize("width", [1, 16, 17, 40])
def test_nan_stays_nan_so_that_divergence_is_seen(operations: Operations, width: int) -> None:
    for k in range(width):  # in every place of a vector
        broken, sound = torch.zeros(1, width), torch.full((1, width), 0.5)
        broken[0, k] = math.nan
        expected = broken.isnan()
        assert torch.equal(operations.sigmoid_(broken.clone()).isnan(), expected)
        for error, code in ((broken, sound), (sound, broken)):
            through = operations.through_sigmoid_(error.clone(), code)
            assert torch.equal(through.isnan(), expected)
        for a, x in ((broken, sound), (sound, broken)):
            error, cost = torch.zeros(1, width), torch.zeros(())
            operations.cross_entropy(a, x, error, cost)
            assert torch.equal(error.isnan(), expected)
            assert cost.isnan()


@pytest.mark.parametrize("shape", [(20, 784), (161, 1000), (1, 1), (2, 4800)])
def test_a_cost_is_summed_without_overflow(operations: Operations, shape: tuple[int, int]) -> None:
    zeros, error, cost = torch.zeros(shape), torch.empty(shape), torch.empty(())
    operations.cross_entropy(zeros, torch.full(shape, 0.5), error, cost)
    assert cost.item() == pytest.approx(zeros.numel() * math.log(2), rel=1e-6)
    assert not error.any()


def test_the_compiled_curves_give_the_same_bits_wherever_the_memory_lies(
    compiled: Operations, draw: Draw, guarded: Guard
) -> None:
    a, x = 5 * draw(7, 49), torch.sigmoid(draw(7, 49, seed=1))
    code, error, cost = compiled.sigmoid_(a.clone()), torch.empty(7, 49), torch.empty(())
    compiled.cross_entropy(a, x, error, cost)
    through = compiled.through_sigmoid_(error.clone(), code)
    for place in range(17):
        here, there = (guarded(t, gap=16 - place, offset=place).view for t in (a, x))
        result, again = guarded(error, gap=place, offset=3 * place).view, torch.empty(())
        compiled.cross_entropy(here, there, result, again)
        assert torch.equal(result, error) and torch.equal(again, cost)
        assert torch.equal(compiled.sigmoid_(here), code)
        assert torch.equal(compiled.through_sigmoid_(result, here), through)
