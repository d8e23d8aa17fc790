"""Where a run stands: everything that is needed to go on as if it had never stopped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from dae_cli.config.schema import PretrainedExperiment, PretrainSettings
from dae_cli.models.autoencoder import Autoencoder
from dae_cli.models.layers import Encoder, draw_weights_
from dae_cli.models.network import Network
from dae_cli.models.rbm import Rbm
from dae_cli.training.streams import Purpose, stream

Phase = Literal["pretrain", "finetune", "done"]
Word = Annotated[int, Field(ge=0, lt=2**64)]


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

    words: tuple[Word, Word, Word, Word]
    has_uint32: Annotated[int, Field(ge=0, le=1)]
    uinteger: Annotated[int, Field(ge=0, lt=2**32)]
    """Half a word drawn beforehand, if `has_uint32`."""

    @classmethod
    def of(cls, random: np.random.Generator) -> GeneratorState:
        """Read the state of a generator."""
        state: Any = random.bit_generator.state
        a, b, c, d = state["state"]["state"].tolist()
        return cls((a, b, c, d), state["has_uint32"], state["uinteger"])

    def restore(self, random: np.random.Generator) -> None:
        """Put a generator into this state."""
        random.bit_generator.state = {
            "bit_generator": "SFC64",
            "state": {"state": np.array(self.words, dtype=np.uint64)},
            "has_uint32": self.has_uint32,
            "uinteger": self.uinteger,
        }


@dataclass(frozen=True)
class EpochProgress:
    """How far the present epoch is, where a state was kept in the middle of one."""

    steps: Annotated[int, Field(ge=1)]
    """Minibatches presented."""
    cost: float
    """Of their rows, summed."""
    noise: GeneratorState | None
    """The generator of the corruption or the Gibbs chain, before the next minibatch is drawn;
    None while fine-tuning."""


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
        layers: autoencoders, or RBMs in a DBN; after pretraining they keep the pretrained
            parameters.
        network: None until fine-tuning begins.
        best: the network that would be kept now: of the lowest validation error so far, in the
            mean of the window (`finetune.window`).
        best_wrong: its own number of wrong validation rows.
        best_epoch: the fine-tuning epoch it is of, from 1.
    """

    phase: Phase
    layers: list[Encoder]
    layer: int = 0
    epoch: int = 0
    network: Network | None = None
    best: Network | None = None
    best_wrong: int | None = None
    best_epoch: int = 0
    history: list[EpochRecord] = field(default_factory=list)
    interim: EpochProgress | None = None

    def tensors(self) -> dict[str, Tensor]:
        """Return every parameter under its name in a checkpoint.

        Persistent Gibbs chains, (rows of a minibatch, hidden), are there while a layer is trained
        on them.
        """
        named: dict[str, Tensor] = {}
        for k, layer in enumerate(self.layers, start=1):
            named |= {f"pretrained.{k}.{name}": t for name, t in layer.parameters().items()}
            if isinstance(layer, Rbm) and layer.chains is not None:
                named["chains"] = layer.chains
        for prefix, network in (("network", self.network), ("best", self.best)):
            if network is not None:
                named |= {f"{prefix}.{name}": t for name, t in network.parameters().items()}
        return named


def blank_state(experiment: PretrainedExperiment, inputs: int) -> TrainingState:
    """Return a state before the first step whose weights are all zero.

    Args:
        experiment: the resolved config.
        inputs: d, the components of an example.
    """
    model = experiment.model
    widths = zip((inputs, *model.hidden), model.hidden, strict=False)
    layers = [_layer(experiment.pretrain, d, hidden, model.tied) for d, hidden in widths]
    return TrainingState("pretrain" if experiment.pretrain.epochs else "finetune", layers)


def initial_state(experiment: PretrainedExperiment, inputs: int) -> TrainingState:
    """Draw the initial weights; they depend on the seed and the shape, not on the corruption.

    The biases start at zero.
    """
    state = blank_state(experiment, inputs)
    for k, layer in enumerate(state.layers):
        random = stream(experiment.seed, Purpose.WEIGHTS, k)
        for name, tensor in layer.parameters().items():
            if name.endswith("weight"):
                draw_weights_(tensor, experiment.model.init, random)
    return state


def _layer(settings: PretrainSettings, d: int, hidden: int, tied: bool) -> Encoder:
    """Return a layer of zeros of the kind that the settings pretrain."""
    parameters = torch.zeros(hidden, d), torch.zeros(hidden), torch.zeros(d)
    if settings.kind == "rbm":
        return Rbm(
            *parameters, gibbs_steps=settings.gibbs_steps, sample_visible=settings.sample_visible
        )
    return Autoencoder(
        *parameters,
        loss=settings.loss,
        decoder_weight=None if tied else torch.zeros(d, hidden),
        weight_decay=settings.weight_decay,
        contraction=settings.contraction,
    )


def begin_chains(settings: PretrainSettings, layer: Encoder) -> None:
    """Give an RBM the persistent Gibbs chains that the settings ask for: no hidden unit is on."""
    if isinstance(layer, Rbm) and settings.persistent:
        layer.chains = torch.zeros(settings.batch_size, len(layer.hidden_bias))
