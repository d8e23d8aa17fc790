"""Checkpoints of networks: the tensors of a training state, and where the run stands.

A checkpoint may come from a stranger (`dae_cli.tensors`): its position must be one that a run of
the experiment passes through, and its tensors those that such a run has there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from dae_cli.config.schema import Experiment, FilterExperiment, PretrainedExperiment
from dae_cli.models.network import Network
from dae_cli.tensors import open_tensors, save_tensors
from dae_cli.training.state import (
    EpochProgress,
    EpochRecord,
    Phase,
    TrainingState,
    begin_chains,
    blank_state,
)

FORMAT: Literal[2] = 2
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Expected:
    """What a checkpoint must have been made of and for.

    Attributes:
        experiment: the resolved config.
        data_sha256: digest of the data set's content.
        inputs: d, the components of an example.
        classes: output units of the network, 0 where none is fine-tuned.
        rows: examples that are trained on.
    """

    experiment: PretrainedExperiment
    data_sha256: str
    inputs: int
    classes: int
    rows: int


class _Position(BaseModel):
    """The header's JSON: where the run stands. Plain values, checked one by one."""

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

    @property
    def begun(self) -> bool:
        """Whether the layer or the phase has taken its first step."""
        return self.epoch > 0 or self.interim is not None


def save_checkpoint(path: Path, state: TrainingState, expected: Expected) -> None:
    """Write a state whole or not at all.

    Raises:
        OutputError: it cannot be written; what was there before stays.
    """
    position = _Position(
        format=FORMAT,
        experiment=expected.experiment,
        data_sha256=expected.data_sha256,
        phase=state.phase,
        layer=state.layer,
        epoch=state.epoch,
        interim=state.interim,
        best_wrong=state.best_wrong,
        best_epoch=state.best_epoch,
        history=state.history,
    )
    tensors = {name: t.detach().cpu().numpy() for name, t in state.tensors().items()}
    save_tensors(path, position, tensors)


def load_checkpoint(path: Path, expected: Expected) -> TrainingState:
    """Read a state back, onto the CPU.

    Raises:
        RunFolderError: the file is missing, damaged, or not a checkpoint of this run.
    """
    with open_tensors(path, _Position) as file:
        _refuse_another_run(file.header, expected)
        state = _blank_state_at(file.header, expected, file.specs)
        blanks = state.tensors()
        for name, tensor in file.read({n: ("F32", t.shape) for n, t in blanks.items()}):
            blanks[name].copy_(torch.from_numpy(tensor))
    return state


def _refuse_another_run(position: _Position, expected: Expected) -> None:
    made_of = position.experiment, position.data_sha256
    if made_of != (expected.experiment, expected.data_sha256):
        raise ValueError("it was made with other settings or on other data")
    if not (_is_possible(position, expected) and _is_history_of(position, expected.experiment)):
        raise ValueError("its position is not one that this run can be in")


def _is_possible(position: _Position, expected: Expected) -> bool:
    """Tell whether the run passes through this phase, layer, epoch and step."""
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
    """Tell whether history and early stopping go with where the run stands."""
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
    state.phase, state.layer, state.epoch = position.phase, position.layer, position.epoch
    state.best_wrong, state.best_epoch = position.best_wrong, position.best_epoch
    state.history, state.interim = position.history, position.interim
    if position.phase == "pretrain" and position.begun:
        begin_chains(experiment.pretrain, state.layers[state.layer])
    # Until its first step of fine-tuning a run has no network; when it is done it drops it.
    has_network = position.begun if position.phase == "finetune" else "network.top.bias" in names
    if isinstance(experiment, Experiment) and position.phase != "pretrain":
        network = Network.stacked(state.layers, expected.classes, experiment.finetune.weight_decay)
        state.network = network if has_network else None
        state.best = network.copy() if position.best_wrong is not None else None
    return state
