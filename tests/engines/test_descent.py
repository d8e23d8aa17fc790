"""Step by step, every engine goes the way of the reference in double precision."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dae_cli.models.autoencoder import Autoencoder, LossKind
from dae_cli.models.encoder import Encoder
from dae_cli.models.network import Layer, Network
from dae_cli.models.operations import REFERENCE, Operations
from dae_cli.models.rbm import Rbm

Draw = Callable[..., Tensor]

INPUTS, UNITS, TOP, CLASSES = 100, 60, 35, 3
MINIBATCHES = [20, 20, 20, 7, 20, 1, 20, 20, 20, 13]
losses = pytest.mark.parametrize("loss", ["cross-entropy", "squared-error"])
tyings = pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])


def parameters(model: Encoder | Network) -> list[Tensor]:
    if isinstance(model, Network):
        return [tensor for layer in model for tensor in (layer.weight, layer.bias)]
    return list(model.parameters().values())


def assert_near(model: Encoder | Network, exact: Encoder | Network, step: int) -> None:
    """Compare parameters of about 1 after some steps, each of which may round once more."""
    for ours, theirs in zip(parameters(model), parameters(exact), strict=True):
        tolerance = 1e-6 * (step + 1)
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=tolerance)


@losses
@tyings
def test_pretraining_steps_are_those_of_double_precision(
    operations: Operations, draw: Draw, tied: bool, loss: LossKind
) -> None:
    def autoencoder(dtype: torch.dtype) -> Autoencoder:
        weight = (draw(UNITS, INPUTS) / 10).to(dtype)
        decoder = None if tied else (draw(INPUTS, UNITS, seed=1) / 10).to(dtype)
        b, c = torch.zeros(UNITS, dtype=dtype), torch.zeros(INPUTS, dtype=dtype)
        return Autoencoder(weight, b, c, loss, decoder)

    ours, exact = autoencoder(torch.float32), autoencoder(torch.float64)
    ours.lay_out(operations)
    memory = {rows: ours.minibatch(rows, operations) for rows in set(MINIBATCHES)}
    for step, rows in enumerate(MINIBATCHES):
        clean = torch.sigmoid(draw(rows, INPUTS, seed=2 * step))
        corrupted = clean * (draw(rows, INPUTS, seed=2 * step + 1) > -0.6)
        expected = exact.minibatch(rows).fill(clean, corrupted)
        batch = memory[rows].fill(clean, corrupted)
        ours.descend(batch, 0.1, operations)
        exact.descend(expected, 0.1, REFERENCE)
        assert batch.cost.item() == pytest.approx(expected.cost.item(), rel=1e-5)
        assert torch.equal(batch.clean, clean) and torch.equal(batch.corrupted, corrupted)
        assert_near(ours, exact, step)


@pytest.mark.parametrize("persistent", [False, True], ids=["cd", "persistent"])
@pytest.mark.parametrize("sampled", [True, False], ids=["sampled", "probabilities"])
def test_contrastive_divergence_steps_are_those_of_double_precision(
    operations: Operations, draw: Draw, persistent: bool, sampled: bool
) -> None:
    def rbm(dtype: torch.dtype) -> Rbm:
        weight = (draw(UNITS, INPUTS) / 10).to(dtype)
        b, c = torch.zeros(UNITS, dtype=dtype), torch.zeros(INPUTS, dtype=dtype)
        return Rbm(weight, b, c, 2, sampled)

    def chances(seed: int) -> Callable[[Tensor], None]:
        g = torch.Generator().manual_seed(seed)

        def fill(tensor: Tensor) -> None:
            tensor.copy_(torch.rand(tensor.shape, generator=g))

        return fill

    ours, exact = rbm(torch.float32), rbm(torch.float64)
    ours.lay_out(operations)
    our_chains, chains = ours.new_chains(20, operations), exact.new_chains(20)
    memory = {rows: ours.minibatch(rows, operations) for rows in set(MINIBATCHES)}
    for step, rows in enumerate(MINIBATCHES):
        clean = torch.sigmoid(draw(rows, INPUTS, seed=step))
        expected, batch = exact.minibatch(rows), memory[rows]
        expected.clean.copy_(clean)
        batch.clean.copy_(clean)
        ours.descend(batch, 0.1, chances(step), operations, our_chains if persistent else None)
        exact.descend(expected, 0.1, chances(step), REFERENCE, chains if persistent else None)
        tolerance = 0 if sampled else 1e-5
        assert (batch.visible.double() - expected.visible).abs().max() <= tolerance
        assert torch.equal(our_chains.double(), chains)
        assert batch.cost.item() == pytest.approx(expected.cost.item(), rel=1e-5)
        assert torch.equal(batch.clean, clean)
        assert_near(ours, exact, step)


def test_fine_tuning_steps_are_those_of_double_precision(
    operations: Operations, draw: Draw
) -> None:
    def network(dtype: torch.dtype) -> Network:
        shapes = ((UNITS, INPUTS), (TOP, UNITS), (CLASSES, TOP))
        layers = [
            Layer((draw(n, m, seed=n) / 5).to(dtype), draw(n, seed=m).to(dtype)) for n, m in shapes
        ]
        return Network(layers[:-1], layers[-1])

    ours, exact = network(torch.float32), network(torch.float64)
    ours.lay_out(operations)
    memory = {rows: ours.minibatch(rows, operations) for rows in set(MINIBATCHES)}
    for step, rows in enumerate(MINIBATCHES):
        inputs, labels = torch.sigmoid(draw(rows, INPUTS, seed=step)), torch.arange(rows) % CLASSES
        expected = exact.minibatch(rows).fill(inputs, labels)
        batch = memory[rows].fill(inputs, labels)
        ours.descend(batch, 0.1, operations)
        exact.descend(expected, 0.1, REFERENCE)
        assert batch.cost.item() == pytest.approx(expected.cost.item(), rel=1e-5)
        assert torch.equal(batch.inputs, inputs)
        assert_near(ours, exact, step)


def test_laying_out_moves_the_weights_and_changes_no_value(
    operations: Operations, draw: Draw
) -> None:
    weight, decoder = draw(UNITS, INPUTS), draw(INPUTS, UNITS)
    before = [weight.clone(), decoder.clone()]
    model = Autoencoder(weight, torch.zeros(UNITS), torch.zeros(INPUTS), decoder_weight=decoder)
    model.lay_out(operations)
    assert model.decoder_weight is not None
    assert torch.equal(model.weight, before[0]) and torch.equal(model.decoder_weight, before[1])
    model.weight += 1
    model.decoder_weight += 1
    assert torch.equal(weight, before[0]) and torch.equal(decoder, before[1])


@pytest.mark.parametrize("columns", [1, 15, 16, 17, 784, 1000])
def test_rows_of_the_compiled_engines_memory_start_at_cache_lines(
    compiled: Operations, columns: int
) -> None:
    matrix = compiled.zeros(5, columns, like=torch.zeros(0))
    assert [row.data_ptr() % 64 for row in matrix] == [0] * 5
    assert matrix.shape == (5, columns) and not matrix.any()


def test_poison_in_the_padding_of_memory_reaches_nothing(compiled: Operations, draw: Draw) -> None:
    def train(poison: float) -> Autoencoder:
        model = Autoencoder(draw(UNITS, INPUTS) / 10, torch.zeros(UNITS), torch.zeros(INPUTS))
        model.lay_out(compiled)
        batch = model.minibatch(20, compiled)
        for t in (model.weight, batch.clean, batch.left, batch.right, batch.decoder_input):
            padded = t.as_strided((len(t), t.stride(0)), t.stride())
            padded[:, t.shape[1] :] = poison
        clean = torch.sigmoid(draw(20, INPUTS, seed=1))
        for _ in range(3):
            model.descend(batch.fill(clean, clean), 0.1, compiled)
        assert batch.cost.isfinite()
        return model

    for ours, theirs in zip(parameters(train(0.0)), parameters(train(torch.nan)), strict=True):
        assert torch.equal(ours, theirs)
