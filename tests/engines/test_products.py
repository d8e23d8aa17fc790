"""The three products of every engine against double precision, at the edge of every tile."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dae_cli.models.operations import Operations, laid_out

Name = Literal["times_transposed", "times", "accumulate"]
Draw = Callable[..., Tensor]
Guard = Callable[..., Any]
Check = Callable[..., None]

ROWS = [1, 2, 3, 5, 7, 10, 11, 20, 23, 100, 161]
WIDTHS = [1, 3, 15, 16, 17, 31, 32, 33, 48, 49, 784, 1000]
TERMS = [1, 2, 3, 4, 15, 16, 17, 31, 32, 33, 49, 50, 51, 99, 100, 101, 150, 200, 784, 1000]

# The result is (a, b), the sums have k terms.
FACTORS: dict[Name, tuple[str, str]] = {
    "times_transposed": ("ak", "bk"),
    "times": ("ak", "kb"),
    "accumulate": ("ka", "kb"),
}
SCALE = -0.3
each_product = pytest.mark.parametrize("name", FACTORS)


def multiply(
    operations: Operations, name: Name, x: Tensor, y: Tensor, bias: Tensor | None, out: Tensor
) -> None:
    """Run a product; the one that adds to its result adds it times SCALE."""
    if name == "times_transposed":
        assert operations.times_transposed(x, y, bias, out) is out
    elif name == "times":
        assert operations.times(x, y, bias, out) is out
    else:
        operations.accumulate(out, x, y, SCALE)


def in_double(name: Name, x: Tensor, y: Tensor, start: Tensor) -> Tensor:
    """Return the result as it should be; `start` is the bias, or what is added to."""
    left, right = FACTORS[name]
    scale = SCALE if name == "accumulate" else 1.0
    return start + scale * torch.einsum(f"{left},{right}->ab", x.double(), y.double())


@pytest.fixture(scope="session")
def check(operations: Operations, draw: Draw, guarded: Guard) -> Check:
    """Check a product whose result is (a, b), with sums of so many terms."""

    def run(name: Name, a: int, b: int, terms: int, bias: bool = True, gap: int = 0) -> None:
        sizes, (left, right) = {"a": a, "b": b, "k": terms}, FACTORS[name]
        x = guarded(draw(*(sizes[axis] for axis in left), seed=1), gap)
        y = guarded(draw(*(sizes[axis] for axis in right), seed=2), gap)
        if name == "accumulate":
            start = draw(a, b, seed=3)
            out, vector = guarded(start, gap, guard=9.0), None
        else:  # what is in the memory of the result must not matter
            vector = guarded(draw(b, seed=3)) if bias else None
            start = vector.view if vector else torch.zeros(b)
            out = guarded(torch.full((a, b), math.nan), gap, guard=9.0)
        expected = in_double(name, x.view, y.view, start)
        sign = math.copysign(1, SCALE) if name == "accumulate" else 1.0
        magnitude = in_double(name, x.view.abs(), sign * y.view.abs(), start.abs())
        multiply(operations, name, x.view, y.view, vector.view if vector else None, out.view)
        rounding = torch.finfo(torch.float32).eps * (2 + math.sqrt(terms)) * magnitude
        where = f"{name} to ({a}, {b}), {terms} terms"
        assert ((out.view - expected).abs() <= rounding).all(), where
        assert out.guards_stand, f"{where}: something else was written"
        assert x.unchanged and y.unchanged and (vector is None or vector.unchanged), where

    return run


@pytest.mark.parametrize("terms", [1, 20, 100, 101, 250])
@pytest.mark.parametrize("units", [1, 3, 11, 23])
def test_accumulating_may_shrink_what_was_there_once(
    operations: Operations, draw: Draw, units: int, terms: int
) -> None:
    left, right, start = draw(terms, units), draw(terms, 49), draw(units, 49, seed=3)
    x, y = (laid_out(tensor, operations) for tensor in (left, right))
    out, as_before = laid_out(start, operations), laid_out(start, operations)
    operations.accumulate(out, x, y, SCALE, 0.75)
    torch.testing.assert_close(out, 0.75 * start + SCALE * left.T @ right, rtol=1e-5, atol=1e-4)
    operations.accumulate(as_before, x, y, SCALE, 1.0)
    again = laid_out(start, operations)
    operations.accumulate(again, x, y, SCALE)
    assert torch.equal(as_before, again)


@each_product
def test_results_of_any_size_are_those_of_double_precision(check: Check, name: Name) -> None:
    for k, (rows, width) in enumerate(product(ROWS, WIDTHS)):
        check(name, rows, width, terms=19, bias=k % 2 == 0)


@each_product
def test_sums_of_any_number_of_terms_are_those_of_double_precision(
    check: Check, name: Name
) -> None:
    for k, terms in enumerate(TERMS):
        check(name, 12, 33, terms, bias=k % 2 == 0)


@each_product
@given(st.integers(1, 50), st.integers(1, 70), st.integers(1, 120), st.booleans())
def test_every_size_works(check: Check, name: Name, a: int, b: int, terms: int, bias: bool) -> None:
    check(name, a, b, terms, bias)


@each_product
@pytest.mark.parametrize("gap", [1, 5, 16])
@pytest.mark.parametrize("operations", ["torch", "compiled"], indirect=True)  # BLAS refuses them
def test_rows_may_lie_at_a_distance_from_one_another(check: Check, name: Name, gap: int) -> None:
    for rows, width, terms in ((1, 1, 1), (3, 17, 5), (23, 49, 51), (20, 784, 33), (161, 33, 20)):
        check(name, rows, width, terms, gap=gap)


@each_product
def test_memory_of_the_operations_own_layout_may_be_multiplied(
    operations: Operations, draw: Draw, name: Name
) -> None:
    def laid_out(values: Tensor) -> Tensor:
        memory = operations.zeros(values.shape[0], values.shape[1], like=values)
        assert memory.shape == values.shape and not memory.any()
        return memory.copy_(values)

    for a, b, k in ((20, 49, 33), (7, 1, 17)):
        sizes, (left, right) = {"a": a, "b": b, "k": k}, FACTORS[name]
        x = laid_out(draw(*(sizes[axis] for axis in left), seed=1))
        y = laid_out(draw(*(sizes[axis] for axis in right), seed=2))
        out = laid_out(torch.zeros(a, b))
        multiply(operations, name, x, y, None, out)
        expected = in_double(name, x, y, torch.zeros(b)).float()
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)


@each_product
def test_a_factor_of_zeros_leaves_the_start_bit_for_bit(
    operations: Operations, draw: Draw, name: Name
) -> None:
    start = draw(12, seed=1)
    out = start.expand(12, 12).clone()
    multiply(operations, name, draw(12, 12), torch.zeros(12, 12), start, out)
    assert torch.equal(out, start.expand(12, 12))


@each_product
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_goes_on_into_the_result(
    operations: Operations, draw: Draw, name: Name, value: float
) -> None:
    for k in range(20):  # in every place of a tile and of a vector
        x, out = draw(20, 20), torch.zeros(20, 20)
        x[k, k] = value
        multiply(operations, name, x, draw(20, 20, seed=1), None, out)
        assert not out[k].isfinite().any()
        assert out[torch.arange(20) != k].isfinite().all()


@each_product
def test_the_same_arguments_give_the_same_bits(
    operations: Operations, draw: Draw, name: Name
) -> None:
    results = [torch.zeros(33, 33) for _ in range(3)]
    for out in results:
        multiply(operations, name, draw(33, 33), draw(33, 33, seed=1), None, out)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


@each_product
def test_the_compiled_products_give_the_same_bits_wherever_the_memory_lies(
    compiled: Operations, draw: Draw, guarded: Guard, name: Name
) -> None:
    a, b, k = 23, 49, 51
    sizes, (left, right) = {"a": a, "b": b, "k": k}, FACTORS[name]
    x, y = (draw(*(sizes[axis] for axis in axes), seed=2) for axes in (left, right))
    bias, start = draw(b, seed=3), draw(a, b, seed=4)
    expected = start.clone()
    multiply(compiled, name, x, y, bias, expected)
    for place in range(17):
        moved = [
            guarded(matrix, gap=gap, offset=place * step).view
            for matrix, gap, step in ((x, place, 1), (y, 3, 5), (start, 16 - place, 3))
        ]
        multiply(compiled, name, moved[0], moved[1], guarded(bias, offset=place).view, moved[2])
        assert torch.equal(moved[2], expected), f"{place} numbers further on"
