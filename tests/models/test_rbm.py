"""The RBM against exact enumeration of all its states, in float64."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from dae_cli.models.autoencoder import Autoencoder
from dae_cli.models.rbm import Draw, GibbsMinibatch, Rbm

D, HIDDEN, COPIES = 4, 3, 60_000
BY_CHANCE = 0.006
"""Five standard deviations of a mean over three times as many rows, of numbers in [0, 1]."""

Update = dict[str, Tensor]


def rbm(gibbs_steps: int = 1, sample_visible: bool = True) -> Rbm:
    g = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g, dtype=torch.float64)

    # Weights as large as these, so that the chain forgets slowly enough to tell its lengths apart.
    weight, b, c = 2 * normal(HIDDEN, D), normal(HIDDEN), normal(D)
    return Rbm(weight, b, c, gibbs_steps, sample_visible)


def rows() -> Tensor:
    """Three rows in [0, 1], ends included; a grey value stands for a probability."""
    return torch.tensor(
        [[0.0, 1.0, 0.3, 0.8], [1.0, 1.0, 0.0, 0.0], [0.5, 0.1, 0.9, 1.0]], dtype=torch.float64
    )


def binary_rows() -> Tensor:
    return torch.tensor([[0, 1, 0, 1], [1, 1, 0, 0], [0, 0, 1, 1]], dtype=torch.float64)


def chance(seed: int = 0) -> Draw:
    g = torch.Generator().manual_seed(seed)

    def draw(tensor: Tensor) -> None:
        tensor.copy_(torch.rand(tensor.shape, generator=g, dtype=tensor.dtype))

    return draw


def filled(model: Rbm, clean: Tensor) -> GibbsMinibatch:
    batch = model.minibatch(len(clean))
    batch.clean.copy_(clean)
    return batch


def update(model: Rbm, clean: Tensor, draw: Draw, chains: Tensor | None = None) -> Update:
    """Return what a step at rate 1 adds to each parameter, and leave the model as it was."""
    own = {name: tensor.clone() for name, tensor in model.parameters().items()}
    moved = Rbm(**own, gibbs_steps=model.gibbs_steps, sample_visible=model.sample_visible)
    moved.descend(filled(moved, clean), 1.0, draw, chains=chains)
    after, before = moved.parameters(), model.parameters()
    return {name: after[name] - before[name] for name in before}


# Enumeration


def states(units: int) -> Tensor:
    """Every state of so many binary units, (2^units, units)."""
    return torch.tensor(list(itertools.product((0, 1), repeat=units)), dtype=torch.float64)


def conditional(units: Tensor, on: Tensor) -> Tensor:
    """P(units | on): units (u, n) are states, on (r, n) probabilities of each; (r, u)."""
    each = units * on[:, None] + (1 - units) * (1 - on[:, None])
    return each.prod(2)


def hidden_on(model: Rbm, visible: Tensor) -> Tensor:
    return torch.sigmoid(visible @ model.weight.T + model.hidden_bias)


def visible_on(model: Rbm, hidden: Tensor) -> Tensor:
    return torch.sigmoid(hidden @ model.weight + model.visible_bias)


def gibbs_step(model: Rbm, visible: Tensor) -> Tensor:
    """P(v' | v) of one step from given rows to every visible state, (r, 2^D)."""
    up = conditional(states(HIDDEN), hidden_on(model, visible))
    return up @ conditional(states(D), visible_on(model, states(HIDDEN)))


def statistics(model: Rbm, visible: Tensor, weights: Tensor) -> Update:
    """The expectations of h vᵀ, h and v over rows with these probabilities."""
    codes = hidden_on(model, visible)
    return {
        "weight": (codes * weights[:, None]).T @ visible,
        "hidden_bias": weights @ codes,
        "visible_bias": weights @ visible,
    }


def difference(model: Rbm, clean: Tensor, negative: Tensor) -> Update:
    """Statistics of the rows less those of visible states with probabilities `negative`."""
    mean = torch.full((len(clean),), 1 / len(clean), dtype=torch.float64)
    data, drawn = statistics(model, clean, mean), statistics(model, states(D), negative)
    return {name: data[name] - drawn[name] for name in data}


def expected_cd(model: Rbm, clean: Tensor, k: int) -> Update:
    """The expectation of the update of CD-k."""
    reached = gibbs_step(model, clean).mean(0)
    for _ in range(k - 1):
        reached = reached @ gibbs_step(model, states(D))
    return difference(model, clean, reached)


def model_distribution(model: Rbm) -> Tensor:
    """P(v) = Σ_h e^(−E(v, h)) / Z over every visible state, from the energy itself."""
    v, h = states(D), states(HIDDEN)
    energy = -(v @ model.visible_bias)[:, None] - h @ model.hidden_bias - v @ model.weight.T @ h.T
    joint = torch.exp(-energy)
    return joint.sum(1) / joint.sum()


def log_likelihood(model: Rbm, data: Tensor) -> float:
    """Mean log P(v) of binary rows."""
    places = (data @ torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=torch.float64)).long()
    return float(model_distribution(model)[places].log().mean())


