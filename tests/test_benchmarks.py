"""The benchmarks are fair: peers compute the same steps as ours, and everybody takes turns."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from benchmarks import ours, peers
from benchmarks.rounds import take_turns

ROWS, D, CLASSES, RATE = 20, 33, 2, 0.1


@pytest.mark.usefixtures("one_thread")
def test_a_peer_takes_the_same_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "DESTRUCTION", 0.0)  # chance is not shared
    monkeypatch.setattr(ours, "RATE", RATE)
    split, engine = ours.synthetic(ROWS, D), ours.engine("torch")
    rows, labels = torch.from_numpy(split.as_float()), torch.from_numpy(split.labels).long()
    layer, network = ours.autoencoder(D, 17), ours.network(D, (17, 9))
    tied, stack = peers.TiedAutoencoder(D, 17), peers.classifier(D, (17, 9), CLASSES)
    linears = [part for part in stack if isinstance(part, torch.nn.Linear)]
    with torch.no_grad():
        tied.weight.copy_(layer.weight)
        for mine, linear in zip(network, linears, strict=True):
            linear.weight.copy_(mine.weight)
            linear.bias.copy_(mine.bias)
    steps = (  # of one minibatch with every row, whose order is no matter
        ours.pretrain(layer, split, ROWS, engine),
        peers.pretrain_in_memory(tied, rows, ROWS, RATE, peers.by_sorting, 0),
        ours.finetune(network, split, ROWS, engine),
        peers.finetune_in_memory(stack, rows, labels, ROWS, RATE),
    )
    for _ in range(3):
        for step in steps:
            next(step)
    pairs: list[tuple[torch.Tensor, torch.Tensor]] = [
        (layer.weight, tied.weight),
        (layer.hidden_bias, tied.hidden_bias),
    ]
    pairs += [(layer.visible_bias, tied.visible_bias)]
    for mine, linear in zip(network, linears, strict=True):
        pairs += [(mine.weight, linear.weight), (mine.bias, linear.bias)]
    for ours_is, theirs in pairs:
        torch.testing.assert_close(ours_is, theirs.detach(), rtol=1e-4, atol=1e-6)


def test_masks_of_peers_destroy_an_exact_count_afresh() -> None:
    clean = torch.ones(50, D)
    for mask in peers.MASKS.values():
        first, second = mask(clean, 8), mask(clean, 8)
        assert (first == 0).sum(dim=1).tolist() == (second == 0).sum(dim=1).tolist() == [8] * 50
        assert not torch.equal(first, second)


def test_everybody_warms_up_and_then_has_one_turn_a_round_after_somebody_else() -> None:
    called: list[str] = []

    def turn(name: str) -> float:
        called.append(name)
        return len(called)

    values = take_turns({name: partial(turn, name) for name in "abc"}, 3)
    assert "".join(called) == "abc" + "abc" + "bca" + "cab"
    assert values == {"a": (4, 9, 11), "b": (5, 7, 12), "c": (6, 8, 10)}
