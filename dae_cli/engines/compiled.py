"""The compiled engine: kernels compiled for the current processor, working in reused memory.

Each row starts at a cache line and is padded with zeros to whole vectors. The kernels rely on this:
they read the whole padded rows, not only the part that a tensor views.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from dae_cli.engines import kernels
from dae_cli.engines.activations import F
from dae_cli.engines.blocks import Matrix
from dae_cli.engines.kernels import Denoising, Descent, Errors, Gibbs
from dae_cli.engines.names import EngineName
from dae_cli.engines.torch_engine import TorchStepper
from dae_cli.engines.vectors import LANES
from dae_cli.models.autoencoder import Autoencoder, DenoisingBatch
from dae_cli.models.layers import Encoder
from dae_cli.models.network import LabelledBatch, Network
from dae_cli.models.rbm import GibbsBatch, Rbm

B = TypeVar("B")
V = TypeVar("V")
Zeros = Callable[[int, int], Tensor]


class CompiledEngine:
    """Float32 on the CPU, single-threaded; results are bit-identical on every processor."""

    name: EngineName = "compiled"
    device = torch.device("cpu")

    def zeros(self, rows: int, columns: int) -> Tensor:
        """Return zeros whose rows are padded to whole vectors."""
        return torch.zeros(rows, -(-columns // LANES) * LANES)[:, :columns]

    def prepare(self, model: Encoder | Network) -> None:
        """Move the weights into padded memory."""
        model.map_tensors(self._laid_out)

    def encode(self, layer: Encoder, inputs: Tensor, out: Tensor) -> Tensor:
        """Write the codes of the inputs to `out` and return it."""
        if type(layer).encode is not Encoder.encode:
            return out.copy_(layer.encode(inputs))
        weight, bias = _matrix(layer.weight), layer.hidden_bias.numpy()
        kernels.encode(_matrix(inputs), len(inputs), weight, bias, _matrix(out), False)
        return out

    def scores(self, network: Network, inputs: Tensor) -> Tensor:
        """Return the inputs of the softmax."""
        for layer in network:
            out = self.zeros(len(inputs), len(layer.bias))
            weight, bias = _matrix(layer.weight), layer.bias.numpy()
            rows, top = _matrix(inputs), layer is network.top
            kernels.encode(rows, len(inputs), weight, bias, _matrix(out), top)
            inputs = out
        return inputs

    def stepper(self, model: Encoder | Network) -> _Stepper[Any, Any] | TorchStepper:
        """Return a stepper for the model; a torch stepper if there are no kernels for its class."""
        self.prepare(model)
        if type(model) is Autoencoder:
            return _AutoencoderStepper(model, self.zeros)
        if type(model) is Rbm:
            return _RbmStepper(model, self.zeros)
        if type(model) is Network:
            return _NetworkStepper(model, self.zeros)
        return TorchStepper(model)

    def _laid_out(self, tensor: Tensor) -> Tensor:
        if tensor.dim() == 1:
            return tensor.contiguous()
        if _is_laid_out(tensor):
            return tensor
        return self.zeros(*tensor.shape).copy_(tensor)


def _is_laid_out(tensor: Tensor) -> bool:
    row, column = tensor.stride()
    whole = -(-tensor.shape[1] // LANES) * LANES
    return tensor.dtype is torch.float32 and tensor.is_cpu and (row, column) == (whole, 1)


def _matrix(tensor: Tensor, rows: int | None = None, columns: int | None = None) -> Matrix:
    """Return the padded rows that a tensor is a view of.

    Raises:
        ValueError: the shape is not the expected one, or the memory is not that of `zeros`; the
            kernels would read beyond it.
    """
    shape = len(tensor) if rows is None else rows, columns or tensor.shape[-1]
    if tensor.shape != shape or not _is_laid_out(tensor):
        raise ValueError(
            f"expected float32 {shape} on the CPU with padded rows, found {tensor.dtype} "
            f"{tuple(tensor.shape)} with strides {tensor.stride()} on {tensor.device}"
        )
    rows, width = len(tensor), tensor.stride(0)
    matrix: Matrix = tensor.as_strided((rows, width), (width, 1)).numpy()
    return matrix


class _Stepper(Generic[B, V]):
    """Steps of one model; each step also encodes the minibatch of the next one.

    Each minibatch has its own work space, which is freed together with the minibatch.
    """

    def __init__(self, zeros: Zeros) -> None:
        self._zeros = zeros
        self._views: WeakKeyDictionary[B, V] = WeakKeyDictionary()
        self._encoded: B | None = None

    def step(self, batch: B, upcoming: B | None, learning_rate: float) -> float:
        """Take one step."""
        view = self._view(batch)
        if batch is not self._encoded:
            self._begin(view)
        cost = self._step(view, self._view(upcoming or batch), upcoming is not None, learning_rate)
        self._encoded = upcoming
        return cost

    def _view(self, batch: B) -> V:
        if batch not in self._views:
            self._views[batch] = self._new_view(batch)
        return self._views[batch]

    def _matrix(self, rows: int, columns: int) -> Matrix:
        return _matrix(self._zeros(rows, columns))

    def _new_view(self, batch: B) -> V:
        """Return matrices that view the minibatch, and work space for it."""
        raise NotImplementedError

    def _begin(self, view: V) -> None:
        """Encode a minibatch that no previous step has encoded."""
        raise NotImplementedError

    def _step(self, view: V, upcoming: V, encode: bool, learning_rate: float) -> float:
        """Take a step; encode the upcoming minibatch if there is one."""
        raise NotImplementedError


class _AutoencoderStepper(_Stepper[DenoisingBatch, Denoising]):
    def __init__(self, model: Autoencoder, zeros: Zeros) -> None:
        super().__init__(zeros)
        self._model, self._layer = model, _layer(model)
        self._decoder = None if model.decoder_weight is None else _matrix(model.decoder_weight)
        self._errors = self._new_errors(1)

    def _new_errors(self, rows: int) -> Errors:
        hidden, d = self._model.weight.shape
        wide = self._matrix(2, max(hidden, d))
        return Errors(self._matrix(rows, d), self._matrix(rows, hidden), wide[0], wide[1])

    def _new_view(self, batch: DenoisingBatch) -> Denoising:
        m, (hidden, d) = len(batch.clean), self._model.weight.shape
        if m > len(self._errors.visible):
            self._errors = self._new_errors(m)
        clean, corrupted = _matrix(batch.clean, m, d), _matrix(batch.corrupted, m, d)
        return Denoising(m, clean, corrupted, self._matrix(m, hidden), self._matrix(m, d))

    def _begin(self, view: Denoising) -> None:
        if self._decoder is None:
            kernels.begin_tied(self._layer, view)
        else:
            weight, bias = self._layer.weight, self._layer.hidden_bias
            kernels.encode(view.corrupted, view.m, weight, bias, view.codes, False)

    def _step(self, view: Denoising, upcoming: Denoising, encode: bool, rate: float) -> float:
        model = self._model
        how = Descent(
            F(-rate / view.m),
            F(1.0 - rate * model.weight_decay),
            F(model.contraction),
            model.loss == "squared-error",
        )
        following = upcoming if encode else upcoming._replace(m=0)
        if self._decoder is None:
            return kernels.step_tied(self._layer, view, following, self._errors, how)
        return kernels.step_untied(self._layer, self._decoder, view, following, self._errors, how)


class _GibbsView(NamedTuple):
    chain: Gibbs
    uniforms: list[Matrix]
    """In order of use, after those of the first states (`chain.uniforms`)."""


class _RbmStepper(_Stepper[GibbsBatch, _GibbsView]):
    def __init__(self, model: Rbm, zeros: Zeros) -> None:
        super().__init__(zeros)
        self._model, self._layer = model, _layer(model)
        self._persistent = model.chains is not None
        self._chains = self._layer.weight if model.chains is None else _matrix(model.chains)
        hidden, d = model.weight.shape
        self._visible, self._hidden = self._matrix(1, d), self._matrix(1, hidden)

    def _new_view(self, batch: GibbsBatch) -> _GibbsView:
        m, (hidden, d) = len(batch.clean), self._model.weight.shape
        if m > len(self._visible):
            self._visible, self._hidden = self._matrix(m, d), self._matrix(m, hidden)
        clean = _matrix(batch.clean, m, d)
        first, *rest = (uniforms.numpy() for uniforms in batch.uniforms)
        decoder_input = self._matrix(m, d)
        chain_input = self._matrix(m, d) if self._persistent else decoder_input
        codes, states = self._matrix(m, hidden), self._matrix(m, hidden)
        chain = Gibbs(m, clean, first, codes, states, decoder_input, chain_input)
        return _GibbsView(chain, rest)

    def _begin(self, view: _GibbsView) -> None:
        kernels.begin_gibbs(self._layer, view.chain, self._chains, self._persistent)

    def _step(self, view: _GibbsView, upcoming: _GibbsView, encode: bool, rate: float) -> float:
        layer, (batch, uniforms), visible = self._layer, view, self._visible
        m, (hidden, d), following = batch.m, self._model.weight.shape, iter(uniforms)
        cost = kernels.visible_probabilities(batch, d, visible)
        for k in range(self._model.gibbs_steps):
            if k > 0:
                weight, bias = layer.weight, layer.hidden_bias
                kernels.encode(visible, m, weight, bias, self._hidden, False)
                kernels.sample(self._hidden, next(following), m, hidden, batch.states)
                kernels.decode_states(layer, batch.states, m, visible)
            if self._model.sample_visible:
                kernels.sample(visible, next(following), m, d, visible)
        kernels.step_gibbs(
            layer,
            batch,
            upcoming.chain if encode else upcoming.chain._replace(m=0),
            visible,
            self._hidden,
            F(rate / m),
            self._chains,
            next(following, batch.uniforms),
            self._persistent,
        )
        return cost


class _NetworkView(NamedTuple):
    codes: list[Matrix]
    """The inputs and the code of each hidden layer."""
    scores: Matrix
    targets: Matrix
    errors: list[Matrix]
    """Errors of each layer, the softmax layer last."""


class _NetworkStepper(_Stepper[LabelledBatch, _NetworkView]):
    def __init__(self, model: Network, zeros: Zeros) -> None:
        super().__init__(zeros)
        self._model = model
        self._layers = [(_matrix(layer.weight), layer.bias.numpy()) for layer in model]

    def _new_view(self, batch: LabelledBatch) -> _NetworkView:
        m = len(batch.inputs)
        units = [len(bias) for _, bias in self._layers]
        inputs = _matrix(batch.inputs, m, self._model.layers[0].weight.shape[1])
        codes = [inputs, *(self._matrix(m, width) for width in units[:-1])]
        errors = [self._matrix(m, width) for width in units]
        targets = _matrix(batch.targets, m, units[-1])
        return _NetworkView(codes, self._matrix(m, units[-1]), targets, errors)

    def _begin(self, view: _NetworkView) -> None:
        self._encode(view, 0, view.codes[1])

    def _encode(self, view: _NetworkView, k: int, out: Matrix) -> None:
        weight, bias = self._layers[k]
        top = k == len(self._layers) - 1
        kernels.encode(view.codes[k], len(out), weight, bias, out, top)

    def _step(self, view: _NetworkView, upcoming: _NetworkView, encode: bool, rate: float) -> float:
        *hidden_layers, (_, top_bias) = self._layers
        m, codes, errors = len(view.scores), view.codes, view.errors
        for k in range(1, len(hidden_layers)):
            self._encode(view, k, codes[k + 1])
        self._encode(view, len(hidden_layers), view.scores)
        classes = len(top_bias)
        cost = kernels.softmax_error(view.scores, view.targets, m, classes, errors[-1])
        scale, keep = F(-rate / m), F(1.0 - rate * self._model.weight_decay)
        for k in range(len(hidden_layers), 0, -1):
            weight, bias = self._layers[k]
            below = errors[k - 1]
            kernels.step_layer(weight, bias, codes[k], errors[k], m, scale, keep, below)
        weight, bias = self._layers[0]
        m_upcoming = len(upcoming.scores) if encode else 0
        kernels.step_lowest(
            weight, bias, codes[0], errors[0], m, scale, keep,
            upcoming.codes[0], m_upcoming, upcoming.codes[1],
        )  # fmt: skip
        return cost


def _layer(model: Encoder) -> kernels.Layer:
    return kernels.Layer(
        _matrix(model.weight), model.hidden_bias.numpy(), model.visible_bias.numpy()
    )
