"""Greedy pretraining: one denoising autoencoder after the other, on clean codes.

Layer k is trained on the code that the layers below give for *clean* inputs. The corruption is
applied to the input of the layer being trained, and only while it is trained
(ICML 2008, section 2.4).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from dae_cli.config.schema import CorruptionSettings, Experiment
from dae_cli.data.dataset import Split
from dae_cli.models.autoencoder import Autoencoder
from dae_cli.models.corruption import Corruption, Gaussian, Masking, SaltAndPepper
from dae_cli.training.batches import CHUNK_ROWS, Presenter, batches, own_copy
from dae_cli.training.divergence import check_parameters, checked_cost
from dae_cli.training.hooks import Hooks
from dae_cli.training.state import EpochRecord, TrainingState
from dae_cli.training.streams import Purpose, shuffled, stream


def corruption_from(settings: CorruptionSettings) -> Corruption:
    """Build the corruption that a config names."""
    if settings.kind == "masking":
        return Masking(settings.destruction)
    if settings.kind == "salt-and-pepper":
        return SaltAndPepper(settings.destruction)
    return Gaussian(settings.sigma)


def pretrain(
    experiment: Experiment, train: Split, state: TrainingState, device: torch.device, hooks: Hooks
) -> None:
    """Train every layer that is not yet trained; `state` moves on after each epoch.

    Raises:
        DivergedError: the cost of an epoch was not finite.
    """
    inputs = clean_codes(train, state.autoencoders[: state.layer], device)
    while state.layer < len(state.autoencoders):
        _pretrain_layer(experiment, inputs, state, device, hooks)
        inputs = encode_rows(inputs, state.autoencoders[state.layer], device)
        state.layer += 1
        state.epoch = 0
    state.phase = "finetune"


def _pretrain_layer(
    experiment: Experiment,
    inputs: NDArray[np.float32],
    state: TrainingState,
    device: torch.device,
    hooks: Hooks,
) -> None:
    settings = experiment.pretrain
    corruption = corruption_from(experiment.corruption)
    autoencoder = state.autoencoders[state.layer]
    presenter = Presenter(inputs, settings.batch_size, device)
    while state.epoch < settings.epochs:
        position = (state.layer, state.epoch)
        order = shuffled(len(inputs), stream(experiment.seed, Purpose.PRETRAIN_ORDER, *position))
        noise = stream(experiment.seed, Purpose.CORRUPTION, *position)
        total = torch.zeros((), dtype=torch.float64, device=device)
        for chosen in batches(order, settings.batch_size):
            clean, corrupted = presenter.corrupted(chosen, corruption, noise)
            cost = autoencoder.descend(clean, corrupted, settings.learning_rate)
            total += cost * len(chosen)
        layer, epoch = state.layer + 1, state.epoch + 1
        mean = checked_cost(total.item() / len(inputs), "pretrain", layer, epoch, settings)
        check_parameters(state.tensors().values(), "pretrain", layer, epoch, settings)
        state.epoch = epoch
        state.history.append(EpochRecord("pretrain", layer, epoch, mean))
        hooks.epoch_done(state)


def clean_codes(
    split: Split, autoencoders: list[Autoencoder], device: torch.device
) -> NDArray[np.float32]:
    """Return what the layer above `autoencoders` is trained on: clean codes, (n, units)."""
    codes = split.as_float()
    for autoencoder in autoencoders:
        codes = encode_rows(codes, autoencoder, device)
    return codes


def encode_rows(
    rows: NDArray[np.float32], autoencoder: Autoencoder, device: torch.device
) -> NDArray[np.float32]:
    """Encode rows (n, d), uncorrupted, to (n, hidden)."""
    codes = np.empty((len(rows), len(autoencoder.hidden_bias)), dtype=np.float32)
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = own_copy(rows[start : start + CHUNK_ROWS], device)
        codes[start : start + CHUNK_ROWS] = autoencoder.encode(chunk).cpu().numpy()
    return codes
