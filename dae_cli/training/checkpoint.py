"""Checkpoints: tensors in safetensors, the rest as JSON in its header. Nothing executes.

A checkpoint may come from a stranger: what it holds is held against the experiment, number by
number and shape by shape, before any of it is computed with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import safetensors
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from dae_cli.config.schema import Experiment, FilterExperiment, PretrainedExperiment
from dae_cli.errors import RunFolderError, plain
from dae_cli.files import is_text, write_whole
from dae_cli.models.network import Layer, Network
from dae_cli.training.state import EpochRecord, Interim, Phase, TrainingState, layer_from

FORMAT: Literal[2] = 2
"""1 told neither experiment nor data, and knew no middle of an epoch; it is read as well."""
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Expected:
    """What a checkpoint must have been made of and for.

    Attributes:
        experiment: the resolved config.
        data_sha256: digest of the data set's content.
        inputs: d, the components of an example.
        classes: output units of the network, 0 where none is fine-tuned.
    """

    experiment: PretrainedExperiment
    data_sha256: str
    inputs: int
    classes: int


class _Position(BaseModel):
    """The header's JSON: where the run stands. Plain values, checked one by one."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    format: Literal[1, 2]
    experiment: Experiment | FilterExperiment | None = None
    data_sha256: str = ""
    phase: Phase
    layer: Count
    epoch: Count
    interim: Interim | None = None
    best_wrong: Count | None
    best_epoch: Count
    history: list[EpochRecord]


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


def load_checkpoint(path: Path, expected: Expected, device: torch.device) -> TrainingState:
    """Read a state back.

    Raises:
        RunFolderError: the file is missing, damaged, or not a checkpoint of this run.
    """
    if not is_text(path):
        raise RunFolderError(f"{path}: is not UTF-8, which checkpoints need; rename its folder")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            position = _Position.model_validate_json((file.metadata() or {})["dae"])
            _refuse_another_run(position, expected)
            names = list(file.keys())
            _refuse_other_shapes({n: file.get_slice(n) for n in names}, position, expected)
            # Copied out of the file's mapping: there they lie at any address, on which the last
            # bit of a product of matrices may depend.
            tensors = {n: file.get_tensor(n).to(device, copy=True) for n in names}
        return _assemble(position, tensors, expected.experiment)
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
    told, wanted = (
        (position.experiment, position.data_sha256),
        (expected.experiment, expected.data_sha256),
    )
    if position.format == FORMAT and told != wanted:
        raise ValueError("it was made with other settings or on other data")
    if not _possible(position, expected.experiment):
        raise ValueError("its position is not one that this run can be in")


def _possible(position: _Position, experiment: PretrainedExperiment) -> bool:
    """Tell whether position, early stopping and history go together."""
    pretraining = position.phase == "pretrain"
    depth, epochs = len(experiment.model.hidden), experiment.pretrain.epochs
    if pretraining:
        placed = position.layer < depth and 0 < epochs >= position.epoch
        rest, finetuned = position.epoch, 0
    else:
        placed = position.layer == (depth if epochs else 0)
        placed = placed and position.epoch <= _most_finetuning(experiment)
        rest, finetuned = 0, position.epoch
    if not placed:
        return False
    passed: list[tuple[str, int | None, int]] = []
    for layer in range(1, position.layer + 1):
        passed += (("pretrain", layer, epoch) for epoch in range(1, epochs + 1))
    passed += (("pretrain", position.layer + 1, epoch) for epoch in range(1, rest + 1))
    passed += (("finetune", None, epoch) for epoch in range(1, finetuned + 1))
    if [(r.phase, r.layer, r.epoch) for r in position.history] != passed:
        return False
    wrong = [r.valid_wrong for r in position.history if r.phase == "finetune"]
    best = position.best_epoch
    return position.best_wrong == (wrong[best - 1] if 0 < best <= len(wrong) else None)


def _most_finetuning(experiment: PretrainedExperiment) -> int:
    return experiment.finetune.max_epochs if isinstance(experiment, Experiment) else 0


