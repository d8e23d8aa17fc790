"""The training state, which contains everything needed to resume a run, and its checkpoint file.

Checkpoints are untrusted (`dae_cli.tensors`): a loaded position must be one that a run of the
experiment can reach, and the tensors must be those that such a run has at this position.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from dae_cli.config.schema import (
    Experiment,
    FilterExperiment,
    PretrainedExperiment,
    PretrainSettings,
)
from dae_cli.csvfile import csv_text
from dae_cli.data.datasets import spec_of
from dae_cli.models.autoencoder import Autoencoder
from dae_cli.models.layers import Encoder, draw_weights_
from dae_cli.models.network import Network
from dae_cli.models.rbm import Rbm
from dae_cli.tensors import open_tensors, save_tensors
from dae_cli.training.streams import Purpose, stream

Count = Annotated[int, Field(ge=0)]
Phase = Literal["pretrain", "finetune", "done"]
Word = Annotated[int, Field(ge=0, lt=2**64)]


@dataclass(frozen=True)
class EpochRecord:
    """One row of metrics.csv; fields that do not apply to the phase are empty."""

    phase: Phase
    layer: int | None
    """Layer number, 1 for the lowest; None in fine-tuning."""
    epoch: int
    """Epoch number within the layer or fine-tuning, from 1."""
    cost: float
    """Mean training cost per row, measured before each update."""
    valid_wrong: int | None = None
    valid_error_percent: float | None = None


@dataclass(frozen=True)
class GeneratorState:
    """The state of an SFC64 generator as plain numbers."""

    words: tuple[Word, Word, Word, Word]
    has_uint32: Annotated[int, Field(ge=0, le=1)]
    uinteger: Annotated[int, Field(ge=0, lt=2**32)]
    """Buffered half of a word if `has_uint32` is 1."""

    @classmethod
    def of(cls, random: np.random.Generator) -> GeneratorState:
        state: Any = random.bit_generator.state
        a, b, c, d = state["state"]["state"].tolist()
        return cls((a, b, c, d), state["has_uint32"], state["uinteger"])

    def restore(self, random: np.random.Generator) -> None:
        random.bit_generator.state = {
            "bit_generator": "SFC64",
            "state": {"state": np.array(self.words, dtype=np.uint64)},
            "has_uint32": self.has_uint32,
            "uinteger": self.uinteger,
        }


@dataclass(frozen=True)
class EpochProgress:
    """Progress within the current epoch."""

    steps: Annotated[int, Field(ge=1)]
    """Number of minibatches presented."""
    cost: float
    """Cost summed over their rows."""
    noise: GeneratorState | None
    """State of the generator of the corruption or the Gibbs chain before the next minibatch is
    drawn; None in fine-tuning."""


@dataclass
class TrainingState:
    """Parameters, position, early stopping and history of one run.

    Between epochs no generator state is needed, because streams depend only on it (streams.py).
    """

    phase: Phase
    """Phase of the next epoch."""
    layers: list[Encoder]
    """Pretrained layers: autoencoders, or the RBMs of a DBN."""
    layer: int = 0
    """Index of the layer being pretrained, from 0."""
    epoch: int = 0
    """Number of epochs completed in the current layer or phase."""
    network: Network | None = None
    """Network being fine-tuned; None before fine-tuning."""
    best: Network | None = None
    """Network with the lowest validation error so far, averaged over `finetune.window` epochs."""
    best_wrong: int | None = None
    """Number of validation rows that `best` itself misclassifies."""
    best_epoch: int = 0
    """Fine-tuning epoch of `best`, from 1."""
    history: list[EpochRecord] = field(default_factory=list)
    interim: EpochProgress | None = None
    """Progress within an epoch; None between epochs."""

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by their names in a checkpoint.

        They include persistent Gibbs chains (rows of a minibatch, hidden) of the current layer.
        """
        named: dict[str, Tensor] = {}
        for k, layer in enumerate(self.layers, start=1):
            named |= {f"pretrained.{k}.{name}": t for name, t in layer.parameters().items()}
            if isinstance(layer, Rbm) and layer.chains is not None:
                named["chains"] = layer.chains
        for prefix, network in (("network", self.network), ("best", self.best)):
            if network is not None:
                named |= {f"{prefix}.{name}": t for name, t in network.parameters().items()}
        return named


