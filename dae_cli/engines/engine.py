"""An engine: how steps of training and codes of rows are computed, and on which device.

The models hold the equations. `torch` runs them as they stand; `compiled` runs the same steps
fused, in one pass over the weights.
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
    """Steps of stochastic gradient descent of one model."""

    def step(self, batch: B, upcoming: B | None, learning_rate: float) -> float | Tensor:
        """Take one step, in place on the model's parameters.

        Args:
            batch: the minibatch of this step.
            upcoming: that of the next one, whose `batch` is then this very object with the same
                contents; None where it is not known, or where an epoch ends. An engine may encode
                it in the same pass over the weights.
            learning_rate: ε.

        Returns:
            The cost before the step, summed over the rows, without what weight decay adds.
        """


class Engine(Protocol):
    """What computes: the same equations for all, equal within the rounding of float32."""

    name: EngineName
    device: torch.device

    def zeros(self, rows: int, columns: int) -> Tensor:
        """Return memory for rows on the device, (rows, columns), laid out as the engine likes it.

        Each row is in one piece. There may be room between rows, as much as the columns decide,
        which stays zero.
        """

    def prepare(self, model: Encoder | Network) -> None:
        """Move a model's tensors to the device and lay them out as the engine likes, in place.

        Of a model that is prepared it changes nothing.
        """

    def encode(self, layer: Encoder, inputs: Tensor, out: Tensor) -> Tensor:
        """Write the codes of inputs (m, d) into `out` (m, hidden), and return it.

        The layer is prepared; both are memory of `zeros`, or its first rows.
        """

    def scores(self, network: Network, inputs: Tensor) -> Tensor:
        """Return what enters the softmax for inputs (m, d) as for `encode`: (m, classes)."""

    def stepper(self, model: Encoder | Network) -> Stepper[Any]:
        """Prepare a model, and return its steps.

        They take the minibatches of its `sgd_step`, whose tensors are memory of `zeros`; but the
        uniform numbers of a Gibbs chain lie in one piece.
        """


def default_engine(device: torch.device, note: Callable[[str], None]) -> EngineName:
    """Return what `auto` means: `compiled` on a CPU that it supports, else `torch`.

    Args:
        device: where it is computed.
        note: hears why a CPU has to do with torch.
    """
    if device.type != "cpu":
        return "torch"
    if why := _why_not_compiled():
        note(f"engine: torch, which is slower than compiled: {why}")
        return "torch"
    return "compiled"


def engine_for(name: str, device: torch.device) -> Engine:
    """Return an engine by its name.

    Raises:
        ConfigError: it does not run on this device, on this processor, or lacks its library; or
            there is none of this name, such as `blas`, which earlier versions had.
    """
    if name == "torch":
        return TorchEngine(device)
    if name != "compiled":
        raise ConfigError(f"this version has no engine {name}, only {' and '.join(ENGINES)}")
    if device.type != "cpu":
        raise ConfigError(
            "--engine compiled: runs on the CPU alone; use --device cpu, or --engine torch"
        )
    if why := _why_not_compiled():
        raise ConfigError(f"--engine compiled: {why}; --engine auto takes torch")
    from dae_cli.engines.compiled import CompiledEngine

    return CompiledEngine()


def _why_not_compiled() -> str:
    """Return why nothing can be compiled for this CPU, and what to do; empty where it can."""
    try:
        load_numba()
        from dae_cli.engines import vectors
    except JitDisabledError:
        return "NUMBA_DISABLE_JIT is set; unset it"
    except ImportError as error:
        return f"Numba cannot be imported ({error}); install numba"
    return "" if vectors.SUPPORTED else "this processor has no fused multiply-add on vectors"


def chosen_device(name: str) -> torch.device:
    """Return the device for `auto`, `cpu`, `cuda` or `mps`; auto is CUDA if it is there.

    Raises:
        ConfigError: CUDA or MPS is asked for and not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if there["cuda"] else "cpu")
    if not there.get(name, True):
        raise ConfigError(
            f"--device {name}: torch sees no {name.upper()} device here; use --device cpu or auto"
        )
    return torch.device(name)
