"""What cannot be multiplied as it lies is refused: an engine that writes to addresses must look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dae_cli.models.operations import Operations

# No two sizes alike, so that no operand fits by chance.
M, UNITS, INPUTS = 6, 4, 9

OPERANDS: dict[str, dict[str, tuple[int, ...]]] = {
    "times_transposed": {
        "rows": (M, INPUTS),
        "weight": (UNITS, INPUTS),
        "bias": (UNITS,),
        "out": (M, UNITS),
    },
    "times": {"rows": (M, UNITS), "weight": (UNITS, INPUTS), "bias": (INPUTS,), "out": (M, INPUTS)},
    "accumulate": {"weight": (UNITS, INPUTS), "left": (M, UNITS), "right": (M, INPUTS)},
    "sigmoid_": {"values": (M, UNITS)},
    "through_sigmoid_": {"error": (M, UNITS), "code": (M, UNITS)},
    "cross_entropy": {"decoder_input": (M, INPUTS), "clean": (M, INPUTS), "error": (M, INPUTS)},
}
OTHERS: dict[str, dict[str, Any]] = {
    "accumulate": {"scale": 0.5},
    "cross_entropy": {"cost": torch.zeros(())},
}

Fault = Callable[[Tensor], Tensor]
KINDS: dict[str, Fault] = {
    "double": lambda t: t.double(),
    "half": lambda t: t.half(),
    "integers": lambda t: t.int(),
    "every other number": lambda t: t.repeat_interleave(2, dim=-1)[..., ::2],
}
SIZES: dict[str, Fault] = {
    "one less": lambda t: t[:-1],
    "one more": lambda t: torch.cat((t, t[:1])),
    "one": lambda t: t[:1],
}
OF_MATRICES: dict[str, Fault] = {
    "in columns": lambda t: t.T.contiguous().T,
    "a column less": lambda t: t[:, :-1].contiguous(),
    "a column more": lambda t: torch.cat((t, t[:, :1]), dim=1),
    "turned": lambda t: t.T.contiguous(),
}


def cases(operations: list[str], faults: dict[str, Fault], vectors: bool) -> list[Any]:
    """Return every operand of these operations with every one of these faults."""
    return [
        pytest.param(name, operand, fault, id=f"{name} {operand} {label}")
        for name in operations
        for operand, shape in OPERANDS[name].items()
        for label, fault in faults.items()
        if vectors or len(shape) == 2
    ]


def attempt(operations: Operations, name: str, operand: str, fault: Fault) -> dict[str, Tensor]:
    """Run an operation on ones, with one faulty operand, and return the operands."""
    operands = {key: torch.ones(shape) for key, shape in OPERANDS[name].items()}
    operands[operand] = fault(operands[operand])
    with pytest.raises(ValueError, match=r"^expected .*found "):
        getattr(operations, name)(**operands, **OTHERS.get(name, {}))
    return operands


PRODUCTS = ["times_transposed", "times", "accumulate"]
CURVES = ["through_sigmoid_", "cross_entropy"]
REFUSED = [
    *cases(PRODUCTS, KINDS | SIZES, vectors=True),
    *cases(PRODUCTS, OF_MATRICES, vectors=False),
    *cases(CURVES, KINDS | SIZES | OF_MATRICES, vectors=False),
    *cases(["sigmoid_"], KINDS, vectors=False),
]


@pytest.mark.parametrize(("name", "operand", "fault"), REFUSED)
def test_the_compiled_engine_refuses_what_does_not_fit_and_writes_nothing(
    compiled: Operations, name: str, operand: str, fault: Fault
) -> None:
    for tensor in attempt(compiled, name, operand, fault).values():
        assert (tensor == 1).all()


@pytest.mark.parametrize(
    ("name", "operand", "fault"),
    cases(PRODUCTS, KINDS | {"in columns": OF_MATRICES["in columns"]}, vectors=False),
)
@pytest.mark.parametrize("operations", ["blas"], indirect=True)
def test_blas_refuses_what_it_would_copy(
    operations: Operations, name: str, operand: str, fault: Fault
) -> None:
    attempt(operations, name, operand, fault)


@pytest.mark.parametrize(
    ("name", "operand", "fault"),
    cases(list(OPERANDS), {"elsewhere": lambda t: t.to("meta")}, vectors=True),
)
def test_the_compiled_engine_takes_no_address_on_another_device(
    compiled: Operations, name: str, operand: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dae_cli.engines import kernels

    def must_not_run(*_: object) -> None:
        raise AssertionError("a kernel was given an address of another device")

    monkeypatch.setattr(kernels, name.rstrip("_"), must_not_run)
    attempt(compiled, name, operand, fault)


@pytest.mark.parametrize("name", OPERANDS)
def test_a_vector_in_place_of_a_matrix_is_refused(compiled: Operations, name: str) -> None:
    for operand, shape in OPERANDS[name].items():
        operands = {key: torch.ones(shape) for key, shape in OPERANDS[name].items()}
        if len(shape) == 2:
            operands[operand] = operands[operand].flatten()
            with pytest.raises((ValueError, IndexError)):
                getattr(compiled, name)(**operands, **OTHERS.get(name, {}))


def test_the_refusal_names_what_was_expected_and_what_was_found(compiled: Operations) -> None:
    rows, weight, out = torch.ones(6, 9), torch.ones(4, 9), torch.ones(6, 4)
    for operands, expected, found in (
        ((rows, weight, None, out.double()), "float32 (6, 4)", "torch.float64 (6, 4)"),
        ((rows, weight, None, torch.ones(6, 5)), "float32 (6, 4)", "torch.float32 (6, 5)"),
        ((rows, weight, torch.ones(5), out), "float32 (4,)", "torch.float32 (5,)"),
    ):
        with pytest.raises(ValueError) as raised:
            compiled.times_transposed(*operands)
        text = str(raised.value)
        assert text.startswith(f"expected {expected}") and f"found {found}" in text
