"""A whole run, from its state: pretraining, then fine-tuning; or pretraining alone."""

from __future__ import annotations

import torch

from dae_cli.config.schema import Experiment, FilterExperiment
from dae_cli.data.dataset import Dataset, Split
from dae_cli.data.filter_images import FilterImages
from dae_cli.engines.engine import Engine
from dae_cli.errors import ConfigError
from dae_cli.models.operations import laid_out
from dae_cli.training.finetune import finetune
from dae_cli.training.hooks import Hooks
from dae_cli.training.inputs import Codes, Inputs, Pixels
from dae_cli.training.pretrain import pretrain
from dae_cli.training.state import TrainingState


def train(
    experiment: Experiment,
    dataset: Dataset,
    state: TrainingState,
    engine: Engine,
    hooks: Hooks,
) -> None:
    """Train from wherever `state` stands until it is done.

    Raises:
        DivergedError: the cost or a parameter was not finite.
    """
    if state.phase == "pretrain":
        pixels = Pixels(dataset.train, experiment.pretrain.batch_size)
        pretrain(experiment, pixels, state, engine, hooks)
    if state.phase == "finetune":
        finetune(experiment, dataset, state, engine, hooks)


def train_filters(
    experiment: FilterExperiment,
    images: FilterImages,
    state: TrainingState,
    engine: Engine,
    hooks: Hooks,
) -> None:
    """Train an autoencoder, or an RBM, by itself, from wherever `state` stands until it is done.

    Raises:
        DivergedError: the cost or a parameter was not finite.
    """
    if state.phase == "pretrain":
        pretrain(experiment, inputs_of(experiment, images, engine), state, engine, hooks)


def inputs_of(experiment: FilterExperiment, images: FilterImages, engine: Engine) -> Inputs:
    """Return images as minibatches are gathered from them."""
    if isinstance(images, Split):
        return Pixels(images, experiment.pretrain.batch_size)
    return Codes(laid_out(torch.from_numpy(images), engine.operations))


def chosen_device(name: str) -> torch.device:
    """Return the device for `auto`, `cpu`, `cuda` or `mps`; auto is CUDA if it is there.

    Raises:
        ConfigError: CUDA or MPS is asked for and not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if there["cuda"] else "cpu")
    if not there.get(name, True):
        raise ConfigError(
            f"--device {name}: torch sees no {name.upper()} device here; use --device cpu or auto"
        )
    return torch.device(name)
