"""The equations and engines, called with plain tensors: parameters by name, and minibatches.

Examples are rows. The parameters of a pretrained layer are `weight` W (hidden, d), `hidden_bias` b,
`visible_bias` c and, if the decoder is untied, `decoder_weight` V (d, hidden). A network is a list
of (weight, bias) from the lowest layer to the softmax layer.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dae_cli.engines.engine import engine_for
from dae_cli.engines.names import ENGINES
from dae_cli.errors import ConfigError
from dae_cli.models.autoencoder import Autoencoder, DenoisingBatch
from dae_cli.models.corruption import Gaussian, Masking, SaltAndPepper
from dae_cli.models.layers import draw_weights_
from dae_cli.models.network import LabelledBatch, Layer, Network
from dae_cli.models.rbm import GibbsBatch, Rbm

__all__ = [
    "CORRUPTIONS",
    "ENGINES",
    "AutoencoderSteps",
    "ConfigError",
    "Gaussian",
    "IdleSteps",
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
    "run_cached_function",
    "scores",
    "write_cached_function",
]

Parameters = dict[str, Tensor]
Layers = list[tuple[Tensor, Tensor]]
Rows = NDArray[np.float32]
Draw = Callable[[tuple[int, ...]], Tensor]
"""Function that returns independent uniform numbers in [0, 1) of a given shape."""

CORRUPTIONS = (Masking, SaltAndPepper, Gaussian)
"""Corruptions by name; each is called with its level ν, ν or σ."""


def _copies(parameters: Parameters) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in parameters.items()}


class _Steps:
    """Gradient descent steps; minibatches of equal shape share their memory."""

    def __init__(self, model: Any, engine: str) -> None:
        self._engine = _engine(engine)
        self._model, self._stepper = model, self._engine.stepper(model)
        self._batches: dict[Any, Any] = {}
        self._rows_of: Callable[[Tensor], Tensor] = partial(_rows_for, self._engine)

    @property
    def parameters(self) -> Parameters:
        """Copies of the current parameters."""
        return _copies(self._model.parameters())

    def take(self, *minibatch_and_rate: Any) -> Tensor:
        """Take a step; return the cost before it, summed over the rows, without weight decay."""
        *minibatch, rate = minibatch_and_rate
        return self.step(self.batch(0, *minibatch), None, rate)

    def epoch(self, minibatches: Sequence[tuple[Any, ...]], rate: float) -> Iterator[Tensor]:
        """Take a step on each minibatch, with the next one known, and yield the costs."""
        upcoming = self.batch(0, *minibatches[0])
        for number, minibatch in enumerate([*minibatches[1:], None], start=1):
            batch = upcoming
            upcoming = None if minibatch is None else self.batch(number % 2, *minibatch)
            yield self.step(batch, upcoming, rate)

    def replace_memory(self, rows_of: Callable[[Tensor], Tensor]) -> None:
        """Move the weights and all later minibatches to memory that `rows_of` returns."""
        self._model.map_tensors(lambda t: rows_of(t) if t.dim() == 2 else t)
        self._stepper, self._rows_of = self._engine.stepper(self._model), rows_of

    def step(self, batch: Any, upcoming: Any, rate: float) -> Tensor:
        """Take a step on a result of `batch` and return the cost like `take`."""
        cost = self._stepper.step(batch, upcoming, rate)
        return torch.as_tensor(cost, dtype=torch.float64)

    def batch(self, which: int, *minibatch: Any) -> Any:
        """Copy a minibatch to the engine's memory, reused for the same `which` and shape."""
        tensors = self._tensors(*minibatch)
        key = which, *(tensor.shape for tensor in tensors)
        if key not in self._batches:
            self._batches[key] = self._new_batch([self._rows_of(t) for t in tensors])
        memory: list[Tensor] = []
        for value in vars(self._batches[key]).values():
            memory += value if isinstance(value, list) else [value]
        for there, tensor in zip(memory, tensors, strict=True):
            there.copy_(tensor)
        return self._batches[key]

    def _tensors(self, *minibatch: Any) -> list[Tensor]:
        return list(minibatch)

    def _new_batch(self, memory: list[Tensor]) -> Any:
        raise NotImplementedError


def _rows_for(engine: Any, tensor: Tensor) -> Tensor:
    """Return memory for rows like these in the engine's layout, or in double precision."""
    rows: Tensor = engine.zeros(*tensor.shape)
    return rows.to(tensor.dtype)


class AutoencoderSteps(_Steps):
    """Steps of an autoencoder on copies of its parameters; minibatches are (clean, corrupted)."""

    def __init__(self, parameters: Parameters, engine: str = "torch", **settings: Any) -> None:
        """`settings`: loss ("cross-entropy" or "squared-error"), weight_decay, contraction."""
        super().__init__(Autoencoder(**_copies(parameters), **settings), engine)

    def _new_batch(self, memory: list[Tensor]) -> DenoisingBatch:
        return DenoisingBatch(*memory)


class _Idle(Autoencoder):
    """A layer that engines have no kernels for: it learns nothing and its code is its input."""

    def encode(self, inputs: Tensor) -> Tensor:
        return inputs[:, : len(self.hidden_bias)]

    def sgd_step(self, batch: DenoisingBatch, learning_rate: float) -> Tensor:
        return batch.clean.sum()