def _refuse_other_shapes(found: dict[str, Any], position: _Position, expected: Expected) -> None:
    shapes = _shapes(expected) | _chains(position, expected.experiment)
    for name in shapes:
        if name not in found and name.startswith(_required(position)):
            raise ValueError(f"it lacks {name}")
    for name, tensor in found.items():
        shape = shapes.get(name)
        if shape is None:
            raise ValueError(f"it has {name[:80]!r}, which this run has not")
        if tuple(tensor.get_shape()) != shape or tensor.get_dtype() not in ("F32", "F64"):
            raise ValueError(
                f"{name} is {tensor.get_dtype()} {tensor.get_shape()}, expected {list(shape)}"
            )


def _required(position: _Position) -> tuple[str, ...]:
    """Return what the names of the tensors begin with that a run has in this position."""
    # Until its first step of fine-tuning a run has no network; when it is done it drops it.
    begun = position.phase == "finetune" and (position.epoch > 0 or position.interim is not None)
    best = position.best_wrong is not None
    return ("pretrained.", "chains", *(["network."] if begun else []), *(["best."] if best else []))


def _chains(position: _Position, experiment: PretrainedExperiment) -> dict[str, tuple[int, ...]]:
    """Return the shape of the persistent chains, where a layer is in the middle of its training."""
    begun = position.phase == "pretrain" and (position.epoch > 0 or position.interim is not None)
    if not (begun and experiment.pretrain.persistent):
        return {}
    return {"chains": (experiment.pretrain.batch_size, experiment.model.hidden[position.layer])}


def _shapes(expected: Expected) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor that a run can have."""
    model = expected.experiment.model
    layers = list(enumerate(zip((expected.inputs, *model.hidden), model.hidden, strict=False), 1))
    shapes: dict[str, tuple[int, ...]] = {}
    for k, (d, units) in layers:
        shapes |= {
            f"pretrained.{k}.weight": (units, d),
            f"pretrained.{k}.hidden_bias": (units,),
            f"pretrained.{k}.visible_bias": (d,),
        }
        if not model.tied:
            shapes[f"pretrained.{k}.decoder_weight"] = (d, units)
        for prefix in ("network", "best") if expected.classes else ():
            shapes |= {f"{prefix}.{k}.weight": (units, d), f"{prefix}.{k}.bias": (units,)}
    for prefix in ("network", "best") if expected.classes else ():
        top = (expected.classes, model.hidden[-1])
        shapes |= {f"{prefix}.top.weight": top, f"{prefix}.top.bias": top[:1]}
    return shapes


def _assemble(
    position: _Position, tensors: dict[str, Tensor], experiment: PretrainedExperiment
) -> TrainingState:
    count = len(experiment.model.hidden)
    autoencoders = [
        layer_from(
            experiment.pretrain,
            weight=tensors[f"pretrained.{k}.weight"],
            hidden_bias=tensors[f"pretrained.{k}.hidden_bias"],
            visible_bias=tensors[f"pretrained.{k}.visible_bias"],
            decoder_weight=tensors.get(f"pretrained.{k}.decoder_weight"),
        )
        for k in range(1, count + 1)
    ]
    return TrainingState(
        phase=position.phase,
        layer=position.layer,
        epoch=position.epoch,
        autoencoders=autoencoders,
        network=_network("network", tensors, count),
        best=_network("best", tensors, count),
        best_wrong=position.best_wrong,
        best_epoch=position.best_epoch,
        history=position.history,
        interim=position.interim,
        chains=tensors.get("chains"),
    )


def _network(prefix: str, tensors: dict[str, Tensor], count: int) -> Network | None:
    if f"{prefix}.top.weight" not in tensors:
        return None
    layers = [
        Layer(tensors[f"{prefix}.{name}.weight"], tensors[f"{prefix}.{name}.bias"])
        for name in (*(str(k) for k in range(1, count + 1)), "top")
    ]
    return Network(layers[:-1], layers[-1])
