"""Our own training, step by step: the product's steps, in the loops that the product runs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import numpy as np
import torch

from benchmarks.plan import CLASSES, DESTRUCTION, RATE
from dae_cli.config.schema import Experiment
from dae_cli.data.dataset import Dataset, Split
from dae_cli.engines.engine import Engine, default_engine, engine_for
from dae_cli.engines.names import EngineName
from dae_cli.models.autoencoder import Autoencoder
from dae_cli.models.corruption import Masking
from dae_cli.models.network import Network
from dae_cli.study.run.threads import use_one_thread as use_one_thread
from dae_cli.training.batches import batches
from dae_cli.training.inputs import Pixels
from dae_cli.training.state import TrainingState, initial_state, network_from
from dae_cli.training.steps import FinetuningStep, PretrainingStep
from dae_cli.training.streams import Purpose, shuffled, stream

CPU = torch.device("cpu")


def engine(name: EngineName) -> Engine:
    """Return an engine of the CPU."""
    return engine_for(name, CPU)


def engines() -> tuple[EngineName, ...]:
    """Return the engines that can be had here."""
    return ("torch",) if chosen_engine() == "torch" else ("torch", "compiled")


def chosen_engine() -> EngineName:
    """Return what `--engine auto` takes on this machine."""
    use_one_thread()
    return default_engine(CPU, lambda _: None)


def experiment(hidden: tuple[int, ...], batch: int, epochs: int = 1) -> Experiment:
    """Return settings like those of the table's cells; only sizes and epochs matter here."""
    return Experiment.model_validate(
        {
            "dataset": "convex",
            "model": {"hidden": hidden},
            "corruption": {"destruction": DESTRUCTION},
            "pretrain": {"learning_rate": RATE, "epochs": epochs, "batch_size": batch},
            "finetune": {
                "learning_rate": RATE,
                "max_epochs": epochs,
                "patience": epochs,
                "batch_size": batch,
            },
        }
    )


def synthetic(rows: int, inputs: int) -> Split:
    """Return random grey values and labels: what they are costs no time."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (rows, inputs), dtype=np.uint8)
    return Split(pixels, random.integers(0, CLASSES, rows).astype(np.uint8), 1 / 255)


def as_dataset(train: Split, others: int) -> Dataset:
    """Return a training split with `others` of its rows for validation and test."""
    few = train.take(others)
    return Dataset("convex", CLASSES, train, few, few, "regenerated", "0" * 64)


def fresh_state(settings: Experiment, inputs: int) -> TrainingState:
    """Return the state that a run begins with."""
    return initial_state(settings, inputs, torch.float32)


def autoencoder(inputs: int, units: int) -> Autoencoder:
    """Return a first layer as it begins."""
    (layer,) = fresh_state(experiment((units,), 1), inputs).autoencoders
    assert isinstance(layer, Autoencoder)
    return layer


def network(inputs: int, hidden: tuple[int, ...]) -> Network:
    """Return a network without pretraining as it begins."""
    return network_from(fresh_state(experiment(hidden, 1), inputs).autoencoders, CLASSES)


def pretrain(layer: Autoencoder, train: Split, batch: int, engine: Engine) -> Iterator[None]:
    """Pretrain a first layer, a step at a time, for ever."""
    inputs = Pixels(train, batch)
    step = PretrainingStep(layer, inputs, Masking(DESTRUCTION), engine)
    for epoch in count():
        order = shuffled(len(inputs), stream(0, Purpose.PRETRAIN_ORDER, 0, epoch))
        noise = stream(0, Purpose.CORRUPTION, 0, epoch)
        for chosen in batches(order, batch):
            step.take(chosen, noise, RATE)
            yield
        step.total.start()


def finetune(network: Network, train: Split, batch: int, engine: Engine) -> Iterator[None]:
    """Fine-tune a network, a step at a time, for ever."""
    inputs = Pixels(train, batch)
    step = FinetuningStep(network, inputs, train.labels, engine)
    for epoch in count():
        order = shuffled(len(inputs), stream(0, Purpose.FINETUNE_ORDER, epoch))
        for chosen in batches(order, batch):
            step.take(chosen, RATE)
            yield
        step.total.start()