class IdleSteps(AutoencoderSteps):
    """Steps of a layer that learns nothing; the cost is the sum of the clean rows."""

    def __init__(self, parameters: Parameters, engine: str) -> None:
        super(AutoencoderSteps, self).__init__(_Idle(**_copies(parameters)), engine)

    def codes(self, inputs: Tensor) -> Tensor:
        """Return the codes: the first `hidden` inputs."""
        rows, width = self._engine.zeros(*inputs.shape), len(self._model.hidden_bias)
        out: Tensor = self._engine.zeros(len(inputs), width)
        return out.copy_(self._engine.encode(self._model, rows.copy_(inputs), out))


class RbmSteps(_Steps):
    """Contrastive divergence steps on copies of the parameters.

    Minibatches are (clean, draw). The cost is the cross-entropy.
    """

    def __init__(
        self, parameters: Parameters, engine: str = "torch", chains: int = 0, **settings: Any
    ) -> None:
        """`settings`: gibbs_steps (k of CD-k), sample_visible. `chains`: persistent chains."""
        rbm = Rbm(**_copies(parameters), **settings)
        if chains:
            rbm.chains = rbm.weight.new_zeros(chains, len(rbm.hidden_bias))
        super().__init__(rbm, engine)

    @property
    def chains(self) -> Tensor | None:
        """Hidden states of the persistent chains; each step updates them."""
        chains: Tensor | None = self._model.chains
        return chains

    def _tensors(self, clean: Tensor, draw: Draw) -> list[Tensor]:
        return [clean, *(draw((len(clean), width)) for width in self._model.uniform_widths())]

    def _new_batch(self, memory: list[Tensor]) -> GibbsBatch:
        return GibbsBatch(memory[0], [uniforms.contiguous() for uniforms in memory[1:]])


class NetworkSteps(_Steps):
    """Steps of a network on copies of its layers; minibatches are (inputs, labels)."""

    def __init__(self, layers: Layers, engine: str = "torch", weight_decay: float = 0.0) -> None:
        super().__init__(_network(layers, weight_decay), engine)

    @property
    def layers(self) -> Layers:
        """Copies of the current layers."""
        return [(layer.weight.clone(), layer.bias.clone()) for layer in self._model]

    def _tensors(self, inputs: Tensor, labels: Tensor) -> list[Tensor]:
        onehot = torch.eye(len(self._model.top.bias), dtype=inputs.dtype)
        return [inputs, onehot[labels]]

    def _new_batch(self, memory: list[Tensor]) -> LabelledBatch:
        return LabelledBatch(*memory)


def _engine(name: str, device: str = "cpu") -> Any:
    return engine_for(name, torch.device(device))


def _network(layers: Layers, weight_decay: float = 0.0) -> Network:
    own = [Layer(weight.clone(), bias.clone()) for weight, bias in layers]
    return Network(own[:-1], own[-1], weight_decay)


def codes(kind: str, parameters: Parameters, inputs: Tensor, engine: str = "torch") -> Tensor:
    """Return the codes that an "autoencoder" or "rbm" passes to the next layer."""
    layer = {"autoencoder": Autoencoder, "rbm": Rbm}[kind](**_copies(parameters))
    computes = _engine(engine)
    computes.prepare(layer)
    rows = _rows_for(computes, inputs).copy_(inputs)
    out = _rows_for(computes, inputs.new_empty(len(inputs), len(layer.hidden_bias)))
    written: Tensor = computes.encode(layer, rows, out)
    return written.clone()


def moved_to(device: str, kind: str, parameters: Parameters) -> Parameters:
    """Return the tensors of an "autoencoder" or "rbm" after moving it to a device."""
    layer = {"autoencoder": Autoencoder, "rbm": Rbm}[kind](**_copies(parameters))
    _engine("torch", device).prepare(layer)
    there: Parameters = layer.parameters()
    return there


def scores(layers: Layers, inputs: Tensor, engine: str = "torch") -> Tensor:
    """Return the inputs of the softmax, (m, classes)."""
    network, computes = _network(layers), _engine(engine)
    computes.prepare(network)
    rows = _rows_for(computes, inputs).copy_(inputs)
    entering: Tensor = computes.scores(network, rows)
    return entering.clone()


def initial_weights(
    outputs: int, inputs: int, init: str, random: np.random.Generator, dtype: torch.dtype
) -> Tensor:
    """Return initial weights (outputs, inputs) for init "glorot" or "tutorial"."""
    weight = torch.zeros(outputs, inputs, dtype=dtype)
    draw_weights_(weight, init, random)
    return weight


def corrupt(corruption: Any, clean: Rows, random: np.random.Generator) -> Rows:
    """Return a corrupted copy of the rows."""
    out = np.full_like(clean, np.nan)
    corrupt_into(out, corruption, clean, random)
    return out


def corrupt_into(out: Rows, corruption: Any, clean: Rows, random: np.random.Generator) -> None:
    """Write a corrupted copy of the rows to existing memory, contiguous or not."""
    corruption.corrupt(clean, random, out)


# Compiled and cached functions

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
    """Write a source file with a compiled, cached function, and the file that it reads."""
    folder.mkdir()
    (folder / "beside.py").write_text("FACTOR = 2\n", encoding="utf-8")
    source = folder / "function.py"
    source.write_text(_CACHED_FUNCTION, encoding="utf-8")
    return source


def run_cached_function(source: Path) -> tuple[int, int]:
    """Return the function's result and its number of cache hits.

    The source is run again, like in a new process, so that the cache is read again.
    """
    from dae_cli.compilation import private_cache

    private_cache.cache_clear()
    names = runpy.run_path(str(source))
    return names["result"], names["loads"]
