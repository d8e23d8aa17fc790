from __future__ import annotations

import pytest
import torch

from benchmarks import ours, parts
from benchmarks.plan import QUICK
from dae_cli.engines.names import EngineName


@pytest.mark.parametrize("name", ours.engines())
def test_the_parts_of_a_step_add_up_to_it(name: EngineName) -> None:
    step = parts.TimedStep(QUICK, ours.engine(name))
    step.turn(2)
    figures = step.turn(5)
    assert set(figures) == {*parts.PARTS, parts.STEP}
    assert all(figure > 0 for figure in figures.values())
    assert sum(figures[part] for part in parts.PARTS) == pytest.approx(figures[parts.STEP])


@pytest.mark.parametrize("name", ours.engines())
def test_the_clock_changes_nothing(name: EngineName) -> None:
    timed = parts.TimedStep(QUICK, ours.engine(name))
    timed.turn(5)
    layer = ours.autoencoder(QUICK.inputs, QUICK.units)
    split = ours.synthetic(QUICK.rows, QUICK.inputs)
    steps = ours.pretrain(layer, split, parts.BATCH, ours.engine(name))
    for _ in range(5):
        next(steps)
    assert torch.equal(timed.autoencoder.weight, layer.weight)


def test_a_step_is_five_products() -> None:
    assert sum(parts.PRODUCTS.values()) == 5
    assert parts.operations(784, 1000, 20) == 156_800_000
