"""Checkpoints: tensors in safetensors, the rest as JSON in its header. Nothing executes.

A checkpoint may come from a stranger: what it holds is held against the experiment, number by
number and shape by shape, before any of it is computed with.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import safetensors
import safetensors.torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from dae_cli.config.schema import Experiment, FilterExperiment, PretrainedExperiment
from dae_cli.errors import RunFolderError, plain
from dae_cli.files import is_text, write_whole
from dae_cli.models.network import Network
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
    tensors = {name: t.detach().cpu().contiguous() for name, t in state.tensors().items()}
    header = {"dae": position.model_dump_json()}
    write_whole(path, safetensors.torch.save(tensors, metadata=header), make_folder=False)


def load_checkpoint(path: Path, expected: Expected) -> TrainingState:
    """Read a state back, onto the CPU.

    Raises:
        RunFolderError: the file is missing, damaged, or not a checkpoint of this run.
    """
    if not is_text(path):
        raise RunFolderError(f"{path}: is not UTF-8, which checkpoints need; rename its folder")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            position = _Position.model_validate_json((file.metadata() or {})["dae"])
            _refuse_another_run(position, expected)
            found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            state = _blank_state_at(position, expected, found.keys())
            _refuse_other_shapes(found, state.tensors())
            for name, tensor in state.tensors().items():
                # Copied out of the file's mapping: there they lie at any address, on which the
                # last bit of a product of matrices may depend.
                tensor.copy_(file.get_tensor(name))
                if not tensor.isfinite().all():
                    raise ValueError(f"{name} holds a number that is not finite")
        return state
    except FileNotFoundError:
        raise RunFolderError(f"{path}: no such checkpoint") from None
    except ValidationError as error:
        raise _unfit(path, _in_words(error)) from error
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise _unfit(path, str(error)) from error


def _unfit(path: Path, why: str) -> RunFolderError:
    return RunFolderError(
        f"{path}: not a checkpoint of this run ({plain(why)}); "
        "remove the run's folder to have it made anew"
    )


def _in_words(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'its header'}: {first['msg']}"


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


def _refuse_other_shapes(found: dict[str, Any], expected: dict[str, Tensor]) -> None:
    for name in expected:
        if name not in found:
            raise ValueError(f"it lacks {name}")
    for name, tensor in found.items():
        if name not in expected:
            raise ValueError(f"it has {name[:80]!r}, which this run has not")
        dtype, shape, wanted = tensor.get_dtype(), tensor.get_shape(), list(expected[name].shape)
        if (dtype, shape) != ("F32", wanted):
            raise ValueError(f"{name} is {dtype} {shape}, expected F32 {wanted}")
