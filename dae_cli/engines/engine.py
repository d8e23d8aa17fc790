"""An engine: a device, and the way to multiply there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from dae_cli.engines.names import ENGINES, EngineName
from dae_cli.errors import ConfigError
from dae_cli.import_path import JitDisabledError, load_numba
from dae_cli.models.operations import Operations, TorchOperations


@dataclass(frozen=True)
class Engine:
    """Where a run computes and how it multiplies; the equations are the same for all."""

    name: EngineName
    device: torch.device
    operations: Operations


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
        return Engine("torch", device, TorchOperations())
    if name != "compiled":
        raise ConfigError(f"this version has no engine {name}, only {' and '.join(ENGINES)}")
    if device.type != "cpu":
        raise ConfigError(
            "--engine compiled: runs on the CPU alone; use --device cpu, or --engine torch"
        )
    if why := _why_not_compiled():
        raise ConfigError(f"--engine compiled: {why}; --engine auto takes torch")
    from dae_cli.engines.compiled import CompiledOperations

    return Engine("compiled", device, CompiledOperations())


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
