"""The reference: the equations of the models as they stand, on any device and in any precision."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dae_cli.engines.names import EngineName
from dae_cli.models.layers import Encoder
from dae_cli.models.network import Network


class TorchEngine:
    """Torch's own operations."""

    name: EngineName = "torch"

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def zeros(self, rows: int, columns: int) -> Tensor:
        """Return zeros in one piece."""
        return torch.zeros(rows, columns, device=self.device)

    def prepare(self, model: Encoder | Network) -> None:
        """Move a model's tensors to the device."""
        model.map_tensors(lambda tensor: tensor.to(self.device))

    def encode(self, layer: Encoder, inputs: Tensor, out: Tensor) -> Tensor:
        """Write the codes of inputs into `out`."""
        return out.copy_(layer.encode(inputs))

    def scores(self, network: Network, inputs: Tensor) -> Tensor:
        """Return what enters the softmax."""
        return network.scores(inputs)

    def stepper(self, model: Encoder | Network) -> TorchStepper:
        """Return a model's own steps."""
        self.prepare(model)
        return TorchStepper(model)


class TorchStepper:
    """The steps that a model takes by itself."""

    def __init__(self, model: Encoder | Network) -> None:
        self._model = model

    def step(self, batch: Any, upcoming: Any, learning_rate: float) -> Tensor:
        """Take one step; what comes next is of no use here."""
        return self._model.sgd_step(batch, learning_rate)
