"""Initial parameters, names in a checkpoint, and copies that share nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from dae_cli.config.schema import Experiment
from dae_cli.models.autoencoder import Autoencoder
from dae_cli.training.state import (
    TrainingState,
    copy_of,
    initial_state,
    named_layers,
    network_from,
)

MakeExperiment = Callable[..., Experiment]
Run = Callable[..., TrainingState]


def start(experiment: Experiment, d: int = 20) -> TrainingState:
    return initial_state(experiment, d, torch.float32)


def test_every_bias_starts_at_zero_and_every_weight_does_not(
    make_experiment: MakeExperiment,
) -> None:
    for name, tensor in start(make_experiment(model={"tied": False})).tensors().items():
        assert bool((tensor == 0).all()) == name.endswith("bias"), name


@pytest.mark.parametrize(("init", "factor"), [("glorot", 1), ("tutorial", 4)])
def test_the_range_of_every_layer_follows_its_own_fan_in_and_fan_out(
    make_experiment: MakeExperiment, init: str, factor: int
) -> None:
    state = start(make_experiment(model={"hidden": (30, 80), "init": init, "tied": False}), 50)
    for autoencoder, fans in zip(state.autoencoders, (50 + 30, 30 + 80), strict=True):
        limit = factor * math.sqrt(6 / fans)
        assert isinstance(autoencoder, Autoencoder) and autoencoder.decoder_weight is not None
        for weight in (autoencoder.weight, autoencoder.decoder_weight):
            assert 0.98 * limit < weight.abs().max().item() <= limit * (1 + 1e-6)


def test_a_tied_layer_has_one_weight_tensor_and_an_untied_one_two(
    make_experiment: MakeExperiment,
) -> None:
    tied, untied = (start(make_experiment(model={"tied": tied})) for tied in (True, False))
    own = ["weight", "hidden_bias", "visible_bias"]
    assert list(tied.tensors()) == [f"pretrained.{k}.{name}" for k in (1, 2) for name in own]
    assert untied.tensors().keys() - tied.tensors().keys() == {
        "pretrained.1.decoder_weight",
        "pretrained.2.decoder_weight",
    }
    first = untied.autoencoders[0]
    assert isinstance(first, Autoencoder) and first.decoder_weight is not None
    assert first.decoder_weight.shape == (20, 6)
    assert not torch.equal(first.decoder_weight, first.weight.T)
    assert torch.equal(first.weight, tied.autoencoders[0].weight)  # tying changes no encoder


def test_initial_weights_depend_on_the_seed_and_the_layer_and_on_no_other_setting(
    make_experiment: MakeExperiment,
) -> None:
    def weights(**changes: object) -> list[torch.Tensor]:
        return [
            a.weight
            for a in start(make_experiment(model={"hidden": (20, 20)}, **changes)).autoencoders
        ]

    first, second = weights()
    assert not torch.equal(first, second)
    for changes in (
        {"corruption": {"destruction": 0.5}},
        {"corruption": {"kind": "gaussian", "sigma": 0.5}},
        {"pretrain": {"learning_rate": 0.5, "epochs": 9, "loss": "squared-error"}},
        {"finetune": {"learning_rate": 0.9}},
    ):
        assert torch.equal(weights(**changes)[0], first)
    other = weights(seed=1)
    assert not torch.equal(other[0], first) and not torch.equal(other[1], second)


def test_the_loss_of_the_config_is_the_loss_of_every_layer(make_experiment: MakeExperiment) -> None:
    for loss in ("cross-entropy", "squared-error"):
        state = start(make_experiment(pretrain={"loss": loss}))
        losses = [a.loss for a in state.autoencoders if isinstance(a, Autoencoder)]
        assert losses == [loss, loss]


def test_the_network_takes_copies_of_the_encoders_under_a_softmax_layer_of_zeros(
    make_experiment: MakeExperiment,
) -> None:
    state = start(make_experiment())
    network = network_from(state.autoencoders, 4)
    for layer, autoencoder in zip(network.layers, state.autoencoders, strict=True):
        assert torch.equal(layer.weight, autoencoder.weight)
        assert torch.equal(layer.bias, autoencoder.hidden_bias)
        layer.weight += 1
        layer.bias += 1
        assert not torch.equal(layer.weight, autoencoder.weight)
        assert not torch.equal(layer.bias, autoencoder.hidden_bias)
    assert network.top.weight.shape == (4, 5) and not network.top.weight.any()
    assert network.top.bias.shape == (4,) and not network.top.bias.any()


def test_a_copy_of_a_network_shares_no_parameter(make_experiment: MakeExperiment) -> None:
    network = network_from(start(make_experiment()).autoencoders, 4)
    copy = copy_of(network)
    for ours, theirs in zip(network, copy, strict=True):
        assert torch.equal(ours.weight, theirs.weight) and torch.equal(ours.bias, theirs.bias)
        ours.weight += 1
        ours.bias += 1
        assert not torch.equal(ours.weight, theirs.weight)
        assert not torch.equal(ours.bias, theirs.bias)


def test_layers_are_named_from_1_and_the_softmax_layer_top(
    make_experiment: MakeExperiment, run: Run
) -> None:
    state = run(make_experiment())
    assert [name for name, _ in named_layers(state.network)] == ["1", "2", "top"]
    assert named_layers(None) == []
    expected = [
        f"{prefix}.{layer}.{part}"
        for prefix in ("network", "best")
        for layer in ("1", "2", "top")
        for part in ("weight", "bias")
    ]
    assert list(state.tensors())[6:] == expected


def test_a_new_run_begins_at_the_first_layer_or_at_fine_tuning_without_pretraining(
    make_experiment: MakeExperiment,
) -> None:
    state = start(make_experiment())
    assert (state.phase, state.layer, state.epoch, state.network) == ("pretrain", 0, 0, None)
    assert start(make_experiment(pretrain={"epochs": 0})).phase == "finetune"
