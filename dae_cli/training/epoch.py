"""One epoch, or what is left of it: its minibatches, one step each, and its cost.

An epoch may be left after any step and gone on with later, to the same bits: the order of the
rows is drawn from its own stream again (streams.py), and the cost so far and the state of the
noise's generator are kept (`Interim`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dae_cli.training.batches import Total, batches
from dae_cli.training.divergence import Place
from dae_cli.training.hooks import Hooks
from dae_cli.training.state import Interim, TrainingState

TakeStep = Callable[[NDArray[np.intp]], None]


def present(
    order: NDArray[np.intp],
    batch_size: int,
    take_step: TakeStep,
    *,
    total: Total,
    noise: np.random.Generator | None = None,
    state: TrainingState,
    place: Place,
    hooks: Hooks,
) -> float:
    """Take a step on each minibatch that is still to come and return the epoch's mean cost.

    Args:
        order: all rows of the epoch, in the order they are presented.
        batch_size: rows of a minibatch; the last one may be shorter.
        take_step: presents the rows it is given and adds their cost to `total`.
        total: the cost of the rows presented.
        noise: the generator of the corruption or the Gibbs chain, at the start of its stream.
        state: `state.interim` tells where the epoch was left; None afterwards.
        place: for messages.
        hooks: asked after each step whether the state is to be kept.

    Raises:
        DivergedError: the cost or a parameter is no longer finite.
    """
    begun = state.interim or Interim()
    total.start(begun.cost)
    if noise is not None and begun.noise is not None:
        noise.bit_generator.state = begun.noise.as_numpy()
    left = order[begun.steps * batch_size :]
    for steps, chosen in enumerate(batches(left, batch_size), start=begun.steps + 1):
        take_step(chosen)
        if not math.isfinite(total.on_cpu):
            break
        if hooks.due():
            cost = place.checked_cost(total.value())
            place.check_parameters(state.tensors().values())
            state.interim = Interim.at(steps, cost, noise)
            hooks.keep(state)
    state.interim = None
    cost = place.checked_cost(total.value()) / len(order)
    place.check_parameters(state.tensors().values())
    return cost
