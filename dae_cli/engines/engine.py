"""An engine: a device, and the way to multiply there."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dae_cli.engines.names import EngineName
from dae_cli.errors import ConfigError
from dae_cli.import_path import load_numba
from dae_cli.models.operations import Operations, TorchOperations


@dataclass(frozen=True)
class Engine:
    """Where a run computes and how it multiplies; the equations are the same for all."""

    name: EngineName
    device: torch.device
    operations: Operations


def engine_for(name: EngineName, device: torch.device) -> Engine:
    """Return an engine by its name.

    Raises:
        ConfigError: it does not run on this device, on this processor, or lacks its library.
    """
    if name == "torch":
        return Engine(name, device, TorchOperations())
    if device.type != "cpu":
        raise ConfigError(
            f"--engine {name}: runs on the CPU alone; use --device cpu, or --engine torch"
        )
    if name == "blas":
        return Engine(name, device, _blas())
    return Engine(name, device, _compiled())


def _blas() -> Operations:
    from dae_cli.engines.blas import BlasOperations

    return BlasOperations()


def _compiled() -> Operations:
    try:
        load_numba()
        from dae_cli.engines import vectors
    except ImportError as error:
        raise ConfigError(
            f"--engine compiled: Numba cannot be imported ({error}); "
            "install numba, or use --engine auto"
        ) from error
    if not vectors.SUPPORTED:
        raise ConfigError(
            "--engine compiled: this processor has no fused multiply-add on vectors; "
            "use --engine auto"
        )
    from dae_cli.engines.compiled import CompiledOperations

    return CompiledOperations()
