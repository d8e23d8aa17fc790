"""A cost that is no longer a number ends the run, with a word on what to lower."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from dae_cli.config.schema import FinetuneSettings, PretrainSettings
from dae_cli.errors import DivergedError


@dataclass(frozen=True)
class Place:
    """Where training stands, for messages."""

    phase: str
    layer: int | None
    """From 1; None while the whole network is fine-tuned."""
    epoch: int
    """From 1."""
    settings: PretrainSettings | FinetuneSettings

    def checked_cost(self, cost: float) -> float:
        """Return the cost.

        Raises:
            DivergedError: it is NaN or infinite.
        """
        if math.isfinite(cost):
            return cost
        raise self._diverged(f"the cost is {cost}")

    def check_parameters(self, tensors: Iterable[Tensor]) -> None:
        """Look at the parameters, since the cost does not show what the last step did.

        Raises:
            DivergedError: a parameter is NaN or infinite.
        """
        if not all(bool(tensor.isfinite().all()) for tensor in tensors):
            raise self._diverged("a parameter is not finite")

    def _diverged(self, what: str) -> DivergedError:
        layer = f", layer {self.layer}" if self.layer else ""
        return DivergedError(
            f"diverged in {self.phase}{layer}, epoch {self.epoch}: {what}; "
            f"lower {self.phase}.learning_rate (now {self.settings.learning_rate:g})"
        )