def blank_state(experiment: PretrainedExperiment, inputs: int) -> TrainingState:
    """Return a state at the start of a run with all tensors zero, for examples (`inputs`,)."""
    model = experiment.model
    widths = zip((inputs, *model.hidden), model.hidden, strict=False)
    layers = [_layer(experiment.pretrain, d, hidden, model.tied) for d, hidden in widths]
    return TrainingState("pretrain" if experiment.pretrain.epochs else "finetune", layers)


def initial_state(experiment: PretrainedExperiment, inputs: int) -> TrainingState:
    """Draw the initial weights; biases are zero.

    The weights depend on the seed and their shapes, not on the corruption.
    """
    state = blank_state(experiment, inputs)
    for k, layer in enumerate(state.layers):
        random = stream(experiment.seed, Purpose.WEIGHTS, k)
        for name, tensor in layer.parameters().items():
            if name.endswith("weight"):
                draw_weights_(tensor, experiment.model.init, random)
    return state


def _layer(settings: PretrainSettings, d: int, hidden: int, tied: bool) -> Encoder:
    parameters = torch.zeros(hidden, d), torch.zeros(hidden), torch.zeros(d)
    if settings.kind == "rbm":
        return Rbm(
            *parameters, gibbs_steps=settings.gibbs_steps, sample_visible=settings.sample_visible
        )
    return Autoencoder(
        *parameters,
        loss=settings.loss,
        decoder_weight=None if tied else torch.zeros(d, hidden),
        weight_decay=settings.weight_decay,
        contraction=settings.contraction,
    )


def begin_chains(settings: PretrainSettings, layer: Encoder) -> None:
    """Start an RBM's persistent Gibbs chains, if configured, with all hidden units off."""
    if isinstance(layer, Rbm) and settings.persistent:
        layer.chains = torch.zeros(settings.batch_size, len(layer.hidden_bias))


def metrics_csv(history: Sequence[EpochRecord]) -> str:
    """Return metrics.csv with one row per epoch and costs in full precision."""
    names = [f.name for f in fields(EpochRecord)]
    return csv_text([names, *([getattr(record, name) for name in names] for record in history)])


# The checkpoint


@dataclass(frozen=True)
class Expected:
    """Experiment and data that a checkpoint must belong to."""

    experiment: PretrainedExperiment
    data_sha256: str
    inputs: int
    """Number of components of an example."""
    classes: int
    """Number of output units; 0 if there is no fine-tuning."""
    rows: int
    """Number of training examples."""


def expected_of(experiment: PretrainedExperiment, data_sha256: str) -> Expected:
    """Return what a checkpoint of an experiment on these data must match."""
    if isinstance(experiment, Experiment):
        spec = spec_of(experiment.dataset)
        rows = experiment.subset.train if experiment.subset else spec.n_train
        return Expected(experiment, data_sha256, spec.n_pixels, spec.n_classes, rows)
    return Expected(experiment, data_sha256, experiment.inputs, 0, experiment.examples)


