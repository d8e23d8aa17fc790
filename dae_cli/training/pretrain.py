"""Greedy pretraining: one denoising autoencoder after the other, on clean codes.

Layer k is trained on the code that the layers below give for *clean* inputs. The corruption is
applied to the input of the layer being trained, and only while it is trained
(ICML 2008, section 2.4).
"""

from __future__ import annotations

from dae_cli.config.schema import CorruptionSettings, Experiment
from dae_cli.data.dataset import Split
from dae_cli.engines.engine import Engine
from dae_cli.models.autoencoder import Autoencoder
from dae_cli.models.corruption import Corruption, Gaussian, Masking, SaltAndPepper
from dae_cli.training.batches import batches
from dae_cli.training.divergence import check_parameters, checked_cost
from dae_cli.training.evaluation import encode_rows
from dae_cli.training.hooks import Hooks
from dae_cli.training.inputs import Inputs, Pixels
from dae_cli.training.state import EpochRecord, TrainingState
from dae_cli.training.steps import PretrainingStep
from dae_cli.training.streams import Purpose, shuffled, stream


def corruption_from(settings: CorruptionSettings) -> Corruption:
    """Build the corruption that a config names."""
    if settings.kind == "masking":
        return Masking(settings.destruction)
    if settings.kind == "salt-and-pepper":
        return SaltAndPepper(settings.destruction)
    return Gaussian(settings.sigma)


def pretrain(
    experiment: Experiment, train: Split, state: TrainingState, engine: Engine, hooks: Hooks
) -> None:
    """Train every layer that is not yet trained; `state` moves on after each epoch.

    Raises:
        DivergedError: the cost of an epoch was not finite.
    """
    pixels = Pixels(train, experiment.pretrain.batch_size)
    inputs = clean_codes(pixels, state.autoencoders[: state.layer], engine)
    while state.layer < len(state.autoencoders):
        _pretrain_layer(experiment, inputs, state, engine, hooks)
        inputs = encode_rows(inputs, state.autoencoders[state.layer], engine)
        state.layer += 1
        state.epoch = 0
    state.phase = "finetune"


def _pretrain_layer(
    experiment: Experiment, inputs: Inputs, state: TrainingState, engine: Engine, hooks: Hooks
) -> None:
    settings = experiment.pretrain
    autoencoder = state.autoencoders[state.layer]
    step = PretrainingStep(autoencoder, inputs, corruption_from(experiment.corruption), engine)
    while state.epoch < settings.epochs:
        position = (state.layer, state.epoch)
        order = shuffled(len(inputs), stream(experiment.seed, Purpose.PRETRAIN_ORDER, *position))
        noise = stream(experiment.seed, Purpose.CORRUPTION, *position)
        for chosen in batches(order, settings.batch_size):
            step.take(chosen, noise, settings.learning_rate)
        layer, epoch = state.layer + 1, state.epoch + 1
        mean = checked_cost(step.cost() / len(inputs), "pretrain", layer, epoch, settings)
        check_parameters(state.tensors().values(), "pretrain", layer, epoch, settings)
        state.epoch = epoch
        state.history.append(EpochRecord("pretrain", layer, epoch, mean))
        hooks.epoch_done(state)


def clean_codes(inputs: Inputs, autoencoders: list[Autoencoder], engine: Engine) -> Inputs:
    """Return what the layer above `autoencoders` is trained on: clean codes."""
    for autoencoder in autoencoders:
        inputs = encode_rows(inputs, autoencoder, engine)
    return inputs
