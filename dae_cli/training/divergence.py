"""A cost that is no longer a number ends the run, with a word on what to lower."""

from __future__ import annotations

import math

from dae_cli.config.schema import FinetuneSettings, PretrainSettings
from dae_cli.errors import DivergedError


def checked_cost(
    cost: float,
    phase: str,
    layer: int | None,
    epoch: int,
    settings: PretrainSettings | FinetuneSettings,
) -> float:
    """Return the mean cost of an epoch.

    Raises:
        DivergedError: the cost is NaN or infinite.
    """
    if math.isfinite(cost):
        return cost
    place = f"{phase}, layer {layer}, epoch {epoch}" if layer else f"{phase}, epoch {epoch}"
    raise DivergedError(
        f"diverged in {place}: the cost is {cost}; "
        f"lower {phase}.learning_rate (now {settings.learning_rate:g})"
    )
