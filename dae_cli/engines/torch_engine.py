"""The reference engine: the models' own torch operations, on any device, in any precision."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dae_cli.engines.names import EngineName
from dae_cli.models.layers import Encoder
from dae_cli.models.network import Network


class TorchEngine:
    """Runs the equations of the models with torch."""

    name: EngineName = "torch"

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def zeros(self, rows: int, columns: int) -> Tensor:
        """Return contiguous zeros."""
        return torch.zeros(rows, columns, device=self.device)

    def prepare(self, model: Encoder | Network) -> None:
        """Move a model's tensors to the device."""
        model.map_tensors(lambda tensor: tensor.to(self.device))

    def encode(self, layer: Encoder, inputs: Tensor, out: Tensor) -> Tensor:
        """Write the codes of the inputs to `out` and return it."""
        return out.copy_(layer.encode(inputs))

    def scores(self, network: Network, inputs: Tensor) -> Tensor:
        """Return the inputs of the softmax."""
        return network.scores(inputs)

    def stepper(self, model: Encoder | Network) -> TorchStepper:
        """Return a stepper that calls the model's `sgd_step`."""
        self.prepare(model)
        return TorchStepper(model)


class TorchStepper:
    """Takes steps with the model's own `sgd_step`."""

    def __init__(self, model: Encoder | Network) -> None:
        self._model = model

    def step(self, batch: Any, upcoming: Any, learning_rate: float) -> Tensor:
        """Take one step; `upcoming` is not used."""
        return self._model.sgd_step(batch, learning_rate)