class _Position(BaseModel):
    """The JSON header of a checkpoint; every value is validated."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    format: Literal[2]
    experiment: Experiment | FilterExperiment
    data_sha256: str
    phase: Phase
    layer: Count
    epoch: Count
    interim: EpochProgress | None
    best_wrong: Count | None
    best_epoch: Count
    history: list[EpochRecord]

    PLACE: ClassVar = ("phase", "layer", "epoch", "interim", "best_wrong", "best_epoch", "history")
    """Names of the fields shared with `TrainingState`."""

    @property
    def begun(self) -> bool:
        """Whether the current layer or phase has taken its first step."""
        return self.epoch > 0 or self.interim is not None


def save_checkpoint(path: Path, state: TrainingState, expected: Expected) -> None:
    """Write a checkpoint atomically; raises OutputError."""
    place = {name: getattr(state, name) for name in _Position.PLACE}
    position = _Position(
        format=2, experiment=expected.experiment, data_sha256=expected.data_sha256, **place
    )
    tensors = {name: t.detach().cpu().numpy() for name, t in state.tensors().items()}
    save_tensors(path, position, tensors)


def load_checkpoint(path: Path, expected: Expected) -> TrainingState:
    """Read a checkpoint; its tensors are on the CPU.

    Raises:
        RunFolderError: the file is missing, damaged, or not a checkpoint of this run.
    """
    with open_tensors(path, _Position) as file:
        position = file.header
        recorded = position.experiment, position.data_sha256
        if recorded != (expected.experiment, expected.data_sha256):
            raise ValueError("it is from a run with other settings or data")
        if not (_is_possible(position, expected) and _is_history_of(position, expected.experiment)):
            raise ValueError("its position is not one that this run can reach")
        state = _blank_state_at(position, expected, file.specs)
        blanks = state.tensors()
        for name, tensor in file.read({n: ("F32", t.shape) for n, t in blanks.items()}):
            blanks[name].copy_(torch.from_numpy(tensor))
    return state


def _is_possible(position: _Position, expected: Expected) -> bool:
    """Return whether a run can reach this phase, layer, epoch and step."""
    experiment, interim = expected.experiment, position.interim
    depth, epochs = len(experiment.model.hidden), experiment.pretrain.epochs
    if position.phase == "pretrain":
        placed = position.layer < depth and epochs > 0
        batch_size = experiment.pretrain.batch_size
    else:
        placed = position.layer == (depth if epochs else 0)
        epochs = batch_size = 0
        if isinstance(experiment, Experiment):
            epochs, batch_size = experiment.finetune.max_epochs, experiment.finetune.batch_size
    if interim is None:
        return placed and position.epoch <= epochs
    return (
        placed
        and position.phase != "done"
        and position.epoch < epochs
        and interim.steps <= math.ceil(expected.rows / batch_size)
        and (interim.noise is not None) == (position.phase == "pretrain")
    )


def _is_history_of(position: _Position, experiment: PretrainedExperiment) -> bool:
    """Return whether the history and early stopping match the position."""
    pretraining = position.phase == "pretrain"
    passed: list[tuple[str, int | None, int]] = []
    for layer in range(1, position.layer + 1):
        passed += (("pretrain", layer, e) for e in range(1, experiment.pretrain.epochs + 1))
    phase, layer_now = ("pretrain", position.layer + 1) if pretraining else ("finetune", None)
    passed += ((phase, layer_now, epoch) for epoch in range(1, position.epoch + 1))
    if [(r.phase, r.layer, r.epoch) for r in position.history] != passed:
        return False
    wrong = [r.valid_wrong for r in position.history if r.phase == "finetune"]
    best = position.best_epoch
    return position.best_wrong == (wrong[best - 1] if 0 < best <= len(wrong) else None)


def _blank_state_at(position: _Position, expected: Expected, names: Iterable[str]) -> TrainingState:
    """Return a state at this position with all tensors zero."""
    experiment = expected.experiment
    state = blank_state(experiment, expected.inputs)
    for name in position.PLACE:
        setattr(state, name, getattr(position, name))
    if position.phase == "pretrain" and position.begun:
        begin_chains(experiment.pretrain, state.layers[state.layer])
    # A run has no network before its first fine-tuning step, and may drop it when it is done.
    has_network = position.begun if position.phase == "finetune" else "network.top.bias" in names
    if isinstance(experiment, Experiment) and position.phase != "pretrain":
        network = Network.stacked(state.layers, expected.classes, experiment.finetune.weight_decay)
        state.network = network if has_network else None
        state.best = network.copy() if position.best_wrong is not None else None
    return state
