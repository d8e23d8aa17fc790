"""Where a run stands: everything that is needed to go on as if it had never stopped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from dae_cli.config.schema import Experiment
from dae_cli.models.autoencoder import Autoencoder
from dae_cli.models.initial import uniform_weights
from dae_cli.models.network import Layer, Network
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
    """Where the corruption's stream stands; None while fine-tuning."""

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
        autoencoders: one per layer; after pretraining they keep the pretrained parameters.
        network: None until fine-tuning begins.
        best: the network of the lowest validation error so far.
        best_wrong: its number of wrong validation rows.
        best_epoch: the fine-tuning epoch it was reached in, from 1.
    """

    phase: Phase
    layer: int
    epoch: int
    autoencoders: list[Autoencoder]
    network: Network | None = None
    best: Network | None = None
    best_wrong: int | None = None
    best_epoch: int = 0
    history: list[EpochRecord] = field(default_factory=list)
    interim: Interim | None = None

    def tensors(self) -> dict[str, Tensor]:
        """Return every parameter under its name in a checkpoint."""
        named: dict[str, Tensor] = {}
        for k, autoencoder in enumerate(self.autoencoders, start=1):
            named[f"pretrained.{k}.weight"] = autoencoder.weight
            named[f"pretrained.{k}.hidden_bias"] = autoencoder.hidden_bias
            named[f"pretrained.{k}.visible_bias"] = autoencoder.visible_bias
            if autoencoder.decoder_weight is not None:
                named[f"pretrained.{k}.decoder_weight"] = autoencoder.decoder_weight
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


def initial_state(experiment: Experiment, inputs: int, dtype: torch.dtype) -> TrainingState:
    """Draw the initial parameters; they depend on the seed and the shape, not on the corruption.

    Args:
        experiment: the resolved config.
        inputs: d, the components of an example.
        dtype: of all parameters.
    """
    model, loss = experiment.model, experiment.pretrain.loss
    autoencoders = []
    for k, (below, units) in enumerate(zip((inputs, *model.hidden), model.hidden, strict=False)):
        random = stream(experiment.seed, Purpose.WEIGHTS, k)
        weight = uniform_weights(units, below, model.init, random, dtype)
        decoder = None if model.tied else uniform_weights(below, units, model.init, random, dtype)
        hidden_bias, visible_bias = torch.zeros(units, dtype=dtype), torch.zeros(below, dtype=dtype)
        autoencoders.append(Autoencoder(weight, hidden_bias, visible_bias, loss, decoder))
    phase: Phase = "pretrain" if experiment.pretrain.epochs else "finetune"
    return TrainingState(phase=phase, layer=0, epoch=0, autoencoders=autoencoders)


def network_from(autoencoders: list[Autoencoder], classes: int) -> Network:
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
