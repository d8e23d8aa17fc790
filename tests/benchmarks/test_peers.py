"""Peers and our engines do the same on the same minibatch: the comparison is fair."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import epochs, ours, peers
from benchmarks.plan import CLASSES, COMPILED, QUICK, RATE
from dae_cli.data.dataset import Split
from dae_cli.engines.names import EngineName
from dae_cli.models.autoencoder import Autoencoder
from dae_cli.models.corruption import Array
from dae_cli.models.network import Network
from dae_cli.training.inputs import Pixels
from dae_cli.training.state import network_from
from dae_cli.training.steps import FinetuningStep, PretrainingStep

ROWS, D, HIDDEN = 20, 33, (17, 9)
ENGINES = ours.engines()


class _NoCorruption:
    """Stands for a mask that both sides share."""

    def corrupt(self, clean: Array, random: np.random.Generator, out: Array) -> None:
        np.copyto(out, clean)
        out[:, :8] = 0.0


@pytest.fixture
def split() -> Split:
    return ours.synthetic(ROWS, D)


def _masked(clean: torch.Tensor, _: int) -> torch.Tensor:
    corrupted = clean.clone()
    corrupted[:, :8] = 0.0
    return corrupted


@pytest.mark.parametrize("name", ENGINES)
def test_a_pretraining_step_is_the_same(name: EngineName, split: Split) -> None:
    settings = ours.experiment(HIDDEN[:1], ROWS)
    (autoencoder,) = ours.fresh_state(settings, D).autoencoders
    assert isinstance(autoencoder, Autoencoder)
    model = peers.TiedAutoencoder(D, HIDDEN[0])
    with torch.no_grad():
        model.weight.copy_(autoencoder.weight)
    rows = torch.from_numpy(split.as_float())
    cost = peers.reconstruction_loss(model, _masked(rows, 8), rows).item()

    step = PretrainingStep(autoencoder, Pixels(split, ROWS), _NoCorruption(), ours.engine(name))
    step.take(np.arange(ROWS), np.random.default_rng(0), RATE)
    next(peers.pretrain_in_memory(model, rows, ROWS, RATE, _masked, 8))

    assert step.total.value() / ROWS == pytest.approx(cost, rel=1e-5)
    for mine, theirs in (
        (autoencoder.weight, model.weight),
        (autoencoder.hidden_bias, model.hidden_bias),
        (autoencoder.visible_bias, model.visible_bias),
    ):
        torch.testing.assert_close(mine, theirs.detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ENGINES)
def test_a_finetuning_step_is_the_same(name: EngineName, split: Split) -> None:
    state = ours.fresh_state(ours.experiment(HIDDEN, ROWS), D)
    network = network_from(state.autoencoders, CLASSES)
    with torch.no_grad():  # zeros would stop the error at the top
        network.top.weight.copy_(torch.linspace(-1, 1, CLASSES * HIDDEN[-1]).view(CLASSES, -1))
    model = _copied(network)
    rows, labels = torch.from_numpy(split.as_float()), torch.from_numpy(split.labels).long()
    cost = peers.label_loss(model, rows, labels).item()

    step = FinetuningStep(network, Pixels(split, ROWS), split.labels, ours.engine(name))
    step.take(np.arange(ROWS), RATE)
    next(peers.finetune_in_memory(model, rows, labels, ROWS, RATE))

    assert step.total.value() / ROWS == pytest.approx(cost, rel=1e-5)
    for layer, linear in zip(network, _linears(model), strict=True):
        torch.testing.assert_close(layer.weight, linear.weight.detach(), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(layer.bias, linear.bias.detach(), rtol=1e-4, atol=1e-6)


def _copied(network: Network) -> torch.nn.Sequential:
    model = peers.classifier(D, HIDDEN, CLASSES)
    with torch.no_grad():
        for layer, linear in zip(network, _linears(model), strict=True):
            linear.weight.copy_(layer.weight)
            linear.bias.copy_(layer.bias)
    return model


def _linears(model: torch.nn.Sequential) -> list[torch.nn.Linear]:
    return [layer for layer in model if isinstance(layer, torch.nn.Linear)]


@pytest.mark.parametrize("mask", peers.MASKS.values(), ids=list(peers.MASKS))
@pytest.mark.parametrize("count", [1, 8, 32])
def test_masks_destroy_an_exact_count_afresh(mask: peers.Mask, count: int) -> None:
    clean = torch.ones(50, D)
    first, second = mask(clean, count), mask(clean, count)
    for corrupted in (first, second):
        assert (corrupted == 0).sum(dim=1).tolist() == [count] * 50
        assert (corrupted.sum(dim=1) == D - count).all()
    assert not torch.equal(first, second)
    assert clean.min() == 1


def test_a_peer_presents_every_row_once_an_epoch() -> None:
    seen: list[float] = []

    def mask(clean: torch.Tensor, count: int) -> torch.Tensor:
        seen.extend(clean[:, 0].tolist())
        return clean

    rows = (torch.arange(7.0) / 10)[:, None].expand(7, D).contiguous()
    for pretrain in (peers.pretrain_in_memory, peers.pretrain_with_loader):
        steps = pretrain(peers.TiedAutoencoder(D, 3), rows, 3, RATE, mask, 1)
        for _ in range(6):  # two epochs of 3 + 3 + 1 rows
            next(steps)
        assert sorted(seen) == pytest.approx(sorted(2 * rows[:, 0].tolist()))
        seen.clear()


def test_with_and_without_loader_the_steps_are_the_same() -> None:
    rows, labels = torch.rand(ROWS, D), torch.randint(0, CLASSES, (ROWS,))
    weights = []
    for train in (peers.finetune_in_memory, peers.finetune_with_loader):
        torch.manual_seed(0)
        model = peers.classifier(D, HIDDEN, CLASSES)
        next(train(model, rows, labels, ROWS, RATE))  # one batch of all rows: order is no matter
        weights.append(_linears(model)[0].weight.detach())
    torch.testing.assert_close(*weights)


def test_without_a_compiler_torch_compile_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epochs, "compiler", lambda: None)
    found = epochs.finetuning(replace(QUICK, rounds=1))
    (row,) = (figure for figure in found if figure.contender == COMPILED)
    assert (row.values, row.note) == ((), "not available: no C++ compiler")
    assert len(found) == 6 + len(ENGINES)
