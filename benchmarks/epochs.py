"""Epochs of pretraining and of fine-tuning, one thread: peers, our engines and sgemm in turns."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter

import numpy as np
import torch
from scipy.linalg.blas import sgemm

from benchmarks import ours, peers
from benchmarks.figures import Figure
from benchmarks.machine import compiler
from benchmarks.plan import (
    CLASSES,
    COMPILED,
    DESTRUCTION,
    IN_MEMORY,
    RATE,
    SGEMM,
    WITH_LOADER,
    Plan,
)
from benchmarks.plan import ours as our_name
from benchmarks.rounds import Turn, take_turns, timed_steps

MASKING = "mask of a peer"
NO_COMPILER = "not available: no C++ compiler"

Steps = Iterator[None]


def masks(plan: Plan) -> list[Figure]:
    """Time the idioms that draw a mask of an exact count in torch; the faster one is the peers'."""
    torch.set_num_threads(1)
    clean, count = torch.rand(20, plan.inputs), round(DESTRUCTION * plan.inputs)

    def turn(mask: peers.Mask) -> float:
        started = perf_counter()
        for _ in range(plan.steps):
            mask(clean, count)
        return (perf_counter() - started) / plan.steps * 1e6

    turns: dict[str, Turn] = {name: partial(turn, mask) for name, mask in peers.MASKS.items()}
    values = take_turns(turns, plan.rounds)
    return [Figure(MASKING, name, "µs", "1", values[name]) for name in turns]


def pretraining(plan: Plan) -> list[Figure]:
    """Time epochs of pretraining the first layer, batch 20."""
    return _pretraining(plan, plan.units, 20, with_peers=True)


def wide_pretraining(plan: Plan) -> list[Figure]:
    """The same with twice as many hidden units."""
    return _pretraining(plan, 2 * plan.units, 20, with_peers=True)


def large_batches(plan: Plan) -> list[Figure]:
    """The same in batches of 100, our engines and sgemm alone."""
    return _pretraining(plan, plan.units, 100, with_peers=False)


def _pretraining(plan: Plan, units: int, batch: int, with_peers: bool) -> list[Figure]:
    torch.set_num_threads(1)
    split = ours.synthetic(plan.rows, plan.inputs)
    makers: dict[str, Callable[[], Steps]] = {}
    if with_peers:
        rows = torch.from_numpy(split.as_float())
        count, mask = round(DESTRUCTION * plan.inputs), _faster_mask(plan)

        def model() -> peers.TiedAutoencoder:
            return peers.TiedAutoencoder(plan.inputs, units)

        settings = (rows, batch, RATE, mask, count)
        makers[WITH_LOADER] = lambda: peers.pretrain_with_loader(model(), *settings)
        makers[IN_MEMORY] = lambda: peers.pretrain_in_memory(model(), *settings)
        makers[COMPILED] = lambda: peers.pretrain_in_memory(
            model(), *settings, peers.compiled(peers.reconstruction_loss)
        )
    for name in ours.engines():
        layer = ours.autoencoder(plan.inputs, units)
        makers[our_name(name)] = partial(ours.pretrain, layer, split, batch, ours.engine(name))
    return _epochs(plan, plan.pretraining(units, batch), batch, makers)


def finetuning(plan: Plan) -> list[Figure]:
    """Time epochs of fine-tuning three hidden layers, batch 20, without validation."""
    torch.set_num_threads(1)
    batch = 20
    split, hidden = ours.synthetic(plan.rows, plan.inputs), (plan.units,) * 3
    rows = torch.from_numpy(split.as_float())
    labels = torch.from_numpy(split.labels.astype(np.int64))

    def model() -> torch.nn.Module:
        return peers.classifier(plan.inputs, hidden, CLASSES)

    settings = (rows, labels, batch, RATE)
    makers: dict[str, Callable[[], Steps]] = {
        WITH_LOADER: lambda: peers.finetune_with_loader(model(), *settings),
        IN_MEMORY: lambda: peers.finetune_in_memory(model(), *settings),
        COMPILED: lambda: peers.finetune_in_memory(
            model(), *settings, peers.compiled(peers.label_loss)
        ),
    }
    for name in ours.engines():
        network = ours.network(plan.inputs, hidden)
        makers[our_name(name)] = partial(ours.finetune, network, split, batch, ours.engine(name))
    return _epochs(plan, plan.finetuning(batch), batch, makers)


def _faster_mask(plan: Plan) -> peers.Mask:
    measured = masks(plan)
    return peers.MASKS[min(measured, key=lambda figure: figure.median).contender]


def _epochs(
    plan: Plan, measure: str, batch: int, makers: dict[str, Callable[[], Steps]]
) -> list[Figure]:
    """Let trainings and sgemm take turns; figures in seconds an epoch and GFLOP/s."""
    count = max(1, plan.steps * 20 // batch)
    notes: dict[str, str] = {}
    turns: dict[str, Turn] = {}
    for name, make in makers.items():
        steps, notes[name] = _begun(name, make)
        if steps is not None:
            turns[name] = timed_steps(steps, count, plan.rows / (count * batch))
    values = take_turns(turns | square_products(plan.square), plan.rounds)
    epochs = [Figure(measure, name, "s", "1", values.get(name, ()), notes[name]) for name in makers]
    return epochs + [Figure(measure, name, "GFLOP/s", "1", values[name]) for name in SGEMM]


def _begun(name: str, make: Callable[[], Steps]) -> tuple[Steps | None, str]:
    """Take the first step, in which things are compiled; None and a note if that fails."""
    if name == COMPILED and compiler() is None:
        return None, NO_COMPILER
    steps = make()
    try:
        next(steps)
    except Exception as error:
        if name != COMPILED:
            raise
        print(f"torch.compile: {error}", file=sys.stderr)
        return None, f"not available: {type(error).__name__}"
    return steps, ""


def square_products(side: int) -> dict[str, Turn]:
    """Return turns that multiply two square matrices with each library's sgemm, in GFLOP/s."""
    random = np.random.default_rng(0)
    a, b = (random.random((side, side), dtype=np.float32) for _ in range(2))
    c = np.zeros_like(a)
    torches = [torch.from_numpy(matrix) for matrix in (a, b, c)]

    def rate(multiply: Callable[[], object]) -> float:
        started = perf_counter()
        multiply()
        return 2 * side**3 / (perf_counter() - started) / 1e9

    products: tuple[Callable[[], object], ...] = (
        lambda: np.matmul(a, b, out=c),
        lambda: sgemm(1.0, a.T, b.T, c=c.T, overwrite_c=1),  # .T: Fortran's order, no copies
        lambda: torch.mm(torches[0], torches[1], out=torches[2]),
    )
    return {name: partial(rate, each) for name, each in zip(SGEMM, products, strict=True)}
