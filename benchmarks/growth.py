"""How the cost grows: with rows, units, depth and epochs, in the engine that auto chooses."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from time import perf_counter

import torch

from benchmarks import ours
from benchmarks.figures import Figure
from benchmarks.plan import Plan
from benchmarks.rounds import Turn, take_turns, timed_steps
from dae_cli.engines.engine import Engine
from dae_cli.training.hooks import NoHooks
from dae_cli.training.train import train

BATCH = 20
ROWS, UNITS = "growth with rows", "growth with units"
DEPTH, EPOCHS = "growth with depth", "growth with epochs"


def growth(plan: Plan) -> list[Figure]:
    """Measure seconds against each size, the sizes in turns."""
    torch.set_num_threads(1)
    engine = ours.engine(ours.chosen_engine())
    figures = []
    for measure, turns in (
        (ROWS, _rows(plan, engine)),
        (UNITS, _units(plan, engine)),
        (DEPTH, _depth(plan, engine)),
        (EPOCHS, _epochs(plan, engine)),
    ):
        values = take_turns(turns, plan.growth_rounds)
        figures += [Figure(measure, name, "s", "1", values[name]) for name in turns]
    return figures


def _rows(plan: Plan, engine: Engine) -> Mapping[str, Turn]:
    """An epoch of pretraining one layer."""
    turns: dict[str, Turn] = {}
    for count in (plan.rows // 8, plan.rows // 4, plan.rows // 2, plan.rows):
        split, layer = ours.synthetic(count, plan.inputs), ours.autoencoder(plan.inputs, plan.units)
        steps = ours.pretrain(layer, split, BATCH, engine)
        turns[str(count)] = timed_steps(steps, -(-count // BATCH))
    return turns


def _units(plan: Plan, engine: Engine) -> Mapping[str, Turn]:
    """The same, timed over a part of an epoch."""
    split, count = ours.synthetic(plan.rows, plan.inputs), max(1, plan.steps // 2)
    turns: dict[str, Turn] = {}
    for units in (plan.units // 4, plan.units // 2, plan.units, 2 * plan.units, 4 * plan.units):
        steps = ours.pretrain(ours.autoencoder(plan.inputs, units), split, BATCH, engine)
        turns[str(units)] = timed_steps(steps, count, plan.rows / (count * BATCH))
    return turns


def _depth(plan: Plan, engine: Engine) -> Mapping[str, Turn]:
    """A whole training of one epoch a layer and one of fine-tuning."""
    return {
        str(layers): partial(_trained, plan, (plan.units,) * layers, 1, engine)
        for layers in (1, 2, 3, 4, 5)
    }


def _epochs(plan: Plan, engine: Engine) -> Mapping[str, Turn]:
    """A whole training of one layer and as many epochs of fine-tuning."""
    return {
        str(epochs): partial(_trained, plan, (plan.units,), epochs, engine)
        for epochs in (1, 2, 4, 8)
    }


def _trained(plan: Plan, hidden: tuple[int, ...], epochs: int, engine: Engine) -> float:
    """Train on few rows through the product's own `train`; return its seconds."""
    settings = ours.experiment(hidden, BATCH, epochs)
    few = trained_rows(plan)
    dataset = ours.as_dataset(ours.synthetic(few, plan.inputs), others=max(1, few // 5))
    state = ours.fresh_state(settings, plan.inputs)
    started = perf_counter()
    train(settings, dataset, state, engine, NoHooks())
    return perf_counter() - started


def trained_rows(plan: Plan) -> int:
    """Return the training rows behind the growth with depth and epochs."""
    return plan.rows // 20
