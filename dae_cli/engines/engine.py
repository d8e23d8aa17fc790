"""Engines: how, and on which device, training steps and codes are computed.

The models define the equations. The engine `torch` runs them directly; `compiled` runs the same
steps as fused kernels that pass over the weights once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from dae_cli.engines.names import ENGINES, EngineName
from dae_cli.engines.torch_engine import TorchEngine
from dae_cli.errors import ConfigError
from dae_cli.import_path import JitDisabledError, load_numba
from dae_cli.models.layers import Encoder
from dae_cli.models.network import Network

B = TypeVar("B", contravariant=True)


class Stepper(Protocol[B]):
    """Takes stochastic gradient descent steps for one model."""

    def step(self, batch: B, upcoming: B | None, learning_rate: float) -> float | Tensor:
        """Take one step; updates the model's parameters in place.

        Args:
            batch: minibatch of this step.
            upcoming: minibatch of the next step, or None if it is unknown or the epoch ends. An
                engine may encode it in the same pass over the weights, so the next call must pass
                the same object, unchanged, as `batch`.
            learning_rate: ε.

        Returns:
            The cost before the step, summed over the rows, without the weight decay term.
        """


class Engine(Protocol):
    """An engine. All engines compute the same equations and agree within float32 rounding."""

    name: EngineName
    device: torch.device

    def zeros(self, rows: int, columns: int) -> Tensor:
        """Return zeros (rows, columns) on the device in the engine's memory layout.

        Each row is contiguous. Padding after a row depends only on `columns` and must stay zero.
        """

    def prepare(self, model: Encoder | Network) -> None:
        """Move a model's tensors, in place, to the device and into the engine's memory layout.

        Calling it again has no effect.
        """

    def encode(self, layer: Encoder, inputs: Tensor, out: Tensor) -> Tensor:
        """Write the codes of inputs (m, d) to `out` (m, hidden) and return it.

        The layer must be prepared; `inputs` and `out` must come from `zeros` (all or first rows).
        """

    def scores(self, network: Network, inputs: Tensor) -> Tensor:
        """Map inputs (m, d), as for `encode`, to the inputs of the softmax (m, classes)."""

    def stepper(self, model: Encoder | Network) -> Stepper[Any]:
        """Prepare a model and return its stepper.

        The stepper takes the same minibatches as the model's `sgd_step`. Their tensors must come
        from `zeros`, except the uniform numbers of a Gibbs chain, which are contiguous.
        """


def default_engine(device: torch.device, note: Callable[[str], None]) -> EngineName:
    """Return the engine for `auto`: `compiled` on a supported CPU, else `torch`.

    Args:
        device: device to compute on.
        note: called with the reason if the device is a CPU and `compiled` is not available.
    """
    if device.type != "cpu":
        return "torch"
    if why := _why_not_compiled():
        note(f"using the engine torch, which is slower than compiled: {why}")
        return "torch"
    return "compiled"


def engine_for(name: str, device: torch.device) -> Engine:
    """Return the engine with this name.

    Raises:
        ConfigError: the name is unknown (such as `blas`, an engine of earlier versions), the
            engine does not support this device or processor, or its library is missing.
    """
    if name == "torch":
        return TorchEngine(device)
    if name != "compiled":
        raise ConfigError(f"unknown engine {name}; this version has {' and '.join(ENGINES)}")
    if device.type != "cpu":
        raise ConfigError("--engine compiled: needs the CPU; pass --device cpu or --engine torch")
    if why := _why_not_compiled():
        raise ConfigError(f"--engine compiled: {why}; or pass --engine auto, which chooses torch")
    from dae_cli.engines.compiled import CompiledEngine

    return CompiledEngine()


def _why_not_compiled() -> str:
    """Return why the compiled engine cannot run on this CPU and the remedy; empty if it can."""
    try:
        load_numba()
        from dae_cli.engines import vectors
    except JitDisabledError:
        return "NUMBA_DISABLE_JIT is set; unset it"
    except ImportError as error:
        return f"Numba cannot be imported ({error}); install numba"
    return "" if vectors.SUPPORTED else "this processor has no fused multiply-add on vectors"


def chosen_device(name: str) -> torch.device:
    """Return the device for `auto`, `cpu`, `cuda` or `mps`; `auto` is CUDA if available.

    Raises:
        ConfigError: the device is not available.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if available["cuda"] else "cpu")
    if not available.get(name, True):
        raise ConfigError(
            f"--device {name}: torch finds no {name.upper()} device; pass --device cpu or auto"
        )
    return torch.device(name)