def likelihood_gradient(model: Rbm, data: Tensor) -> Update:
    """Finite differences of the exact log-likelihood."""
    gradient, step = {}, 1e-5
    for name, parameter in model.parameters().items():
        slope, flat = torch.zeros_like(parameter), parameter.view(-1)
        for k in range(len(flat)):
            kept = flat[k].item()
            flat[k] = kept + step
            above = log_likelihood(model, data)
            flat[k] = kept - step
            below = log_likelihood(model, data)
            flat[k] = kept
            slope.view(-1)[k] = (above - below) / (2 * step)
        gradient[name] = slope
    return gradient


def assert_near(ours: Update, exact: Update, tolerance: float) -> None:
    assert ours.keys() == exact.keys()
    for name, tensor in exact.items():
        torch.testing.assert_close(ours[name], tensor, rtol=0, atol=tolerance, msg=name)


# The update


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_mean_update_of_cd_k_is_the_exact_expectation_over_its_gibbs_chain(k: int) -> None:
    model, clean = rbm(k), rows()
    exact = expected_cd(model, clean, k)
    assert_near(update(model, clean.repeat(COPIES, 1), chance()), exact, BY_CHANCE)
    others = [expected_cd(model, clean, other) for other in (1, 2, 5) if other != k]
    for other in others:  # the test could tell a chain of another length
        assert (other["weight"] - exact["weight"]).abs().max() > 2 * BY_CHANCE


def test_contrastive_divergence_with_many_steps_is_the_gradient_of_the_log_likelihood() -> None:
    model, data = rbm(40), binary_rows()
    gradient = likelihood_gradient(model, data)
    assert_near(expected_cd(model, data, 40), gradient, 1e-7)
    assert_near(update(model, data.repeat(COPIES, 1), chance()), gradient, BY_CHANCE)
    assert (expected_cd(model, data, 1)["weight"] - gradient["weight"]).abs().max() > 2 * BY_CHANCE


def test_one_persistent_step_after_another_comes_to_the_gradient_of_the_log_likelihood() -> None:
    model, data = rbm(), binary_rows().repeat(COPIES, 1)
    gradient, draw = likelihood_gradient(model, binary_rows()), chance()
    chains = model.new_chains(len(data))
    for _ in range(25):
        model.contrast(filled(model, data), draw, chains=chains)
    assert_near(update(model, data, draw, chains), gradient, BY_CHANCE)


def test_persistent_chains_forget_the_example_and_go_on_from_where_they_stood() -> None:
    model, draw = rbm(), chance()
    chains = model.new_chains(3 * COPIES)
    assert not chains.any()
    batch = filled(model, rows().repeat(COPIES, 1))
    reached = torch.zeros(2**HIDDEN, dtype=torch.float64)
    reached[0] = 1.0
    down = conditional(states(D), visible_on(model, states(HIDDEN)))
    up = conditional(states(HIDDEN), hidden_on(model, states(D)))
    for _ in range(3):
        model.contrast(batch, draw, chains=chains)
        reached = reached @ down @ up
        places = (chains @ torch.tensor([4.0, 2.0, 1.0], dtype=torch.float64)).long()
        frequencies = torch.bincount(places, minlength=2**HIDDEN) / len(chains)
        torch.testing.assert_close(frequencies.double(), reached, rtol=0, atol=BY_CHANCE)


def test_a_short_minibatch_moves_as_many_chains_as_it_has_rows() -> None:
    model, chains = rbm(), torch.full((5, HIDDEN), 0.5, dtype=torch.float64)
    model.contrast(filled(model, rows()), chance(), chains=chains)
    assert set(chains[:3].flatten().tolist()) == {0.0, 1.0}
    assert (chains[3:] == 0.5).all()


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("sampled", [True, False])
def test_descending_raises_the_exact_log_likelihood(persistent: bool, sampled: bool) -> None:
    model, data, draw = rbm(sample_visible=sampled), binary_rows().repeat(10, 1), chance()
    chains = model.new_chains(len(data)) if persistent else None
    batch, before = filled(model, data), log_likelihood(model, data)
    for _ in range(3000):
        model.descend(batch, 0.05, draw, chains=chains)
    assert before < -3  # of three patterns, each as frequent, the best is −log 3 = −1.1
    assert log_likelihood(model, data) > -1.5


# The chain


