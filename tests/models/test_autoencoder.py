"""The autoencoder against formulas written out, autograd and finite differences, in float64."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dae_cli.models.autoencoder import Autoencoder, LossKind, Minibatch

ROWS, D, HIDDEN = 5, 7, 4
LOSSES: list[LossKind] = ["cross-entropy", "squared-error"]
each_loss = pytest.mark.parametrize("loss", LOSSES)
each_tying = pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])


def autoencoder(tied: bool, loss: LossKind) -> Autoencoder:
    g = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g, dtype=torch.float64)

    weight, b, c = draw(HIDDEN, D), draw(HIDDEN), draw(D)
    return Autoencoder(weight, b, c, loss, None if tied else draw(D, HIDDEN))


def rows() -> tuple[Tensor, Tensor]:
    """Return clean rows in [0, 1], ends included, and a masked copy."""
    g = torch.Generator().manual_seed(2)
    clean = torch.rand((ROWS, D), generator=g, dtype=torch.float64)
    clean[0, 0], clean[0, 1] = 0.0, 1.0
    return clean, clean * (torch.rand((ROWS, D), generator=g) > 0.4)


def errors(model: Autoencoder, clean: Tensor, corrupted: Tensor) -> Minibatch:
    """Run a minibatch forwards and backwards and return what that leaves."""
    batch = model.minibatch(len(clean)).fill(clean, corrupted)
    model.errors(batch)
    return batch


def mean_cost(model: Autoencoder, clean: Tensor, corrupted: Tensor) -> Tensor:
    return errors(model, clean, corrupted).cost / len(clean)


def step(model: Autoencoder, clean: Tensor, corrupted: Tensor, rate: float) -> Minibatch:
    """Take one step of gradient descent and return the memory it was taken in."""
    batch = model.minibatch(len(clean)).fill(clean, corrupted)
    model.descend(batch, rate)
    return batch


def encoded(model: Autoencoder, inputs: Tensor) -> Tensor:
    return model.encode(inputs, inputs.new_empty(len(inputs), len(model.hidden_bias)))


def decoder_input(model: Autoencoder, codes: Tensor) -> Tensor:
    return model.decoder_input(codes, codes.new_empty(len(codes), len(model.visible_bias)))


def reconstructed(model: Autoencoder, clean: Tensor, corrupted: Tensor) -> Tensor:
    """Return x̂, from δx = x̂ − x."""
    return errors(model, clean, corrupted).visible + clean


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
    model, (clean, corrupted) = autoencoder(tied, loss), rows()
    expected = paper_cost(model, clean, corrupted)
    torch.testing.assert_close(mean_cost(model, clean, corrupted), expected)
    torch.testing.assert_close(step(model, clean, corrupted, 0.3).cost, ROWS * expected)


@each_loss
@each_tying
def test_the_gradient_is_autograds(tied: bool, loss: LossKind) -> None:
    model, (clean, corrupted) = autoencoder(tied, loss), rows()
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
    model, (clean, corrupted) = autoencoder(tied, loss), rows()
    gradient, shift = model.gradient(clean, corrupted), 1e-5
    for name, tensor in named(model).items():
        flat, slopes = tensor.view(-1), []
        for i in range(len(flat)):
            value = flat[i].item()
            flat[i] = value + shift
            above = mean_cost(model, clean, corrupted).item()
            flat[i] = value - shift
            below = mean_cost(model, clean, corrupted).item()
            flat[i] = value
            slopes.append((above - below) / (2 * shift))
        expected = torch.tensor(slopes, dtype=torch.float64).view_as(tensor)
        torch.testing.assert_close(gradient[name], expected, rtol=1e-6, atol=1e-8)


@each_loss
@each_tying
def test_descend_subtracts_rate_times_gradient_in_place(tied: bool, loss: LossKind) -> None:
    model, (clean, corrupted) = autoencoder(tied, loss), rows()
    before, places = named(copied(model)), [t.data_ptr() for t in named(model).values()]
    gradient, cost = model.gradient(clean, corrupted), errors(model, clean, corrupted).cost
    assert step(model, clean, corrupted, 0.3).cost.item() == cost.item()  # of before the step
    for name, tensor in named(model).items():
        expected = before[name] - 0.3 * gradient[name]
        torch.testing.assert_close(tensor, expected, rtol=1e-12, atol=1e-13)
    assert [t.data_ptr() for t in named(model).values()] == places


@each_loss
@each_tying
def test_neither_the_gradient_nor_a_step_changes_the_minibatch(tied: bool, loss: LossKind) -> None:
    model, (clean, corrupted) = autoencoder(tied, loss), rows()
    model.gradient(clean, corrupted)
    batch = step(model, clean, corrupted, 0.3)
    for x, x_tilde in ((clean, corrupted), (batch.clean, batch.corrupted)):
        assert torch.equal(x, rows()[0])
        assert torch.equal(x_tilde, rows()[1])


@each_loss
def test_small_steps_lower_the_cost(loss: LossKind) -> None:
    model, (clean, corrupted) = autoencoder(True, loss), rows()
    costs = [step(model, clean, corrupted, 0.05).cost.item() for _ in range(30)]
    assert costs == sorted(costs, reverse=True)


@each_loss
def test_the_cost_is_summed_over_the_components(loss: LossKind) -> None:
    # Every component twice, at half the weight: the codes and each reconstruction are the same.
    model, (clean, corrupted) = autoencoder(False, loss), rows()
    assert model.decoder_weight is not None
    doubled = Autoencoder(
        weight=torch.cat((model.weight, model.weight), 1) / 2,
        hidden_bias=model.hidden_bias,
        visible_bias=torch.cat((model.visible_bias, model.visible_bias)),
        loss=loss,
        decoder_weight=torch.cat((model.decoder_weight, model.decoder_weight)),
    )
    twice = mean_cost(doubled, torch.cat((clean, clean), 1), torch.cat((corrupted, corrupted), 1))
    torch.testing.assert_close(twice, 2 * mean_cost(model, clean, corrupted))


@each_loss
@each_tying
def test_cost_and_gradient_are_averaged_over_the_minibatch(tied: bool, loss: LossKind) -> None:
    model, (clean, corrupted) = autoencoder(tied, loss), rows()
    single = [(x[None], c[None]) for x, c in zip(clean, corrupted, strict=True)]
    costs = torch.stack([mean_cost(model, x, c) for x, c in single])
    torch.testing.assert_close(mean_cost(model, clean, corrupted), costs.mean())
    torch.testing.assert_close(errors(model, clean, corrupted).cost, costs.sum())
    each = [model.gradient(x, c) for x, c in single]
    for name, mean in model.gradient(clean, corrupted).items():
        torch.testing.assert_close(mean, torch.stack([g[name] for g in each]).mean(0))


def test_an_autoencoder_of_zeros_costs_784_ln_2_whatever_the_input() -> None:
    zeros = Autoencoder(torch.zeros(3, 784), torch.zeros(3), torch.zeros(784))
    clean = torch.rand(10, 784, generator=torch.Generator().manual_seed(3))
    cost = mean_cost(zeros, clean, clean).item()
    assert cost == pytest.approx(784 * math.log(2), rel=1e-5)


def test_squared_error_has_the_factor_one_half() -> None:
    zeros = Autoencoder(torch.zeros(3, 10), torch.zeros(3), torch.zeros(10), "squared-error")
    assert mean_cost(zeros, torch.ones(4, 10), torch.ones(4, 10)).item() == 10 / 2


@each_loss
def test_the_target_is_the_clean_input_not_the_corrupted_one(loss: LossKind) -> None:
    model, (clean, corrupted) = autoencoder(True, loss), rows()
    x_hat = reconstructed(model, clean, corrupted)
    gradient = model.gradient(clean, corrupted)
    torch.testing.assert_close(gradient["visible_bias"], (x_hat - clean).mean(0))
    assert not torch.allclose(gradient["visible_bias"], (x_hat - corrupted).mean(0))


def test_one_tensor_serves_both_sides_of_a_tied_autoencoder() -> None:
    model = autoencoder(True, "squared-error")
    assert model.decoder_weight is None
    codes = torch.eye(HIDDEN, dtype=torch.float64)
    torch.testing.assert_close(decoder_input(model, codes), model.visible_bias + model.weight)
    model.weight += 1
    torch.testing.assert_close(decoder_input(model, codes), model.visible_bias + model.weight)
    inputs = torch.eye(D, dtype=torch.float64)
    expected = torch.sigmoid(model.hidden_bias + model.weight.T)
    torch.testing.assert_close(encoded(model, inputs), expected)


@each_loss
def test_the_update_of_a_tied_weight_is_the_encoders_term_plus_the_decoders(
    loss: LossKind,
) -> None:
    tied, (clean, corrupted) = autoencoder(True, loss), rows()
    untied = replace(copied(tied), decoder_weight=tied.weight.T.clone())
    before, terms = tied.weight.clone(), untied.gradient(clean, corrupted)
    step(tied, clean, corrupted, 0.1)
    expected = before - 0.1 * (terms["weight"] + terms["decoder_weight"].T)
    torch.testing.assert_close(tied.weight, expected)


@each_loss
def test_an_untied_decoder_has_weights_of_its_own(loss: LossKind) -> None:
    model, (clean, corrupted) = autoencoder(False, loss), rows()
    assert model.decoder_weight is not None
    codes = torch.eye(HIDDEN, dtype=torch.float64)
    expected = model.visible_bias + model.decoder_weight.T
    model.weight += 1
    torch.testing.assert_close(decoder_input(model, codes), expected)
    step(model, clean, corrupted, 0.1)
    assert not torch.allclose(model.decoder_weight, model.weight.T)


@each_tying
def test_the_decoder_is_sigmoid_for_cross_entropy_and_linear_for_squared_error(
    tied: bool,
) -> None:
    clean, corrupted = rows()
    for loss in LOSSES:
        model = autoencoder(tied, loss)
        entering = decoder_input(model, encoded(model, corrupted))
        expected = entering if loss == "squared-error" else 1 / (1 + torch.exp(-entering))
        torch.testing.assert_close(reconstructed(model, clean, corrupted), expected)
        inside = bool(((expected >= 0) & (expected <= 1)).all())
        assert inside == (loss == "cross-entropy")


def test_cross_entropy_stays_finite_where_the_decoder_saturates() -> None:
    model = autoencoder(True, "cross-entropy")
    model.visible_bias += 1000
    clean, corrupted = rows()
    e = errors(model, clean, corrupted)
    assert e.cost.item() == pytest.approx(1000 * (1 - clean).sum().item(), rel=0.05)
    assert e.hidden.isfinite().all()


@each_loss
@each_tying
def test_memory_that_is_used_again_gives_what_fresh_memory_gives(
    tied: bool, loss: LossKind
) -> None:
    again, fresh = autoencoder(tied, loss), autoencoder(tied, loss)
    clean, corrupted = rows()
    batch = again.minibatch(ROWS).fill(clean.flip(0) * 5, corrupted.flip(0))
    again.errors(batch)
    for _ in range(3):
        again.descend(batch.fill(clean, corrupted), 0.05)
        assert batch.cost.item() == step(fresh, clean, corrupted, 0.05).cost.item()
    for name, tensor in named(again).items():
        assert torch.equal(tensor, named(fresh)[name])
