"""Single steps of training: what is presented, the cost, and the parameters that are moved."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from dae_cli.config.schema import Experiment
from dae_cli.data.dataset import Dataset
from dae_cli.engines.engine import Engine
from dae_cli.models.autoencoder import Autoencoder, Minibatch
from dae_cli.models.corruption import Masking
from dae_cli.models.network import LabelledMinibatch, Network
from dae_cli.models.operations import Operations
from dae_cli.training.batches import batches
from dae_cli.training.inputs import Pixels
from dae_cli.training.state import initial_state, network_from
from dae_cli.training.steps import FinetuningStep, PretrainingStep


@pytest.fixture
def autoencoder(make_experiment: Callable[..., Experiment]) -> Autoencoder:
    """The lowest layer of the toy experiment, untrained."""
    lowest = initial_state(make_experiment(), 20, torch.float32).autoencoders[0]
    assert isinstance(lowest, Autoencoder)
    return lowest


@pytest.fixture
def network(autoencoder: Autoencoder) -> Network:
    """A network of that layer and a softmax layer."""
    return network_from([autoencoder], 3)


def test_the_clean_copy_stays_clean_beside_the_corrupted_one(
    toy: Dataset, autoencoder: Autoencoder, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, shown = toy.train.pixels.copy(), []
    descend = Autoencoder.descend

    def watched(self: Autoencoder, batch: Minibatch, rate: float, operations: Operations) -> None:
        descend(self, batch, rate, operations)
        shown.append((batch.clean.numpy().copy(), batch.corrupted.numpy().copy()))

    monkeypatch.setattr(Autoencoder, "descend", watched)
    step = PretrainingStep(autoencoder, Pixels(toy.train, 10), Masking(0.5), engine)
    noise, cut = np.random.Generator(np.random.SFC64(2)), list(batches(np.arange(47), 10))
    for chosen in cut:
        step.take(chosen, noise, 0.1)
    for chosen, (clean, corrupted) in zip(cut, shown, strict=True):
        assert clean.tobytes() == toy.train.as_float()[chosen].tobytes()
        assert (corrupted == 0).sum(axis=1).tolist() == [10] * len(chosen)
        assert corrupted[corrupted != 0].tobytes() == clean[corrupted != 0].tobytes()
    assert toy.train.pixels.tobytes() == before.tobytes()


def test_a_pretraining_step_costs_what_its_rows_cost(
    toy: Dataset, autoencoder: Autoencoder, engine: Engine
) -> None:
    step = PretrainingStep(autoencoder, Pixels(toy.train, 10), Masking(0.0), engine)
    noise, expected = np.random.default_rng(0), 0.0
    for chosen in (np.arange(10), np.arange(10, 14)):
        rows = torch.from_numpy(toy.train.as_float()[chosen])
        batch = autoencoder.minibatch(len(chosen)).fill(rows, rows)
        autoencoder.errors(batch)
        expected += batch.cost.item()
        step.take(chosen, noise, 0.1)
    assert step.total.value() == pytest.approx(expected, rel=1e-6)


def test_a_fine_tuning_step_costs_what_its_rows_cost(
    toy: Dataset, network: Network, engine: Engine
) -> None:
    step = FinetuningStep(network, Pixels(toy.train, 10), toy.train.labels, engine)
    expected = 0.0
    for chosen in (np.arange(10), np.arange(10, 14)):
        rows = torch.from_numpy(toy.train.as_float()[chosen])
        labels = torch.from_numpy(toy.train.labels[chosen].astype(np.int64))
        batch = network.minibatch(len(chosen)).fill(rows, labels)
        _ = list(network.errors(batch))
        expected += batch.cost.item()
        step.take(chosen, 0.5)
    assert step.total.value() == pytest.approx(expected, rel=1e-6)


def test_a_step_moves_the_very_parameters_it_was_given(
    toy: Dataset, autoencoder: Autoencoder, network: Network, engine: Engine
) -> None:
    inputs = Pixels(toy.train, 10)
    before = [autoencoder.weight.clone(), network.layers[0].weight.clone()]
    pretraining = PretrainingStep(autoencoder, inputs, Masking(0.25), engine)
    finetuning = FinetuningStep(network, inputs, toy.train.labels, engine)
    assert torch.equal(autoencoder.weight, before[0])  # moved in memory, not in value
    assert torch.equal(network.layers[0].weight, before[1])
    for _ in range(2):  # the softmax layer starts at zero: the first step moves it alone
        pretraining.take(np.arange(10), np.random.default_rng(0), 0.1)
        finetuning.take(np.arange(10), 0.5)
    assert not torch.equal(autoencoder.weight, before[0])
    assert not torch.equal(network.layers[0].weight, before[1])
    assert network.top.weight.any() and network.top.bias.any()


def test_every_label_stands_beside_its_row(
    toy: Dataset, network: Network, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[bytes, list[int]]] = []

    def watched(self: Network, batch: LabelledMinibatch, *_: object) -> None:
        shown.append((batch.inputs.numpy().tobytes(), batch.targets.nonzero()[:, 1].tolist()))

    monkeypatch.setattr(Network, "descend", watched)
    step = FinetuningStep(network, Pixels(toy.train, 10), toy.train.labels, engine)
    cut = list(batches(np.random.default_rng(3).permutation(47), 10))
    for chosen in cut:
        step.take(chosen, 0.5)
    rows, labels = toy.train.as_float(), toy.train.labels
    assert shown == [(rows[chosen].tobytes(), labels[chosen].tolist()) for chosen in cut]
