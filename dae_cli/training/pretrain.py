"""Greedy pretraining: one denoising autoencoder, or RBM, after the other, on clean codes.

Layer k is trained on the code that the layers below give for *clean* inputs. The corruption is
applied to the input of the layer being trained, and only while it is trained
(ICML 2008, section 2.4). RBMs are stacked alike: the codes P(h|x) of one are what the next is
trained on (Bengio, Lamblin, Popovici, Larochelle 2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from dae_cli.config.schema import CorruptionSettings, PretrainedExperiment
from dae_cli.engines.engine import Engine
from dae_cli.models.autoencoder import Autoencoder
from dae_cli.models.corruption import Corruption, Gaussian, Masking, SaltAndPepper
from dae_cli.models.encoder import Encoder
from dae_cli.models.rbm import Rbm
from dae_cli.training.divergence import Place
from dae_cli.training.epoch import present
from dae_cli.training.evaluation import encode_rows
from dae_cli.training.hooks import Hooks
from dae_cli.training.inputs import Inputs
from dae_cli.training.state import EpochRecord, TrainingState
from dae_cli.training.steps import GibbsStep, NoisyStep, PretrainingStep
from dae_cli.training.streams import Purpose, shuffled, stream


def corruption_from(settings: CorruptionSettings) -> Corruption:
    """Build the corruption that a config names."""
    if settings.kind == "masking":
        return Masking(settings.destruction)
    if settings.kind == "salt-and-pepper":
        return SaltAndPepper(settings.destruction, settings.pepper, settings.salt)
    return Gaussian(settings.sigma)


def pretrain(
    experiment: PretrainedExperiment,
    images: Inputs,
    state: TrainingState,
    engine: Engine,
    hooks: Hooks,
) -> None:
    """Train every layer that is not yet trained; `state` moves on with each epoch.

    Args:
        experiment: the settings.
        images: what the lowest layer is trained on.
        state: where the run stands.
        engine: what computes.
        hooks: what is told, and asked, meanwhile.

    Raises:
        DivergedError: the cost or a parameter was not finite.
    """
    inputs = clean_codes(images, state.autoencoders[: state.layer], engine)
    while state.layer < len(state.autoencoders):
        _pretrain_layer(experiment, inputs, state, engine, hooks)
        trained = state.autoencoders[state.layer]
        state.layer, state.epoch, state.chains = state.layer + 1, 0, None
        if state.layer == len(state.autoencoders):
            state.phase = "finetune"
        hooks.phase_done(state)
        if state.phase == "pretrain":
            inputs = encode_rows(inputs, trained, engine)


def _pretrain_layer(
    experiment: PretrainedExperiment,
    inputs: Inputs,
    state: TrainingState,
    engine: Engine,
    hooks: Hooks,
) -> None:
    settings, layer = experiment.pretrain, state.layer + 1
    step = _step(experiment, inputs, state, engine)
    purpose = Purpose.GIBBS if settings.kind == "rbm" else Purpose.CORRUPTION
    while state.epoch < settings.epochs:
        position, epoch = (state.layer, state.epoch), state.epoch + 1
        noise = stream(experiment.seed, purpose, *position)
        mean = present(
            shuffled(len(inputs), stream(experiment.seed, Purpose.PRETRAIN_ORDER, *position)),
            settings.batch_size,
            partial(step.take, noise=noise, learning_rate=settings.learning_rate),
            total=step.total,
            noise=noise,
            state=state,
            place=Place("pretrain", layer, epoch, settings),
            hooks=hooks,
        )
        state.epoch = epoch
        state.history.append(EpochRecord("pretrain", layer, epoch, mean))
        hooks.epoch_done(state)


def _step(
    experiment: PretrainedExperiment, inputs: Inputs, state: TrainingState, engine: Engine
) -> NoisyStep:
    """Return the steps of the layer being trained; `state` holds its persistent chains."""
    settings, layer = experiment.pretrain, state.autoencoders[state.layer]
    if isinstance(layer, Rbm):
        if settings.persistent and state.chains is None:
            state.chains = layer.new_chains(settings.batch_size)
        step = GibbsStep(layer, inputs, engine, state.chains)
        state.chains = step.chains
        return step
    assert isinstance(layer, Autoencoder)
    return PretrainingStep(layer, inputs, corruption_from(experiment.corruption), engine)


def clean_codes(inputs: Inputs, autoencoders: Sequence[Encoder], engine: Engine) -> Inputs:
    """Return what the layer above `autoencoders` is trained on: clean codes."""
    for autoencoder in autoencoders:
        inputs = encode_rows(inputs, autoencoder, engine)
    return inputs
