"""The word on a cost that is no longer a number."""

from __future__ import annotations

import math

import pytest
import torch

from dae_cli.config.schema import FinetuneSettings, PretrainSettings
from dae_cli.errors import DivergedError
from dae_cli.training.divergence import Place

PRETRAIN = PretrainSettings(learning_rate=0.25, epochs=3)
FINETUNE = FinetuneSettings(learning_rate=1e-05, max_epochs=3, patience=3)


@pytest.mark.parametrize("cost", [0.0, -1.5, 3e38])
def test_a_finite_cost_passes(cost: float) -> None:
    assert Place("pretrain", 1, 1, PRETRAIN).checked_cost(cost) == cost


@pytest.mark.parametrize("cost", [math.nan, math.inf, -math.inf])
def test_a_cost_that_is_not_finite_is_told_with_its_place_and_the_rate(cost: float) -> None:
    with pytest.raises(DivergedError) as raised:
        Place("pretrain", 2, 3, PRETRAIN).checked_cost(cost)
    assert str(raised.value) == (
        f"diverged in pretrain, layer 2, epoch 3: the cost is {cost}; "
        "lower pretrain.learning_rate (now 0.25)"
    )
    assert raised.value.exit_code == 1


def test_fine_tuning_has_no_layer_to_name() -> None:
    with pytest.raises(DivergedError) as raised:
        Place("finetune", None, 7, FINETUNE).checked_cost(math.nan)
    assert str(raised.value) == (
        "diverged in finetune, epoch 7: the cost is nan; lower finetune.learning_rate (now 1e-05)"
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_parameter_that_is_not_finite_is_found(value: float) -> None:
    tensors = [torch.zeros(3), torch.ones(4, 5)]
    Place("pretrain", 1, 1, PRETRAIN).check_parameters(tensors)
    tensors[1][2, 3] = value
    with pytest.raises(DivergedError, match="layer 1, epoch 1: a parameter is not finite; lower"):
        Place("pretrain", 1, 1, PRETRAIN).check_parameters(tensors)