@pytest.mark.parametrize("k", [1, 3])
def test_units_are_sampled_as_zeros_and_ones_with_the_frequencies_of_their_probabilities(
    k: int,
) -> None:
    model, clean = rbm(k), rows()[:1]
    batch = filled(model, clean.repeat(3 * COPIES, 1))
    model.contrast(batch, chance())
    for sampled in (batch.states, batch.visible):
        assert set(sampled.flatten().tolist()) == {0.0, 1.0}
    before = gibbs_step(model, clean)
    for _ in range(k - 1):
        before = before @ gibbs_step(model, states(D))
    torch.testing.assert_close(
        batch.visible.mean(0), (before @ states(D))[0], rtol=0, atol=BY_CHANCE
    )
    assert torch.equal(batch.hidden, model.encode(batch.visible, torch.empty_like(batch.hidden)))


@pytest.mark.parametrize(("bias", "state"), [(1000.0, 1.0), (-1000.0, 0.0)])
def test_a_unit_that_is_certain_is_never_sampled_otherwise(bias: float, state: float) -> None:
    model = rbm()
    model.hidden_bias.fill_(bias)
    model.visible_bias.fill_(bias)
    batch = filled(model, rows())
    for uniform in (0.0, 1 - 2.0**-24):  # the least and the most that is ever drawn
        model.contrast(batch, lambda tensor, u=uniform: tensor.fill_(u))  # type: ignore[misc]
        assert (batch.states == state).all() and (batch.visible == state).all()


def test_the_positive_statistics_have_probabilities_and_the_negative_ones_those_of_the_end() -> (
    None
):
    model, clean = rbm(2), rows()
    batch = filled(model, clean)
    model.contrast(batch, chance())
    torch.testing.assert_close(batch.codes, hidden_on(model, clean))
    torch.testing.assert_close(batch.hidden, hidden_on(model, batch.visible))
    torch.testing.assert_close(batch.left, torch.cat([batch.codes, batch.hidden]))
    torch.testing.assert_close(batch.right, torch.cat([clean, batch.visible]))


@pytest.mark.parametrize("k", [1, 3])
def test_without_sampling_the_visible_units_are_probabilities_given_sampled_hidden_ones(
    k: int,
) -> None:
    model, clean = rbm(k, sample_visible=False), rows()
    batch, drawn = filled(model, clean), chance()
    model.contrast(batch, chance())
    visible = clean
    for _ in range(k):
        chances = torch.empty(3, HIDDEN, dtype=torch.float64)
        drawn(chances)  # nothing is drawn in between for the visible units
        visible = visible_on(model, (chances < hidden_on(model, visible)).double())
    torch.testing.assert_close(batch.visible, visible)
    torch.testing.assert_close(batch.hidden, hidden_on(model, visible))


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("k", [1, 4])
def test_the_cost_is_the_cross_entropy_of_the_first_reconstruction_whatever_the_chain(
    k: int, persistent: bool
) -> None:
    model, clean = rbm(k), rows()
    batch = filled(model, clean)
    model.contrast(batch, chance(), chains=model.new_chains(3) if persistent else None)
    chances = torch.empty(3, HIDDEN, dtype=torch.float64)
    chance()(chances)  # the first that were drawn
    first = visible_on(model, (chances < hidden_on(model, clean)).double())
    cost = torch.nn.functional.binary_cross_entropy(first, clean, reduction="sum")
    assert batch.cost.item() == pytest.approx(cost.item(), rel=1e-12)


def test_the_code_passed_upwards_is_that_of_an_autoencoder_with_the_same_w_and_b() -> None:
    model, inputs = rbm(), rows()
    codes = model.encode(inputs, inputs.new_empty(3, HIDDEN))
    torch.testing.assert_close(codes, torch.sigmoid(inputs @ model.weight.T + model.hidden_bias))
    twin = Autoencoder(model.weight, model.hidden_bias, model.visible_bias)
    assert torch.equal(codes, twin.encode(inputs, inputs.new_empty(3, HIDDEN)))


def test_nothing_decays_and_a_step_is_the_mean_over_the_minibatch() -> None:
    # Where chain and data agree in every unit there is nothing to learn, whatever the weights.
    model, rate = rbm(), 0.5
    model.hidden_bias.fill_(1000.0)
    model.visible_bias.fill_(1000.0)
    batch = filled(model, torch.ones(7, D, dtype=torch.float64))
    before = {name: tensor.clone() for name, tensor in model.parameters().items()}
    model.descend(batch, rate, chance())
    assert_near(model.parameters(), before, 1e-12)
    model = rbm()
    once, twice = (update(model, rows().repeat(n, 1), _same_for(n)) for n in (1, 2))
    assert_near(twice, once, 1e-12)


def _same_for(copies: int) -> Draw:
    """Chances that are the same for every copy of the rows."""
    draw = chance()

    def repeated(tensor: Tensor) -> None:
        few = tensor.new_empty(len(tensor) // copies, tensor.shape[1])
        draw(few)
        tensor.copy_(few.repeat(copies, 1))

    return repeated
