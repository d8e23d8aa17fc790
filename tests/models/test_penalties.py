"""Weight decay and the contractive penalty against the Jacobian itself, autograd and a step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dae_cli.engines.engine import engine_for
from dae_cli.engines.names import ENGINES
from dae_cli.models.autoencoder import Autoencoder

ROWS, D, HIDDEN = 5, 7, 4
each_tying = pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
each_penalty = pytest.mark.parametrize(
    ("decay", "contraction"), [(0.3, 0.0), (0.0, 0.7), (0.3, 0.7)], ids=["decay", "contr", "both"]
)


def autoencoder(tied: bool, weight_decay: float = 0.0, contraction: float = 0.0) -> Autoencoder:
    g = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g, dtype=torch.float64)

    weight, b, c = draw(HIDDEN, D), draw(HIDDEN), draw(D)
    decoder = None if tied else draw(D, HIDDEN)
    return Autoencoder(weight, b, c, "squared-error", decoder, weight_decay, contraction)


def rows() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(2)
    clean = torch.randn((ROWS, D), generator=g, dtype=torch.float64)
    return clean, clean + 0.3 * torch.randn((ROWS, D), generator=g, dtype=torch.float64)


def squared_jacobian(model: Autoencoder, x: Tensor) -> Tensor:
    """‖∂h/∂x‖² of one example, from the Jacobian written out."""

    def code(inputs: Tensor) -> Tensor:
        return torch.sigmoid(model.hidden_bias + model.weight @ inputs)

    jacobian = torch.autograd.functional.jacobian(  # type: ignore[no-untyped-call]
        code, x, create_graph=True
    )
    return (jacobian**2).sum()  # type: ignore[no-any-return]


def written_out(model: Autoencoder, clean: Tensor, corrupted: Tensor) -> Tensor:
    """The mean cost with both penalties, example by example."""
    decoder = model.weight.T if model.decoder_weight is None else model.decoder_weight
    total = torch.zeros((), dtype=torch.float64)
    for x, x_tilde in zip(clean, corrupted, strict=True):
        h = torch.sigmoid(model.hidden_bias + model.weight @ x_tilde)
        total = total + 0.5 * ((model.visible_bias + decoder @ h - x) ** 2).sum()
        total = total + model.contraction * squared_jacobian(model, x_tilde)
    weights = [model.weight] if model.decoder_weight is None else [model.weight, decoder]
    return total / len(clean) + model.weight_decay / 2 * sum((w**2).sum() for w in weights)


def test_the_contractive_penalty_is_the_squared_norm_of_the_jacobian() -> None:
    model, (clean, corrupted) = autoencoder(True, contraction=0.7), rows()
    plain = replace(model, contraction=0.0)
    costs = []
    for one in (model, plain):
        batch = one.minibatch(ROWS).fill(clean, corrupted)
        one.errors(batch)
        costs.append(batch.cost)
    penalty = sum(squared_jacobian(model, x) for x in corrupted)
    torch.testing.assert_close(costs[0] - costs[1], 0.7 * torch.as_tensor(penalty))


@each_tying
@each_penalty
def test_the_gradient_with_penalties_is_autograds(
    tied: bool, decay: float, contraction: float
) -> None:
    model = autoencoder(tied, weight_decay=decay, contraction=contraction)
    clean, corrupted = rows()
    watched = {n: t.clone().requires_grad_() for n, t in model.parameters().items()}
    written_out(replace(model, **watched), clean, corrupted).backward()  # type: ignore[no-untyped-call, arg-type]
    gradient = model.gradient(clean, corrupted)
    assert gradient.keys() == watched.keys()
    for name, tensor in watched.items():
        torch.testing.assert_close(gradient[name], tensor.grad, rtol=1e-10, atol=1e-12)


@each_tying
@each_penalty
def test_a_step_with_penalties_subtracts_rate_times_gradient(
    tied: bool, decay: float, contraction: float
) -> None:
    model = autoencoder(tied, weight_decay=decay, contraction=contraction)
    clean, corrupted = rows()
    before = {name: tensor.clone() for name, tensor in model.parameters().items()}
    gradient = model.gradient(clean, corrupted)
    model.descend(model.minibatch(ROWS).fill(clean, corrupted), 0.3)
    for name, tensor in model.parameters().items():
        torch.testing.assert_close(tensor, before[name] - 0.3 * gradient[name])


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_takes_the_same_step_with_penalties(engine: str) -> None:
    penalties = {"weight_decay": 0.3, "contraction": 0.7}
    reference = autoencoder(True, **penalties)
    clean, corrupted = rows()
    reference.descend(reference.minibatch(ROWS).fill(clean, corrupted), 0.1)
    single = {n: t.float() for n, t in autoencoder(True).parameters().items()}
    model = Autoencoder(**single, loss="squared-error", **penalties)  # type: ignore[arg-type]
    operations = engine_for(engine, torch.device("cpu")).operations  # type: ignore[arg-type]
    model.lay_out(operations)
    batch = model.minibatch(ROWS, operations).fill(clean.float(), corrupted.float())
    model.descend(batch, 0.1, operations)
    for name, tensor in reference.parameters().items():
        torch.testing.assert_close(model.parameters()[name], tensor.float(), rtol=1e-5, atol=1e-6)


def test_weight_decay_leaves_the_biases_and_the_cost_told_alone() -> None:
    clean, corrupted = rows()
    costs, biases = [], []
    for decay in (0.0, 0.9):
        model = autoencoder(True, weight_decay=decay)
        batch = model.minibatch(ROWS).fill(clean, corrupted)
        model.descend(batch, 0.1)
        costs.append(batch.cost.item())
        biases.append(model.hidden_bias)
    assert costs[0] == costs[1]
    assert torch.equal(*biases)
