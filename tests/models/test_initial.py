"""Initial weights: uniform, of the stated range."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from dae_cli.models.initial import uniform_weights


def weights(init: str, seed: int = 0, outputs: int = 60, inputs: int = 784) -> Tensor:
    random = np.random.Generator(np.random.SFC64(seed))
    return uniform_weights(outputs, inputs, init, random, torch.float64)


@pytest.mark.parametrize(("init", "factor"), [("glorot", 1), ("tutorial", 4)])
def test_weights_fill_plus_minus_factor_times_root_of_6_over_fan_in_plus_fan_out(
    init: str, factor: int
) -> None:
    w, limit = weights(init), factor * math.sqrt(6 / (784 + 60))
    assert w.shape == (60, 784)
    assert 0.999 * limit < w.abs().max().item() <= limit
    assert abs(w.mean().item()) < 4 * limit / math.sqrt(3 * w.numel())
    assert w.var().item() == pytest.approx(limit**2 / 3, rel=0.02)


def test_weights_are_uniform_over_their_range() -> None:
    w = weights("glorot")
    counts = torch.histc(w / w.abs().max(), bins=20, min=-1, max=1)
    expected = w.numel() / 20
    assert ((counts - expected) ** 2 / expected).sum().item() < 43.8  # chi-square, 19 d.f., .999


def test_tutorial_weights_are_four_times_those_of_glorot() -> None:
    assert torch.equal(weights("tutorial"), 4 * weights("glorot"))


def test_another_stream_gives_other_weights_and_the_same_one_the_same() -> None:
    assert torch.equal(weights("glorot", seed=1), weights("glorot", seed=1))
    assert not torch.equal(weights("glorot", seed=1), weights("glorot", seed=2))


def test_the_type_asked_for_rounds_the_same_weights() -> None:
    random = np.random.Generator(np.random.SFC64(0))
    single = uniform_weights(60, 784, "glorot", random, torch.float32)
    assert single.dtype == torch.float32 and single.is_contiguous()
    assert torch.equal(single, weights("glorot").float())
