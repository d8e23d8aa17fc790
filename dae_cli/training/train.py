"""A whole run, from its state: pretraining, then fine-tuning."""

from __future__ import annotations

import torch

from dae_cli.config.schema import Experiment
from dae_cli.data.dataset import Dataset
from dae_cli.errors import ConfigError
from dae_cli.training.finetune import finetune
from dae_cli.training.hooks import Hooks
from dae_cli.training.pretrain import pretrain
from dae_cli.training.state import TrainingState


def train(
    experiment: Experiment,
    dataset: Dataset,
    state: TrainingState,
    device: torch.device,
    hooks: Hooks,
) -> None:
    """Train from wherever `state` stands until it is done.

    Raises:
        DivergedError: the cost of an epoch was not finite.
    """
    if state.phase == "pretrain":
        pretrain(experiment, dataset.train, state, device, hooks)
        state.epoch = 0
    if state.phase == "finetune":
        finetune(experiment, dataset, state, device, hooks)


def use_one_thread() -> None:
    """Make this process compute with one thread: one process per core is faster, and the
    result does not depend on the number of cores."""
    torch.set_num_threads(1)


def chosen_device(name: str) -> torch.device:
    """Return the device for `auto`, `cpu` or `cuda`.

    Raises:
        ConfigError: CUDA is asked for and not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: torch sees no CUDA device here; use --device cpu or auto")
    return torch.device(name)
