"""How much is measured: sizes, rounds, and the names that measures and contenders go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["normal", "quick", "full"]

WITH_LOADER = "PyTorch, DataLoader"
IN_MEMORY = "PyTorch, data in memory"
COMPILED = "PyTorch, torch.compile"
PEERS = (WITH_LOADER, IN_MEMORY, COMPILED)
SGEMM = ("sgemm, numpy", "sgemm, scipy", "sgemm, torch")

DESTRUCTION = 0.25
CLASSES = 2
RATE = 0.02


def ours(engine: str) -> str:
    """Return the contender's name of one of our engines."""
    return f"dae, {engine}"


@dataclass(frozen=True)
class Plan:
    """Sizes and rounds of a run of the benchmarks.

    A turn is what a contender does before the next one has its turn; a round is one turn each.
    """

    mode: Mode
    inputs: int
    """d of an example."""
    units: int
    """Of every hidden layer, but where a measure says otherwise."""
    rows: int
    """Examples of the synthetic training set: those of an epoch."""
    steps: int
    """Steps of 20 rows in a turn."""
    rounds: int
    square: int
    """Side of the matrices whose product tells what the machine can do."""
    help_rounds: int
    cell_rounds: int
    cell_share: int
    """Epochs of every cell of icml2008 are divided by this; 1 is the whole."""
    growth_rounds: int

    def pretraining(self, units: int, batch: int) -> str:
        """Return the name of a measure: an epoch of pretraining."""
        return f"pretraining epoch, {self.inputs}-{units}, batch {batch}"

    def finetuning(self, batch: int) -> str:
        """Return the name of a measure: an epoch of fine-tuning."""
        stack = "-".join(str(width) for width in (self.inputs, *(self.units,) * 3, CLASSES))
        return f"fine-tuning epoch, {stack}, batch {batch}"


NORMAL = Plan(
    mode="normal",
    inputs=784,
    units=1000,
    rows=10_000,
    steps=50,
    rounds=21,
    square=2048,
    help_rounds=15,
    cell_rounds=5,
    cell_share=20,
    growth_rounds=5,
)
QUICK = Plan(
    mode="quick",
    inputs=60,
    units=50,
    rows=200,
    steps=3,
    rounds=2,
    square=128,
    help_rounds=2,
    cell_rounds=2,
    cell_share=20,
    growth_rounds=2,
)
FULL = Plan(
    mode="full",
    inputs=784,
    units=1000,
    rows=10_000,
    steps=500,
    rounds=9,
    square=2048,
    help_rounds=15,
    cell_rounds=1,
    cell_share=1,
    growth_rounds=9,
)
PLANS: dict[Mode, Plan] = {plan.mode: plan for plan in (NORMAL, QUICK, FULL)}

CELLS = "seven cells of icml2008"
WORKERS = "workers at a time"
HELP = "answer of a command line"
MEMORY = "peak memory of a worker"
PROFILE = "parts of a pretraining step"
