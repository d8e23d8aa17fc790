"""The autoencoder against formulas written out, autograd and finite differences, in float64."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dae_cli.models.autoencoder import Autoencoder, LossKind

ROWS, D, HIDDEN = 5, 7, 4
LOSSES: list[LossKind] = ["cross-entropy", "squared-error"]
each_loss = pytest.mark.parametrize("loss", LOSSES)
each_tying = pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])


def autoencoder(tied: bool, loss: LossKind, d: int = D) -> Autoencoder:
    g = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g, dtype=torch.float64)

    weight, b, c = draw(HIDDEN, d), draw(HIDDEN), draw(d)
    return Autoencoder(weight, b, c, loss, None if tied else draw(d, HIDDEN))


def minibatch(d: int = D) -> tuple[Tensor, Tensor]:
    """Return clean rows in [0, 1], ends included, and a masked copy."""
    g = torch.Generator().manual_seed(2)
    clean = torch.rand((ROWS, d), generator=g, dtype=torch.float64)
    clean[0, 0], clean[0, 1] = 0.0, 1.0
    return clean, clean * (torch.rand((ROWS, d), generator=g) > 0.4)


def named(model: Autoencoder) -> dict[str, Tensor]:
    tensors = {
        "weight": model.weight,
        "hidden_bias": model.hidden_bias,
        "visible_bias": model.visible_bias,
    }
    if model.decoder_weight is not None:
        tensors["decoder_weight"] = model.decoder_weight
    return tensors


def copied(model: Autoencoder, requires_grad: bool = False) -> Autoencoder:
    own = {name: t.clone().requires_grad_(requires_grad) for name, t in named(model).items()}
    decoder = own.get("decoder_weight")
    return Autoencoder(own["weight"], own["hidden_bias"], own["visible_bias"], model.loss, decoder)


def paper_cost(model: Autoencoder, clean: Tensor, corrupted: Tensor) -> Tensor:
    """The cost as the paper writes it, example by example."""
    decoder = model.weight.T if model.decoder_weight is None else model.decoder_weight
    total = torch.zeros((), dtype=torch.float64)
    for x, x_tilde in zip(clean, corrupted, strict=True):
        h = 1 / (1 + torch.exp(-(model.hidden_bias + model.weight @ x_tilde)))
        a = model.visible_bias + decoder @ h
        if model.loss == "cross-entropy":
            x_hat = 1 / (1 + torch.exp(-a))
            total -= (x * torch.log(x_hat) + (1 - x) * torch.log(1 - x_hat)).sum()
        else:
            total += 0.5 * ((a - x) ** 2).sum()
    return total / len(clean)


@each_loss
@each_tying
def test_the_cost_is_the_papers_formula(tied: bool, loss: LossKind) -> None:
    model, (clean, corrupted) = autoencoder(tied, loss), minibatch()
    expected = paper_cost(model, clean, corrupted)
    torch.testing.assert_close(model.errors(clean, corrupted).cost, expected)
    decoder_input = model.decoder_input(model.encode(corrupted))
    torch.testing.assert_close(model.cost(clean, decoder_input), expected)


@each_loss
@each_tying
def test_the_gradient_is_autograds(tied: bool, loss: LossKind) -> None:
    model, (clean, corrupted) = autoencoder(tied, loss), minibatch()
    watched = copied(model, requires_grad=True)
    paper_cost(watched, clean, corrupted).backward()  # type: ignore[no-untyped-call]
    gradient = model.gradient(clean, corrupted)
    assert gradient.keys() == named(watched).keys()
    for name, tensor in named(watched).items():
        assert tensor.grad is not None
        torch.testing.assert_close(gradient[name], tensor.grad, rtol=1e-10, atol=1e-12)


@each_loss
@each_tying
def test_the_gradient_is_that_of_central_finite_differences(tied: bool, loss: LossKind) -> None:
    model, (clean, corrupted) = autoencoder(tied, loss), minibatch()
    gradient, step = model.gradient(clean, corrupted), 1e-5
    for name, tensor in named(model).items():
        flat, slopes = tensor.view(-1), []
        for i in range(len(flat)):
            value = flat[i].item()
            flat[i] = value + step
            above = model.errors(clean, corrupted).cost.item()
            flat[i] = value - step
            below = model.errors(clean, corrupted).cost.item()
            flat[i] = value
            slopes.append((above - below) / (2 * step))
        expected = torch.tensor(slopes, dtype=torch.float64).view_as(tensor)
        torch.testing.assert_close(gradient[name], expected, rtol=1e-6, atol=1e-8)


@each_loss
@each_tying
def test_descend_subtracts_rate_times_gradient_in_place(tied: bool, loss: LossKind) -> None:
    model, (clean, corrupted) = autoencoder(tied, loss), minibatch()
    before, places = named(copied(model)), [t.data_ptr() for t in named(model).values()]
    gradient, cost = model.gradient(clean, corrupted), model.errors(clean, corrupted).cost
    returned = model.descend(clean, corrupted, 0.3)
    assert returned.item() == cost.item()  # of before the step
    for name, tensor in named(model).items():
        expected = before[name] - 0.3 * gradient[name]
        torch.testing.assert_close(tensor, expected, rtol=1e-12, atol=1e-13)
    assert [t.data_ptr() for t in named(model).values()] == places


@each_loss
@each_tying
def test_neither_the_gradient_nor_a_step_changes_the_minibatch(tied: bool, loss: LossKind) -> None:
    model, (clean, corrupted) = autoencoder(tied, loss), minibatch()
    model.gradient(clean, corrupted)
    model.descend(clean, corrupted, 0.3)
    assert torch.equal(clean, minibatch()[0])
    assert torch.equal(corrupted, minibatch()[1])


@each_loss
def test_small_steps_lower_the_cost(loss: LossKind) -> None:
    model, (clean, corrupted) = autoencoder(True, loss), minibatch()
    costs = [model.descend(clean, corrupted, 0.05).item() for _ in range(30)]
    assert costs == sorted(costs, reverse=True)


@each_loss
def test_the_cost_is_summed_over_the_components(loss: LossKind) -> None:
    model, (clean, corrupted) = autoencoder(True, loss), minibatch()
    decoder_input = model.decoder_input(model.encode(corrupted))
    once = model.cost(clean, decoder_input)
    twice = model.cost(torch.cat((clean, clean), 1), torch.cat((decoder_input, decoder_input), 1))
    torch.testing.assert_close(twice, 2 * once)


@each_loss
@each_tying
def test_cost_and_gradient_are_averaged_over_the_minibatch(tied: bool, loss: LossKind) -> None:
    model, (clean, corrupted) = autoencoder(tied, loss), minibatch()
    rows = [(x[None], c[None]) for x, c in zip(clean, corrupted, strict=True)]
    costs = torch.stack([model.errors(x, c).cost for x, c in rows])
    torch.testing.assert_close(model.errors(clean, corrupted).cost, costs.mean())
    each = [model.gradient(x, c) for x, c in rows]
    for name, mean in model.gradient(clean, corrupted).items():
        torch.testing.assert_close(mean, torch.stack([g[name] for g in each]).mean(0))


def test_an_autoencoder_of_zeros_costs_784_ln_2_whatever_the_input() -> None:
    zeros = Autoencoder(torch.zeros(3, 784), torch.zeros(3), torch.zeros(784))
    clean = torch.rand(10, 784, generator=torch.Generator().manual_seed(3))
    assert zeros.errors(clean, clean).cost.item() == pytest.approx(784 * math.log(2), rel=1e-5)


def test_squared_error_has_the_factor_one_half() -> None:
    zeros = Autoencoder(torch.zeros(3, 10), torch.zeros(3), torch.zeros(10), "squared-error")
    assert zeros.errors(torch.ones(4, 10), torch.ones(4, 10)).cost.item() == 10 / 2


@each_loss
def test_the_target_is_the_clean_input_not_the_corrupted_one(loss: LossKind) -> None:
    model, (clean, corrupted) = autoencoder(True, loss), minibatch()
    x_hat = model.reconstruct(corrupted)
    gradient = model.gradient(clean, corrupted)
    torch.testing.assert_close(gradient["visible_bias"], (x_hat - clean).mean(0))
    assert not torch.allclose(gradient["visible_bias"], (x_hat - corrupted).mean(0))


def test_one_tensor_serves_both_sides_of_a_tied_autoencoder() -> None:
    model = autoencoder(True, "squared-error")
    assert model.decoder_weight is None
    codes = torch.eye(HIDDEN, dtype=torch.float64)
    torch.testing.assert_close(model.decoder_input(codes), model.visible_bias + model.weight)
    model.weight += 1
    torch.testing.assert_close(model.decoder_input(codes), model.visible_bias + model.weight)
    inputs = torch.eye(D, dtype=torch.float64)
    torch.testing.assert_close(
        model.encode(inputs), torch.sigmoid(model.hidden_bias + model.weight.T)
    )


@each_loss
def test_the_update_of_a_tied_weight_is_the_encoders_term_plus_the_decoders(
    loss: LossKind,
) -> None:
    tied, (clean, corrupted) = autoencoder(True, loss), minibatch()
    untied = replace(copied(tied), decoder_weight=tied.weight.T.clone())
    before, terms = tied.weight.clone(), untied.gradient(clean, corrupted)
    tied.descend(clean, corrupted, 0.1)
    expected = before - 0.1 * (terms["weight"] + terms["decoder_weight"].T)
    torch.testing.assert_close(tied.weight, expected)


@each_loss
def test_an_untied_decoder_has_weights_of_its_own(loss: LossKind) -> None:
    model, (clean, corrupted) = autoencoder(False, loss), minibatch()
    assert model.decoder_weight is not None
    codes = torch.eye(HIDDEN, dtype=torch.float64)
    expected = model.visible_bias + model.decoder_weight.T
    model.weight += 1
    torch.testing.assert_close(model.decoder_input(codes), expected)
    model.descend(clean, corrupted, 0.1)
    assert not torch.allclose(model.decoder_weight, model.weight.T)


@each_tying
def test_the_decoder_is_sigmoid_for_cross_entropy_and_linear_for_squared_error(
    tied: bool,
) -> None:
    inputs = minibatch()[1]
    for loss in LOSSES:
        model = autoencoder(tied, loss)
        entering = model.decoder_input(model.encode(inputs))
        expected = entering if loss == "squared-error" else 1 / (1 + torch.exp(-entering))
        torch.testing.assert_close(model.reconstruct(inputs), expected)
        inside = bool(((expected >= 0) & (expected <= 1)).all())
        assert inside == (loss == "cross-entropy")


def test_cross_entropy_stays_finite_where_the_decoder_saturates() -> None:
    model = autoencoder(True, "cross-entropy")
    model.visible_bias += 1000
    clean, corrupted = minibatch()
    e = model.errors(clean, corrupted)
    assert e.cost.item() == pytest.approx(1000 * (1 - clean).sum(1).mean().item(), rel=0.05)
    assert e.hidden.isfinite().all()
