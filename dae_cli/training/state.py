"""Where a run stands: everything that is needed to go on as if it had never stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from dae_cli.config.schema import PretrainedExperiment, PretrainSettings
from dae_cli.models.autoencoder import Autoencoder
from dae_cli.models.encoder import Encoder
from dae_cli.models.initial import uniform_weights
from dae_cli.models.network import Layer, Network
from dae_cli.models.rbm import Rbm
from dae_cli.training.streams import Purpose, stream

Phase = Literal["pretrain", "finetune", "done"]


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

    words: tuple[int, int, int, int]
    """64 bits each."""
    has_uint32: int
    uinteger: int
    """Half a word drawn beforehand, if `has_uint32`."""

    @classmethod
    def of(cls, random: np.random.Generator) -> GeneratorState:
        """Read the state of a generator."""
        told: Any = random.bit_generator.state
        a, b, c, d = (int(word) for word in told["state"]["state"])
        return cls((a, b, c, d), int(told["has_uint32"]), int(told["uinteger"]))

    def as_numpy(self) -> dict[str, Any]:
        """Return what NumPy takes as the state of an SFC64."""
        return {
            "bit_generator": "SFC64",
            "state": {"state": np.array(self.words, dtype=np.uint64)},
            "has_uint32": self.has_uint32,
            "uinteger": self.uinteger,
        }


@dataclass(frozen=True)
class Interim:
    """How far the present epoch is, where a state was kept in the middle of one."""

    steps: int = 0
    """Minibatches presented."""
    cost: float = 0.0
    """Of their rows, summed."""
    noise: GeneratorState | None = None
    """Where the stream of the corruption or the Gibbs chain stands; None while fine-tuning."""

    @classmethod
    def at(cls, steps: int, cost: float, noise: np.random.Generator | None) -> Interim:
        """Describe the middle of an epoch."""
        return cls(steps, cost, None if noise is None else GeneratorState.of(noise))


@dataclass
class TrainingState:
    """Parameters, position, early stopping and history of one run.

    At the start of an epoch no state of a random generator is needed: streams are named by
    position (see streams.py).

    Attributes:
        phase: what the next epoch belongs to.
        layer: the layer being pretrained, from 0.
        epoch: epochs completed in the present layer or phase.
        interim: None but in the middle of an epoch.
        autoencoders: one per layer, RBMs in a DBN; after pretraining they keep the pretrained
            parameters.
        chains: states of the persistent Gibbs chains, (rows of a minibatch, hidden), while a layer
            is trained on them; else None.
        network: None until fine-tuning begins.
        best: the network that would be kept now: of the lowest validation error so far, in the
            mean of the window (`finetune.window`).
        best_wrong: its own number of wrong validation rows.
        best_epoch: the fine-tuning epoch it is of, from 1.
    """

    phase: Phase
    layer: int
    epoch: int
    autoencoders: Sequence[Encoder]
    network: Network | None = None
    best: Network | None = None
    best_wrong: int | None = None
    best_epoch: int = 0
    history: list[EpochRecord] = field(default_factory=list)
    interim: Interim | None = None
    chains: Tensor | None = None

    def tensors(self) -> dict[str, Tensor]:
        """Return every parameter, and the chains, under their names in a checkpoint."""
        named: dict[str, Tensor] = {}
        for k, autoencoder in enumerate(self.autoencoders, start=1):
            for name, tensor in autoencoder.parameters().items():
                named[f"pretrained.{k}.{name}"] = tensor
        if self.chains is not None:
            named["chains"] = self.chains
        for prefix, network in (("network", self.network), ("best", self.best)):
            for name, layer in named_layers(network):
                named[f"{prefix}.{name}.weight"] = layer.weight
                named[f"{prefix}.{name}.bias"] = layer.bias
        return named


def named_layers(network: Network | None) -> list[tuple[str, Layer]]:
    """Return the layers of a network with their names: 1, 2, … and top."""
    if network is None:
        return []
    names = [*(str(k) for k in range(1, len(network.layers) + 1)), "top"]
    return list(zip(names, network, strict=True))


def initial_state(
    experiment: PretrainedExperiment, inputs: int, dtype: torch.dtype
) -> TrainingState:
    """Draw the initial parameters; they depend on the seed and the shape, not on the corruption.

    Args:
        experiment: the resolved config.
        inputs: d, the components of an example.
        dtype: of all parameters.
    """
    model, pretrain = experiment.model, experiment.pretrain
    autoencoders: list[Encoder] = []
    for k, (below, units) in enumerate(zip((inputs, *model.hidden), model.hidden, strict=False)):
        random = stream(experiment.seed, Purpose.WEIGHTS, k)
        weight = uniform_weights(units, below, model.init, random, dtype)
        decoder = None if model.tied else uniform_weights(below, units, model.init, random, dtype)
        biases = torch.zeros(units, dtype=dtype), torch.zeros(below, dtype=dtype)
        autoencoders.append(layer_from(pretrain, weight, *biases, decoder))
    phase: Phase = "pretrain" if pretrain.epochs else "finetune"
    return TrainingState(phase=phase, layer=0, epoch=0, autoencoders=autoencoders)


def layer_from(
    settings: PretrainSettings,
    weight: Tensor,
    hidden_bias: Tensor,
    visible_bias: Tensor,
    decoder_weight: Tensor | None = None,
) -> Encoder:
    """Put parameters together to what the settings pretrain: an autoencoder, or an RBM."""
    if settings.kind == "rbm":
        return Rbm(weight, hidden_bias, visible_bias, settings.gibbs_steps, settings.sample_visible)
    return Autoencoder(
        weight,
        hidden_bias,
        visible_bias,
        settings.loss,
        decoder_weight,
        settings.weight_decay,
        settings.contraction,
    )


def network_from(autoencoders: Sequence[Encoder], classes: int) -> Network:
    """Put a softmax layer of zeros on copies of the encoders (ICML 2008, section 2.4)."""
    layers = [Layer(a.weight.clone(), a.hidden_bias.clone()) for a in autoencoders]
    units, dtype = len(layers[-1].bias), layers[-1].weight.dtype
    device = layers[-1].weight.device
    top = Layer(
        torch.zeros(classes, units, dtype=dtype, device=device),
        torch.zeros(classes, dtype=dtype, device=device),
    )
    return Network(layers, top)


def copy_of(network: Network) -> Network:
    """Return a network with parameters of its own."""
    layers = [Layer(layer.weight.clone(), layer.bias.clone()) for layer in network.layers]
    return Network(layers, Layer(network.top.weight.clone(), network.top.bias.clone()))
