"""The RBM compared with an exact enumeration of its states, in double precision."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor

from tests.entry_points.equations import RbmSteps

pytestmark = pytest.mark.usefixtures("one_thread")

Parameters = dict[str, Tensor]
Draw = Callable[[tuple[int, ...]], Tensor]

D, HIDDEN, COPIES = 4, 3, 60_000
BY_CHANCE = 0.006
"""Five standard deviations of the mean of 3 · COPIES numbers in [0, 1]."""


def parameters() -> Parameters:
    g = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g, dtype=torch.float64)

    # Large weights, so that the chain mixes slowly and chains of different length differ.
    weight, hidden_bias, visible_bias = 2 * normal(HIDDEN, D), normal(HIDDEN), normal(D)
    return {"weight": weight, "hidden_bias": hidden_bias, "visible_bias": visible_bias}


def rows() -> Tensor:
    """Three rows in [0, 1], including 0 and 1; grey values are probabilities."""
    return torch.tensor(
        [[0.0, 1.0, 0.3, 0.8], [1.0, 1.0, 0.0, 0.0], [0.5, 0.1, 0.9, 1.0]], dtype=torch.float64
    )


def chance(seed: int = 0) -> Draw:
    g = torch.Generator().manual_seed(seed)
    return lambda shape: torch.rand(shape, generator=g, dtype=torch.float64)


def moved(steps: RbmSteps, clean: Tensor, draw: Draw) -> Parameters:
    """Take a step with learning rate 1 and return the change of each parameter."""
    before = steps.parameters
    steps.take(clean, draw, 1.0)
    return {name: tensor - before[name] for name, tensor in steps.parameters.items()}


def near(ours: Parameters, exact: Parameters, tolerance: float = 1e-12) -> None:
    assert ours.keys() == exact.keys()
    for name, tensor in exact.items():
        torch.testing.assert_close(ours[name], tensor, rtol=0, atol=tolerance)


# Enumeration


def states(units: int) -> Tensor:
    """All states of `units` binary units, (2^units, units)."""
    return torch.tensor(list(product((0, 1), repeat=units)), dtype=torch.float64)


def conditional(units: Tensor, on: Tensor) -> Tensor:
    """Probability of each state (u, n) under unit probabilities `on` (r, n); returns (r, u)."""
    each = units * on[:, None] + (1 - units) * (1 - on[:, None])
    return each.prod(2)


def hidden_on(p: Parameters, visible: Tensor) -> Tensor:
    return torch.sigmoid(visible @ p["weight"].T + p["hidden_bias"])


def visible_on(p: Parameters, hidden: Tensor) -> Tensor:
    return torch.sigmoid(hidden @ p["weight"] + p["visible_bias"])


def gibbs_step(p: Parameters, visible: Tensor) -> Tensor:
    """P(v' | v) of one Gibbs step from the given rows to every visible state, (r, 2^D)."""
    up = conditional(states(HIDDEN), hidden_on(p, visible))
    return up @ conditional(states(D), visible_on(p, states(HIDDEN)))


def statistics(p: Parameters, visible: Tensor, weights: Tensor) -> Parameters:
    """The expectations of h vᵀ, h and v over rows with the given probabilities."""
    on = hidden_on(p, visible)
    return {
        "weight": (on * weights[:, None]).T @ visible,
        "hidden_bias": weights @ on,
        "visible_bias": weights @ visible,
    }


def expected_cd(p: Parameters, clean: Tensor, k: int) -> Parameters:
    """The expected update of CD-k: statistics of the rows minus those of the chain."""
    reached = gibbs_step(p, clean).mean(0)
    for _ in range(k - 1):
        reached = reached @ gibbs_step(p, states(D))
    mean = torch.full((len(clean),), 1 / len(clean), dtype=torch.float64)
    data, drawn = statistics(p, clean, mean), statistics(p, states(D), reached)
    return {name: data[name] - drawn[name] for name in data}


# The update


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_mean_update_of_cd_k_is_the_exact_expectation_over_its_gibbs_chain(k: int) -> None:
    p, clean = parameters(), rows()
    exact = expected_cd(p, clean, k)
    steps = RbmSteps(p, gibbs_steps=k)
    near(moved(steps, clean.repeat(COPIES, 1), chance()), exact, BY_CHANCE)
    for other in {1, 2, 5} - {k}:  # the test detects chains of another length
        far = expected_cd(p, clean, other)["weight"] - exact["weight"]
        assert far.abs().max() > 2 * BY_CHANCE


def test_a_unit_that_is_certain_is_never_sampled_otherwise() -> None:
    p, most = parameters(), 1 - 2.0**-24  # the largest number that is ever drawn
    for (bias, state), uniform in product(((1000.0, 1.0), (-1000.0, 0.0)), (0.0, most)):
        p["hidden_bias"].fill_(bias)
        p["visible_bias"].fill_(bias)
        steps = RbmSteps(p, gibbs_steps=2, chains=3)
        always = torch.tensor(uniform, dtype=torch.float64)
        update = moved(steps, rows(), always.expand)
        torch.testing.assert_close(update["visible_bias"], rows().mean(0) - state)
        assert steps.chains is not None and (steps.chains == state).all()
