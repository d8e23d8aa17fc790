"""The loops here can be stopped after any step; what they compute is what the product computes."""

from __future__ import annotations

import pytest
import torch

from benchmarks import ours
from dae_cli.engines.names import EngineName
from dae_cli.training.hooks import NoHooks
from dae_cli.training.train import train

ROWS, D, BATCH, STEPS_AN_EPOCH = 27, 30, 10, 3


@pytest.mark.parametrize("name", ours.engines())
def test_pretraining_is_that_of_the_product(name: EngineName) -> None:
    dataset, engine = ours.as_dataset(ours.synthetic(ROWS, D), others=5), ours.engine(name)
    settings = ours.experiment((8,), BATCH, epochs=2)
    state = ours.fresh_state(settings, D)
    train(settings, dataset, state, engine, NoHooks())

    layer = ours.autoencoder(D, 8)
    steps = ours.pretrain(layer, dataset.train, BATCH, engine)
    for _ in range(2 * STEPS_AN_EPOCH):
        next(steps)
    assert torch.equal(layer.weight, state.autoencoders[0].weight)
    assert torch.equal(layer.visible_bias, state.autoencoders[0].visible_bias)


@pytest.mark.parametrize("name", ours.engines())
def test_finetuning_is_that_of_the_product(name: EngineName) -> None:
    dataset, engine = ours.as_dataset(ours.synthetic(ROWS, D), others=5), ours.engine(name)
    settings = ours.experiment((8, 7), BATCH, epochs=2)
    state = ours.fresh_state(settings, D)
    state.phase = "finetune"  # without pretraining
    train(settings, dataset, state, engine, NoHooks())
    assert state.network is not None

    network = ours.network(D, (8, 7))
    steps = ours.finetune(network, dataset.train, BATCH, engine)
    for _ in range(2 * STEPS_AN_EPOCH):
        next(steps)
    for mine, products in zip(network, state.network, strict=True):
        assert torch.equal(mine.weight, products.weight)
        assert torch.equal(mine.bias, products.bias)
