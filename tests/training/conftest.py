"""A toy data set that can be learned, a small experiment, and training of it by an engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dae_cli.config.schema import Experiment
from dae_cli.data.dataset import Dataset, Split
from dae_cli.engines.engine import Engine, engine_for
from dae_cli.engines.names import ENGINES
from dae_cli.errors import ConfigError
from dae_cli.training.hooks import Hooks, NoHooks
from dae_cli.training.state import TrainingState, initial_state
from dae_cli.training.train import train

D, CLASSES = 20, 3


@pytest.fixture(scope="session", autouse=True)
def _one_thread(one_thread: None) -> None:
    """Ask for the shared fixture in every test here."""


@pytest.fixture
def reference() -> Engine:
    """The engine of torch on the CPU."""
    return engine_for("torch", torch.device("cpu"))


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn, but for those that this machine does not have."""
    try:
        return engine_for(request.param, torch.device("cpu"))
    except ConfigError as error:
        pytest.skip(str(error))


def _toy_split(rows: int, random: np.random.Generator, classes: int) -> Split:
    """Rows near one of three patterns; no two alike, no grey value 0 (a zero is corruption)."""
    labels = random.integers(0, classes, rows).astype(np.uint8)
    patterns = np.random.default_rng(9).integers(40, 200, (CLASSES, D))
    noise = random.integers(-35, 56, (rows, D))
    return Split((patterns[labels] + noise).clip(1, 255).astype(np.uint8), labels, 1 / 255)


@pytest.fixture
def make_dataset() -> Callable[..., Dataset]:
    """Make a toy data set; by default no split is a multiple of the minibatch of 10."""

    def make(train: int = 47, valid: int = 31, test: int = 29, classes: int = CLASSES) -> Dataset:
        random = np.random.default_rng(5)
        first, second, third = (_toy_split(n, random, classes) for n in (train, valid, test))
        return Dataset("convex", classes, first, second, third, "original", "0" * 64)

    return make


@pytest.fixture
def toy(make_dataset: Callable[..., Dataset]) -> Dataset:
    """47, 31 and 29 rows of 20 components in three classes."""
    return make_dataset()


@pytest.fixture
def make_experiment() -> Callable[..., Experiment]:
    """Make a small experiment; keyword arguments update its sections."""

    def make(**changes: Any) -> Experiment:
        settings: dict[str, Any] = {
            "dataset": "convex",
            "model": {"hidden": (6, 5)},
            "corruption": {"destruction": 0.25},
            "pretrain": {"learning_rate": 0.1, "epochs": 2, "batch_size": 10},
            "finetune": {
                "learning_rate": 0.5,
                "max_epochs": 4,
                "patience": 4,
                "batch_size": 10,
            },
        }
        for key, value in changes.items():
            section = isinstance(value, dict) and key in settings
            settings[key] = settings[key] | value if section else value
        return Experiment.model_validate(settings)

    return make


@pytest.fixture
def run(toy: Dataset, reference: Engine) -> Callable[..., TrainingState]:
    """Train an experiment from the start, or on from a state, and return the state."""

    def run_it(
        experiment: Experiment,
        dataset: Dataset = toy,
        state: TrainingState | None = None,
        hooks: Hooks | None = None,
        engine: Engine = reference,
    ) -> TrainingState:
        state = state or initial_state(experiment, dataset.train.pixels.shape[1], torch.float32)
        train(experiment, dataset, state, engine, hooks or NoHooks())
        return state

    return run_it


@pytest.fixture
def content() -> Callable[[TrainingState], dict[str, Any]]:
    """Return everything a state holds, tensors as bytes: two states are equal bit for bit."""

    def whole(state: TrainingState) -> dict[str, Any]:
        position = (state.phase, state.layer, state.epoch, state.best_wrong, state.best_epoch)
        tensors = {name: _bits(tensor) for name, tensor in state.tensors().items()}
        return {"position": position, "history": list(state.history), **tensors}

    return whole


def _bits(tensor: torch.Tensor) -> tuple[torch.Size, bytes]:
    array: NDArray[np.float32] = tensor.numpy()
    return tensor.shape, array.tobytes()
