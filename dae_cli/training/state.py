"""Where a run stands: everything needed to go on as if it had never stopped, and its checkpoint.

A checkpoint may come from a stranger (`dae_cli.tensors`): its position must be one that a run of
the experiment passes through, and its tensors those that such a run has there.
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
    """One row of metrics.csv; an empty field does not apply to the phase."""

    phase: Phase
    layer: int | None
    """1 is the lowest; None while the whole network is fine-tuned."""
    epoch: int
    """Counted from 1 within the layer or the phase."""
    cost: float
    """Mean training cost over the epoch, before each update."""
    valid_wrong: int | None = None
    valid_error_percent: float | None = None


@dataclass(frozen=True)
class GeneratorState:
    """The state of an SFC64 generator, in plain numbers."""

    words: tuple[Word, Word, Word, Word]
    has_uint32: Annotated[int, Field(ge=0, le=1)]
    uinteger: Annotated[int, Field(ge=0, lt=2**32)]
    """Half a word drawn beforehand, if `has_uint32`."""

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
    """How far the present epoch is."""

    steps: Annotated[int, Field(ge=1)]
    """Minibatches presented."""
    cost: float
    """Of their rows, summed."""
    noise: GeneratorState | None
    """The generator of the corruption or the Gibbs chain, before the next minibatch is drawn;
    None while fine-tuning."""


@dataclass
class TrainingState:
    """Parameters, position, early stopping and history of one run.

    At the start of an epoch no state of a random generator is needed: streams are named by
    position (see streams.py).
    """

    phase: Phase
    """What the next epoch belongs to."""
    layers: list[Encoder]
    """As they were pretrained: autoencoders, or the RBMs of a DBN."""
    layer: int = 0
    """The one being pretrained, from 0."""
    epoch: int = 0
    """Epochs completed in the present layer or phase."""
    network: Network | None = None
    """None until fine-tuning begins."""
    best: Network | None = None
    """Of the lowest validation error so far, in the mean of the window (`finetune.window`)."""
    best_wrong: int | None = None
    """Its own number of wrong validation rows."""
    best_epoch: int = 0
    """The fine-tuning epoch it is of, from 1."""
    history: list[EpochRecord] = field(default_factory=list)
    interim: EpochProgress | None = None
    """None but in the middle of an epoch."""

    def tensors(self) -> dict[str, Tensor]:
        """Return every parameter under its name in a checkpoint.

        Persistent Gibbs chains, (rows of a minibatch, hidden), are there while a layer is trained
        on them.
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
    """Return a state before the first step, of examples of `inputs` components, all zero."""
    model = experiment.model
    widths = zip((inputs, *model.hidden), model.hidden, strict=False)
    layers = [_layer(experiment.pretrain, d, hidden, model.tied) for d, hidden in widths]
    return TrainingState("pretrain" if experiment.pretrain.epochs else "finetune", layers)


def initial_state(experiment: PretrainedExperiment, inputs: int) -> TrainingState:
    """Draw the initial weights; they depend on the seed and the shape, not on the corruption.

    The biases start at zero.
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
    """Give an RBM the persistent Gibbs chains that the settings ask for: no hidden unit is on."""
    if isinstance(layer, Rbm) and settings.persistent:
        layer.chains = torch.zeros(settings.batch_size, len(layer.hidden_bias))


def metrics_csv(history: Sequence[EpochRecord]) -> str:
    """Return metrics.csv: one row an epoch; costs with all their digits."""
    names = [f.name for f in fields(EpochRecord)]
    return csv_text([names, *([getattr(record, name) for name in names] for record in history)])


# The checkpoint


@dataclass(frozen=True)
class Expected:
    """What a checkpoint must have been made of and for."""

    experiment: PretrainedExperiment
    data_sha256: str
    inputs: int
    """Components of an example."""
    classes: int
    """Output units of the network, 0 where none is fine-tuned."""
    rows: int
    """Examples that are trained on."""


def expected_of(experiment: PretrainedExperiment, data_sha256: str) -> Expected:
    """Return what a checkpoint of an experiment on these data must hold."""
    if isinstance(experiment, Experiment):
        spec = spec_of(experiment.dataset)
        rows = experiment.subset.train if experiment.subset else spec.n_train
        return Expected(experiment, data_sha256, spec.n_pixels, spec.n_classes, rows)
    return Expected(experiment, data_sha256, experiment.inputs, 0, experiment.examples)


class _Position(BaseModel):
    """The header's JSON. Plain values, checked one by one."""

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
    """Its fields that are those of a state, too."""

    @property
    def begun(self) -> bool:
        """Whether the layer or the phase has taken its first step."""
        return self.epoch > 0 or self.interim is not None


def save_checkpoint(path: Path, state: TrainingState, expected: Expected) -> None:
    """Write a state whole or not at all; raises OutputError."""
    place = {name: getattr(state, name) for name in _Position.PLACE}
    position = _Position(
        format=2, experiment=expected.experiment, data_sha256=expected.data_sha256, **place
    )
    tensors = {name: t.detach().cpu().numpy() for name, t in state.tensors().items()}
    save_tensors(path, position, tensors)


def load_checkpoint(path: Path, expected: Expected) -> TrainingState:
    """Read a state back, onto the CPU.

    Raises:
        RunFolderError: the file is missing, damaged, or not a checkpoint of this run.
    """
    with open_tensors(path, _Position) as file:
        position = file.header
        made_of = position.experiment, position.data_sha256
        if made_of != (expected.experiment, expected.data_sha256):
            raise ValueError("it was made with other settings or on other data")
        if not (_is_possible(position, expected) and _is_history_of(position, expected.experiment)):
            raise ValueError("its position is not one that this run can be in")
        state = _blank_state_at(position, expected, file.specs)
        blanks = state.tensors()
        for name, tensor in file.read({n: ("F32", t.shape) for n, t in blanks.items()}):
            blanks[name].copy_(torch.from_numpy(tensor))
    return state


def _is_possible(position: _Position, expected: Expected) -> bool:
    """Whether the run passes through this phase, layer, epoch and step."""
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
    """Whether history and early stopping go with where the run stands."""
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
    """Return a state in this position whose tensors are all zero."""
    experiment = expected.experiment
    state = blank_state(experiment, expected.inputs)
    for name in position.PLACE:
        setattr(state, name, getattr(position, name))
    if position.phase == "pretrain" and position.begun:
        begin_chains(experiment.pretrain, state.layers[state.layer])
    # Until its first step of fine-tuning a run has no network; when it is done it drops it.
    has_network = position.begun if position.phase == "finetune" else "network.top.bias" in names
    if isinstance(experiment, Experiment) and position.phase != "pretrain":
        network = Network.stacked(state.layers, expected.classes, experiment.finetune.weight_decay)
        state.network = network if has_network else None
        state.best = network.copy() if position.best_wrong is not None else None
    return state
