"""Checkpoints: tensors in safetensors, the rest as JSON in its header. Nothing executes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from dae_cli.config.schema import Experiment
from dae_cli.errors import RunFolderError
from dae_cli.models.autoencoder import Autoencoder
from dae_cli.models.network import Layer, Network
from dae_cli.training.state import EpochRecord, TrainingState

FORMAT = 1


def save_checkpoint(path: Path, state: TrainingState) -> None:
    """Write a state under a temporary name, then give it its own."""
    position = {
        "format": FORMAT,
        "phase": state.phase,
        "layer": state.layer,
        "epoch": state.epoch,
        "best_wrong": state.best_wrong,
        "best_epoch": state.best_epoch,
        "history": [asdict(record) for record in state.history],
    }
    tensors = {name: t.detach().cpu().contiguous() for name, t in state.tensors().items()}
    temporary = path.with_name(path.name + ".partial")
    safetensors.torch.save_file(tensors, temporary, metadata={"dae": json.dumps(position)})
    temporary.replace(path)


def load_checkpoint(path: Path, experiment: Experiment, device: torch.device) -> TrainingState:
    """Read a state back.

    Raises:
        RunFolderError: the file is missing, damaged, or not a checkpoint of this experiment.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            position: dict[str, Any] = json.loads((file.metadata() or {})["dae"])
            # Copied out of the file's mapping: there they lie at any address, on which the last
            # bit of a product of matrices may depend (see Presenter).
            tensors = {
                name: file.get_tensor(name).to(device, copy=True)
                for name in file.keys()  # noqa: SIM118
            }
        return _assemble(position, tensors, experiment)
    except FileNotFoundError:
        raise RunFolderError(f"{path}: no such checkpoint") from None
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise RunFolderError(
            f"{path}: not a checkpoint of this experiment ({error}); "
            "delete the run's folder, or run again with --force"
        ) from error


def _assemble(
    position: dict[str, Any], tensors: dict[str, Tensor], experiment: Experiment
) -> TrainingState:
    if position["format"] != FORMAT:
        raise ValueError(f"format {position['format']}, expected {FORMAT}")
    count = len(experiment.model.hidden)
    autoencoders = [
        Autoencoder(
            weight=tensors[f"pretrained.{k}.weight"],
            hidden_bias=tensors[f"pretrained.{k}.hidden_bias"],
            visible_bias=tensors[f"pretrained.{k}.visible_bias"],
            loss=experiment.pretrain.loss,
            decoder_weight=tensors.get(f"pretrained.{k}.decoder_weight"),
        )
        for k in range(1, count + 1)
    ]
    _refuse_another_model(autoencoders, tensors, experiment)
    return TrainingState(
        phase=position["phase"],
        layer=position["layer"],
        epoch=position["epoch"],
        autoencoders=autoencoders,
        network=_network("network", tensors, count),
        best=_network("best", tensors, count),
        best_wrong=position["best_wrong"],
        best_epoch=position["best_epoch"],
        history=[EpochRecord(**record) for record in position["history"]],
    )


def _refuse_another_model(
    autoencoders: list[Autoencoder], tensors: dict[str, Tensor], experiment: Experiment
) -> None:
    model = experiment.model
    widths = tuple(len(autoencoder.weight) for autoencoder in autoencoders)
    if widths != model.hidden or f"pretrained.{len(widths) + 1}.weight" in tensors:
        raise ValueError(f"its layers are not those of model.hidden, {list(model.hidden)}")
    if any((autoencoder.decoder_weight is None) != model.tied for autoencoder in autoencoders):
        raise ValueError(f"its weights do not fit model.tied, {str(model.tied).lower()}")


def _network(prefix: str, tensors: dict[str, Tensor], count: int) -> Network | None:
    if f"{prefix}.top.weight" not in tensors:
        return None
    layers = [
        Layer(tensors[f"{prefix}.{name}.weight"], tensors[f"{prefix}.{name}.bias"])
        for name in (*(str(k) for k in range(1, count + 1)), "top")
    ]
    return Network(layers[:-1], layers[-1])
