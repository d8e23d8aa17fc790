"""dae's training, in the same loop as `dae train`, a given number of steps at a time."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Semaphore, Thread

import numpy as np
import torch

from dae_cli.config.experiments import resolve_experiment
from dae_cli.config.schema import as_network
from dae_cli.data.dataset import Dataset, Split
from dae_cli.engines.engine import engine_for
from dae_cli.training.run import Callbacks, TrainingRun
from dae_cli.training.state import initial_state


def synthetic(rows: int) -> Dataset:
    """Return random greys and labels, because values do not affect speed; one validation row."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (rows, 784), dtype=np.uint8)
    train = Split(pixels, random.integers(0, 2, rows).astype(np.uint8), 1 / 255)
    return Dataset("convex", 2, train, train.take(1), train.take(1), "regenerated", "0" * 64)


class Training(Callbacks):
    """Endless training in a thread that waits between turns.

    The loop asks after each step whether a checkpoint is due, and is paused there. It trains an
    autoencoder (two widths: inputs, hidden) or a network (widths from inputs to classes) with the
    settings of a cell of the table, except for `changes` such as "corruption.destruction=0".
    """

    def __init__(
        self, widths: Sequence[int], data: Dataset, engine: str, device: torch.device, *changes: str
    ) -> None:
        hidden, epochs = (widths[1:], 100_000) if len(widths) == 2 else (widths[1:-1], 0)
        words = [f"model.hidden={list(hidden)}", f"pretrain.epochs={epochs}"]
        words += [f"finetune.{name}=100000" for name in ("max_epochs", "patience")]
        cell = resolve_experiment("icml2008/convex-25", [*words, *changes])
        experiment = as_network(cell.experiment)
        self.state = initial_state(experiment, widths[0])
        self._run = TrainingRun(experiment, self.state, engine_for(engine, device), self)
        self._steps = 0
        self._error: Exception | None = None
        self._go, self._pause = Semaphore(0), Semaphore(0)
        Thread(target=self._train, args=(data,), daemon=True).start()

    def __call__(self, steps: int) -> None:
        """Run `steps` steps; raises the exception of the training thread, if any."""
        self._steps = steps
        self._go.release()
        self._pause.acquire()
        if self._error is not None:
            raise self._error

    def is_checkpoint_due(self) -> bool:
        """Wait for the next turn if this one is over; never save."""
        self._steps -= 1
        if self._steps == 0:
            self._pause.release()
            self._go.acquire()
        return False

    def _train(self, data: Dataset) -> None:
        self._go.acquire()
        try:
            self._run.train(data)
        except Exception as error:
            self._error = error
        self._pause.release()
