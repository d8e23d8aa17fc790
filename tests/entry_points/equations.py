"""The equations and the engines, in plain terms: parameters by name, minibatches, operations.

Examples are rows. The parameters of a layer that is pretrained are `weight` W (hidden, d),
`hidden_bias` b, `visible_bias` c, and `decoder_weight` V (d, hidden) where it is not tied to Wᵀ.
A network is a list of (weight, bias), lowest first, the softmax layer last.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dae_cli.engines.engine import engine_for
from dae_cli.engines.names import ENGINES
from dae_cli.errors import ConfigError
from dae_cli.models.autoencoder import Autoencoder
from dae_cli.models.corruption import Gaussian, Masking, SaltAndPepper
from dae_cli.models.initial import uniform_weights
from dae_cli.models.network import Layer, Network
from dae_cli.models.rbm import Rbm

__all__ = [
    "CORRUPTIONS",
    "ENGINES",
    "AutoencoderSteps",
    "ConfigError",
    "Gaussian",
    "Masking",
    "NetworkSteps",
    "RbmSteps",
    "SaltAndPepper",
    "codes",
    "corrupt",
    "corrupt_into",
    "engine_for",
    "initial_weights",
    "moved_to",
    "operate",
    "run_cached_function",
    "scores",
    "write_cached_function",
]

Parameters = dict[str, Tensor]
Layers = list[tuple[Tensor, Tensor]]
Rows = NDArray[np.float32]
Draw = Callable[[tuple[int, ...]], Tensor]
"""Returns independent uniform numbers in [0, 1) of a shape."""

CORRUPTIONS = (Masking, SaltAndPepper, Gaussian)
"""Each is called with its level: ν, ν, σ."""


@cache
def _operations(engine: str) -> Any:
    return engine_for(engine, torch.device("cpu")).operations


def _copies(parameters: Parameters) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in parameters.items()}


class _Steps:
    """Steps of gradient descent; minibatches of as many rows share their memory."""

    def __init__(self, model: Any, engine: str) -> None:
        self._model, self._operations = model, _operations(engine)
        model.lay_out(self._operations)
        self._memory: dict[int, Any] = {}

    def _batch(self, rows: int) -> Any:
        if rows not in self._memory:
            self._memory[rows] = self._model.minibatch(rows, self._operations)
        return self._memory[rows]

    @property
    def parameters(self) -> Parameters:
        """Copies of the parameters as they are now."""
        return _copies(self._model.parameters())


class AutoencoderSteps(_Steps):
    """Steps of an autoencoder, on copies of its parameters."""

    def __init__(self, parameters: Parameters, engine: str = "torch", **settings: Any) -> None:
        """`settings`: loss, "cross-entropy" or "squared-error"; weight_decay; contraction."""
        super().__init__(Autoencoder(**_copies(parameters), **settings), engine)

    def take(self, clean: Tensor, corrupted: Tensor, rate: float) -> Tensor:
        """Take a step; return the cost before it, summed over the rows, without weight decay."""
        batch = self._batch(len(clean)).fill(clean, corrupted)
        self._model.descend(batch, rate, self._operations)
        cost: Tensor = batch.cost.clone()
        return cost


class RbmSteps(_Steps):
    """Steps of contrastive divergence, on copies of the parameters.

    Attributes:
        chains: the states of the hidden units of so many persistent chains, which a step moves;
            None where the chains begin at the rows.
    """

    def __init__(
        self, parameters: Parameters, engine: str = "torch", chains: int = 0, **settings: Any
    ) -> None:
        """`settings`: gibbs_steps, k of CD-k; sample_visible."""
        super().__init__(Rbm(**_copies(parameters), **settings), engine)
        self.chains: Tensor | None = None
        if chains:
            self.chains = self._model.new_chains(chains, self._operations)

    def take(self, clean: Tensor, draw: Draw, rate: float) -> Tensor:
        """Take a step; return the cross-entropy before it, summed over the rows."""
        batch = self._batch(len(clean))
        batch.clean.copy_(clean)

        def fill(tensor: Tensor) -> None:
            tensor.copy_(draw(tuple(tensor.shape)))

        self._model.descend(batch, rate, fill, self._operations, self.chains)
        cost: Tensor = batch.cost.clone()
        return cost


class NetworkSteps(_Steps):
    """Steps of a whole network, on copies of its layers."""

    def __init__(self, layers: Layers, engine: str = "torch", weight_decay: float = 0.0) -> None:
        super().__init__(_network(layers), engine)
        self._weight_decay = weight_decay

    @property
    def layers(self) -> Layers:
        """Copies of the layers as they are now."""
        return [(layer.weight.clone(), layer.bias.clone()) for layer in self._model]

    def take(self, inputs: Tensor, labels: Tensor, rate: float) -> Tensor:
        """Take a step; return the cost before it, summed over the rows, without weight decay."""
        batch = self._batch(len(inputs)).fill(inputs, labels)
        self._model.descend(batch, rate, self._operations, self._weight_decay)
        cost: Tensor = batch.cost.clone()
        return cost


def _network(layers: Layers) -> Network:
    own = [Layer(weight.clone(), bias.clone()) for weight, bias in layers]
    return Network(own[:-1], own[-1])


def codes(kind: str, parameters: Parameters, inputs: Tensor, engine: str = "torch") -> Tensor:
    """Return what an "autoencoder" or an "rbm" passes to the layer above it."""
    layer = {"autoencoder": Autoencoder, "rbm": Rbm}[kind](**_copies(parameters))
    out = inputs.new_empty(len(inputs), len(layer.hidden_bias))
    layer.encode(inputs, out, _operations(engine))
    return out


def moved_to(device: str, kind: str, parameters: Parameters) -> Parameters:
    """Return the parameters of an "autoencoder" or an "rbm" after it was moved to a device."""
    layer = {"autoencoder": Autoencoder, "rbm": Rbm}[kind](**_copies(parameters))
    layer.to(torch.device(device))
    there: Parameters = layer.parameters()
    return there


def scores(layers: Layers, inputs: Tensor, engine: str = "torch") -> Tensor:
    """Return what enters the softmax for each row, (m, classes)."""
    network, operations = _network(layers), _operations(engine)
    batch = network.minibatch(len(inputs), operations)
    batch.inputs.copy_(inputs)
    return network.forward(batch, operations).clone()


def initial_weights(
    outputs: int, inputs: int, init: str, random: np.random.Generator, dtype: torch.dtype
) -> Tensor:
    """Return initial weights (outputs, inputs) of the kind "glorot" or "tutorial"."""
    return uniform_weights(outputs, inputs, init, random, dtype)


def corrupt(corruption: Any, clean: Rows, random: np.random.Generator) -> Rows:
    """Return a corrupted copy of some rows."""
    out = np.full_like(clean, np.nan)
    corrupt_into(out, corruption, clean, random)
    return out


def corrupt_into(out: Rows, corruption: Any, clean: Rows, random: np.random.Generator) -> None:
    """Write a corrupted copy of some rows into memory that there is, in one piece or not."""
    corruption.corrupt(clean, random, out)


def operate(engine: str, operation: str, **operands: Any) -> Tensor | None:
    """Run one operation of an engine in place; return the cost if there is one.

    times_transposed    rows (m, inputs), weight (units, inputs), bias (units,) or None,
                        out (m, units): out = rows · Wᵀ + bias
    times               rows (m, units), weight (units, inputs), bias (inputs,) or None,
                        out (m, inputs): out = rows · W + bias
    accumulate          weight (units, inputs), left (terms, units), right (terms, inputs), scale,
                        keep: W = keep · W + scale · leftᵀ right
    sigmoid             values (m, units)
    through_sigmoid     error (m, units), code (m, units): error = error ∘ h ∘ (1 − h)
    cross_entropy       decoder_input a (m, d), clean x (m, d), error (m, d): error = sigm(a) − x
    """
    operations = _operations(engine)
    if operation == "cross_entropy":
        cost = torch.full((), 7.0)
        operations.cross_entropy(**operands, cost=cost)
        return cost
    names = {"sigmoid": "sigmoid_", "through_sigmoid": "through_sigmoid_"}
    getattr(operations, names.get(operation, operation))(**operands)
    return None


# Functions that are compiled and cached

_CACHED_FUNCTION = """
import runpy
from pathlib import Path

from dae_cli.compilation import compiled

FACTOR = runpy.run_path(str(Path(__file__).with_name("beside.py")))["FACTOR"]

@compiled
def times(number: int) -> int:
    return FACTOR * number

result = times(7)
loads = sum(times.stats.cache_hits.values())
if __name__ == "__main__":
    print(result, loads)
"""


def write_cached_function(folder: Path) -> Path:
    """Write a source whose function is compiled and cached, and one beside it that it reads."""
    folder.mkdir()
    (folder / "beside.py").write_text("FACTOR = 2\n", encoding="utf-8")
    source = folder / "function.py"
    source.write_text(_CACHED_FUNCTION, encoding="utf-8")
    return source


def run_cached_function(source: Path) -> tuple[int, int]:
    """Return twice seven from the function, and how often it was loaded rather than compiled.

    As in a process of its own, which would look at the cache again.
    """
    from dae_cli.compilation import private_cache

    private_cache.cache_clear()
    names = runpy.run_path(str(source))
    return names["result"], names["loads"]
