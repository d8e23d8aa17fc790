"""A cost that is no longer a number ends the run, with a word on what to lower."""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import Tensor

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
    raise _diverged(f"the cost is {cost}", phase, layer, epoch, settings)


def check_parameters(
    tensors: Iterable[Tensor],
    phase: str,
    layer: int | None,
    epoch: int,
    settings: PretrainSettings | FinetuneSettings,
) -> None:
    """Look at the parameters after an epoch, whose cost does not show what its last step did.

    Raises:
        DivergedError: a parameter is NaN or infinite.
    """
    if not all(bool(tensor.isfinite().all()) for tensor in tensors):
        raise _diverged("a parameter is not finite", phase, layer, epoch, settings)


def _diverged(
    what: str,
    phase: str,
    layer: int | None,
    epoch: int,
    settings: PretrainSettings | FinetuneSettings,
) -> DivergedError:
    place = f"{phase}, layer {layer}, epoch {epoch}" if layer else f"{phase}, epoch {epoch}"
    return DivergedError(
        f"diverged in {place}: {what}; lower {phase}.learning_rate (now {settings.learning_rate:g})"
    )
