"""Training and checkpoints behind plain functions, from settings and rows to parameters."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from dae_cli.config.schema import Experiment
from dae_cli.data.dataset import Dataset, Split
from dae_cli.engines.engine import engine_for
from dae_cli.engines.torch_engine import TorchEngine
from dae_cli.errors import DaeError, DivergedError
from dae_cli.models.corruption import corruption_of
from dae_cli.training.run import Callbacks, TrainingRun
from dae_cli.training.state import Expected, initial_state, load_checkpoint, save_checkpoint
from dae_cli.training.streams import Purpose, shuffled, stream

__all__ = [
    "DATA_SHA256",
    "DaeError",
    "Data",
    "Rows",
    "Trained",
    "corrupted",
    "has_engine",
    "initial_parameters",
    "minibatches_seen",
    "order",
    "read",
    "rewrite",
    "stream_of",
    "toy_data",
    "toy_settings",
    "train",
]

Array = NDArray[np.float32]
Settings = Mapping[str, Any]
CPU = torch.device("cpu")
DATA_SHA256 = "0" * 64


class Rows(NamedTuple):
    """Grey bytes (n, d), 255 is white, and a label for each row."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]


class Data(NamedTuple):
    """Training rows, and validation rows that choose the epoch."""

    train: Rows
    valid: Rows
    classes: int = 3


@dataclass
class Trained:
    """The end of training.

    Attributes:
        tensors: parameters by their names in a checkpoint.
        history: rows of metrics.csv, one per epoch.
        best: epoch whose parameters are saved, and its number of wrong validation rows.
        stopped: whether training was stopped and can resume from the checkpoint.
        diverged: error message if training diverged.
        moments: number of points at which training can stop: after each step, epoch and phase.
        snapshots: tensors after each epoch.
    """

    phase: str
    layer: int
    epoch: int
    tensors: dict[str, Array]
    history: list[dict[str, Any]]
    best: tuple[int, int | None]
    stopped: bool = False
    diverged: str = ""
    moments: int = 0
    snapshots: list[dict[str, Array]] = field(default_factory=list)

    @property
    def costs(self) -> list[float]:
        """The mean cost of each epoch."""
        return [record["cost"] for record in self.history]

    @property
    def valid_wrong(self) -> list[int]:
        """Number of wrong validation rows of each fine-tuning epoch."""
        return [r["valid_wrong"] for r in self.history if r["phase"] == "finetune"]

    @property
    def bits(self) -> dict[str, Any]:
        """The complete result; two runs are bit-identical if these are equal."""
        tensors = {name: (a.shape, a.tobytes()) for name, a in self.tensors.items()}
        place = (self.phase, self.layer, self.epoch, self.best)
        return {"place": place, "history": self.history, **tensors}


def train(
    settings: Settings,
    data: Data,
    engine: Any = "torch",
    *,
    start: Path | None = None,
    stop_after: int | None = None,
    save_to: Path | None = None,
) -> Trained:
    """Train until training is done or stopped.

    Args:
        settings: settings of the experiment, as in a resolved experiment.
        engine: name of an engine, or an engine.
        start: checkpoint to resume from; by default the initial weights.
        stop_after: number of moments (see `Trained`) after which to save a checkpoint and stop.
        save_to: path of this checkpoint.
    """
    experiment = Experiment.model_validate(settings)
    expected = _expected(experiment, data)
    no_rows = Rows(np.zeros((0, expected.inputs), np.uint8), np.zeros(0, np.uint8))
    rows, valid, test = (Split(*part, 1 / 255) for part in (data.train, data.valid, no_rows))
    dataset = Dataset("convex", data.classes, rows, valid, test, "original", DATA_SHA256)
    if start is None:
        state = initial_state(experiment, expected.inputs)
    else:
        state = load_checkpoint(start, expected)
    stopping = _Stopping(stop_after, save_to, expected)
    diverged = ""
    try:
        computes = engine_for(engine, CPU) if isinstance(engine, str) else engine
        TrainingRun(experiment, state, computes, stopping).train(dataset)
    except _Stopped:
        pass
    except DivergedError as error:
        assert error.exit_code == 1
        diverged = str(error)
    return replace(
        _trained(state),
        diverged=diverged,
        stopped=stopping.stopped,
        moments=stopping.seen,
        snapshots=stopping.snapshots,
    )


def minibatches_seen(settings: Settings, data: Data) -> list[tuple[Any, Any]]:
    """Train and return each step's minibatch and the next one, or None after the last.

    Each minibatch is given by its identity and its numbers.
    """
    seen: list[tuple[Any, Any]] = []

    def contents(batch: Any) -> Any:
        if batch is None:
            return None
        values = [v if isinstance(v, list) else [v] for v in vars(batch).values()]
        return id(batch), [tensor.tolist() for tensors in values for tensor in tensors]

    class Recording(TorchEngine):
        def stepper(self, model: Any) -> Any:
            steps = super().stepper(model)

            def step(batch: Any, upcoming: Any, rate: float) -> Tensor:
                seen.append((contents(batch), contents(upcoming)))
                return steps.step(batch, upcoming, rate)

            return SimpleNamespace(step=step)

    train(settings, data, Recording(CPU))
    return seen


