"""Where the time of a pretraining step goes: the product's own step, with a clock at its parts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from time import perf_counter
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks import ours
from benchmarks.epochs import square_products
from benchmarks.figures import Figure
from benchmarks.plan import DESTRUCTION, PROFILE, RATE, SGEMM, Plan
from benchmarks.rounds import Turn, take_turns
from dae_cli.engines.engine import Engine
from dae_cli.models.corruption import Corruption, Masking
from dae_cli.models.operations import Operations
from dae_cli.training.batches import batches
from dae_cli.training.inputs import Inputs, Pixels
from dae_cli.training.steps import PretrainingStep
from dae_cli.training.streams import Purpose, shuffled, stream

BATCH = 20
ENCODE, DECODE, BACK, UPDATE = "x̃ Wᵀ + b", "h W + c", "δx Wᵀ", "W − η (δhᵀ x̃ + hᵀ δx)"
PRODUCTS = {ENCODE: 1, DECODE: 1, BACK: 1, UPDATE: 2}
"""The products of a step, and how many times 2·m·d·h operations each takes."""
ELEMENTS, BIASES = "sigmoids, errors and cost", "the biases' step"
GATHER, MASK, REST = "gathering the rows", "drawing and applying the mask", "the rest"
PARTS = (*PRODUCTS, ELEMENTS, BIASES, GATHER, MASK, REST)
STEP = "the whole step"


class Clock:
    """Seconds by part."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def around(self, part_of: Callable[..., str], call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call` with its time added to the part that its arguments tell."""

        def timed(*arguments: Any) -> Any:
            started = perf_counter()
            result = call(*arguments)
            self.seconds[part_of(*arguments)] += perf_counter() - started
            return result

        return timed


class TimedOperations:
    """The operations of an engine with a clock at each."""

    def __init__(self, operations: Operations, clock: Clock) -> None:
        for name in dir(operations):
            call = getattr(operations, name)
            if not name.startswith("_") and callable(call):
                part_of = _PART_OF.get(name, lambda *_: ELEMENTS)
                setattr(self, name, call if name == "zeros" else clock.around(part_of, call))


def _transposed(rows: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> str:
    return BACK if bias is None else ENCODE


def _accumulated(weight: Tensor, *_: object) -> str:
    return BIASES if len(weight) == 1 else UPDATE


_PART_OF: dict[str, Callable[..., str]] = {
    "times_transposed": _transposed,
    "times": lambda *_: DECODE,
    "accumulate": _accumulated,
}


class TimedInputs:
    """Inputs with a clock."""

    def __init__(self, inputs: Inputs, clock: Clock) -> None:
        self.width = inputs.width
        self.chunk = inputs.chunk
        self.into = clock.around(lambda *_: GATHER, inputs.into)
        self._rows = len(inputs)

    def __len__(self) -> int:
        return self._rows


class TimedCorruption:
    """A corruption with a clock."""

    def __init__(self, corruption: Corruption, clock: Clock) -> None:
        self._corrupt = clock.around(lambda *_: MASK, corruption.corrupt)

    def corrupt(
        self, clean: NDArray[np.float32], random: np.random.Generator, out: NDArray[np.float32]
    ) -> None:
        """Write a corrupted copy."""
        self._corrupt(clean, random, out)


class TimedStep:
    """The product's pretraining step of the first layer, part by part."""

    def __init__(self, plan: Plan, engine: Engine) -> None:
        self.clock = Clock()
        inputs = Pixels(ours.synthetic(plan.rows, plan.inputs), BATCH)
        self.autoencoder = ours.autoencoder(plan.inputs, plan.units)
        operations = cast(Operations, TimedOperations(engine.operations, self.clock))
        self._step = PretrainingStep(
            self.autoencoder,
            TimedInputs(inputs, self.clock),
            TimedCorruption(Masking(DESTRUCTION), self.clock),
            Engine(engine.name, engine.device, operations),
        )
        self._noise = stream(0, Purpose.CORRUPTION, 0, 0)
        order = shuffled(len(inputs), stream(0, Purpose.PRETRAIN_ORDER, 0, 0))
        self._batches = list(batches(order, BATCH))

    def turn(self, steps: int) -> dict[str, float]:
        """Return the microseconds a step of each part and of the whole."""
        self.clock.seconds.clear()
        started = perf_counter()
        for k in range(steps):
            self._step.take(self._batches[k % len(self._batches)], self._noise, RATE)
        whole = perf_counter() - started
        parts = dict(self.clock.seconds)
        parts[REST] = whole - sum(parts.values())
        parts[STEP] = whole
        return {part: 1e6 * parts[part] / steps for part in (*PARTS, STEP)}


def profile(plan: Plan) -> list[Figure]:
    """Measure the parts of a step with the engine that auto chooses, and sgemm in turns."""
    torch.set_num_threads(1)
    step = TimedStep(plan, ours.engine(ours.chosen_engine()))
    found: list[dict[str, float]] = []

    def turn() -> float:
        found.append(step.turn(plan.steps))
        return found[-1][STEP]

    turns: dict[str, Turn] = {STEP: turn} | square_products(plan.square)
    values = take_turns(turns, plan.rounds)
    rounds = found[1:]  # the first one warmed up
    parts = {part: tuple(each[part] for each in rounds) for part in (*PARTS, STEP)}
    return [Figure(PROFILE, part, "µs", "1", parts[part]) for part in parts] + [
        Figure(PROFILE, name, "GFLOP/s", "1", values[name]) for name in SGEMM
    ]


def operations(inputs: int, units: int, rows: int) -> float:
    """Return the operations of a pretraining step's five products, 2·m·d·h each."""
    return 5 * 2.0 * rows * inputs * units