def read(path: Path, settings: Settings, data: Data, data_sha256: str = DATA_SHA256) -> Trained:
    """Read a checkpoint of this experiment on these data; raises DaeError."""
    experiment = Experiment.model_validate(settings)
    return _trained(load_checkpoint(path, _expected(experiment, data, data_sha256)))


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, Array]], object]) -> None:
    """Change a checkpoint: `change` edits the JSON header and the tensors in place."""
    with safetensors.safe_open(path, framework="np") as file:
        header = json.loads(file.metadata()["dae"])
    tensors = safetensors.numpy.load(path.read_bytes())
    change(header, tensors)
    safetensors.numpy.save_file(tensors, path, metadata={"dae": json.dumps(header)})


def initial_parameters(settings: Settings, inputs: int) -> dict[str, Array]:
    """Return the initial parameters by their names in a checkpoint."""
    state = initial_state(Experiment.model_validate(settings), inputs)
    return _arrays(state)


def corrupted(settings: Settings, clean: Array, seed: int, layer: int, epoch: int) -> Array:
    """Return the rows corrupted as if they came first in an epoch."""
    corruption = Experiment.model_validate(settings).corruption
    out = np.empty_like(clean)
    noise = corruption_of(corruption.kind, corruption.model_dump())
    noise.corrupt(clean, stream_of("CORRUPTION", seed, layer, epoch), out)
    return out


def stream_of(purpose: str, seed: int, *position: int) -> np.random.Generator:
    """Return the generator for a purpose and position (layer,) or (layer, epoch), from 0."""
    return stream(seed, Purpose[purpose], *position)


def order(purpose: str, rows: int, seed: int, *position: int) -> list[int]:
    """Return the order in which an epoch presents the rows."""
    return [int(row) for row in shuffled(rows, stream_of(purpose, seed, *position))]


def has_engine(name: str) -> bool:
    """Return whether an engine is available on this machine."""
    try:
        engine_for(name, CPU)
    except DaeError:
        return False
    return True


def toy_data(train: int = 47, valid: int = 31, classes: int = 3, noise: float = 0.0) -> Data:
    """Make distinct rows of 20 nonzero greys, each near its class's pattern.

    By default no split is a multiple of the minibatch of 10.
    """
    random = np.random.default_rng(5)
    patterns = np.random.default_rng(9).integers(40, 200, (classes, 20))

    def rows(count: int) -> Rows:
        labels = random.integers(0, classes, count)
        pixels = (patterns[labels] + random.integers(-35, 56, (count, 20))).clip(1, 255)
        other = np.where(random.random(count) < noise, 1, 0)
        drawn = Rows(pixels.astype(np.uint8), ((labels + other) % classes).astype(np.uint8))
        for array in drawn:
            array.flags.writeable = False  # training must not write to it
        return drawn

    return Data(rows(train), rows(valid), classes)


def toy_settings(**changes: Any) -> dict[str, Any]:
    """Return a small experiment; keyword arguments update its sections."""
    settings: dict[str, Any] = {
        "dataset": "convex",
        "model": {"hidden": (6, 5)},
        "corruption": {"destruction": 0.25},
        "pretrain": {"learning_rate": 0.1, "epochs": 2, "batch_size": 10},
        "finetune": {"learning_rate": 0.5, "max_epochs": 4, "patience": 4, "batch_size": 10},
    }
    for key, value in changes.items():
        settings[key] = settings[key] | value if isinstance(value, dict) else value
    return settings


class _Stopped(Exception):
    """Raised to stop training."""


class _Stopping(Callbacks):
    """Counts moments, copies the parameters after each epoch and stops training."""

    def __init__(self, stop_after: int | None, save_to: Path | None, expected: Expected) -> None:
        self._stop_after, self._save_to, self._expected = stop_after, save_to, expected
        self.seen, self.stopped = 0, False
        self.snapshots: list[dict[str, Array]] = []

    def is_checkpoint_due(self) -> bool:
        self.seen += 1
        return self.seen == self._stop_after

    def on_checkpoint(self, state: Any) -> None:
        assert self._save_to is not None
        save_checkpoint(self._save_to, state, self._expected)
        self.stopped = True
        raise _Stopped

    def on_epoch_end(self, state: Any) -> None:
        self.snapshots.append(_arrays(state))
        self.on_phase_end(state)

    def on_phase_end(self, state: Any) -> None:
        if self.is_checkpoint_due():
            self.on_checkpoint(state)


def _expected(experiment: Experiment, data: Data, sha256: str = DATA_SHA256) -> Expected:
    rows, inputs = data.train.pixels.shape
    return Expected(experiment, sha256, inputs, data.classes, rows)


def _trained(state: Any) -> Trained:
    place = (state.phase, state.layer, state.epoch)
    history = [asdict(record) for record in state.history]
    return Trained(*place, _arrays(state), history, (state.best_epoch, state.best_wrong))


def _arrays(state: Any) -> dict[str, Array]:
    return {name: tensor.numpy().copy() for name, tensor in state.tensors().items()}
