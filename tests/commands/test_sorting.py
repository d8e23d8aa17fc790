"""What `--sort` does: the largest first, ties and NaN in a fixed order."""

from __future__ import annotations

import numpy as np
import pytest

from dae_cli.commands import sorting
from dae_cli.commands.sorting import SortBy, order_of, words_for
from dae_cli.errors import DaeError

WEIGHTS = np.array([[3, 4, 0, 0], [0, 0, 0, 6], [-5, 0, 0, 0], [1, 1, 1, 1]], np.float32)


def test_by_unit_nothing_moves_and_nothing_is_said() -> None:
    assert order_of(WEIGHTS, SortBy.unit) is None
    assert words_for(SortBy.unit) == ""


def test_by_strength_the_largest_norm_comes_first_and_of_equals_the_lower_unit() -> None:
    assert order_of(WEIGHTS, SortBy.strength) == [1, 0, 2, 3]
    assert words_for(SortBy.strength) == "sorted by the norm of the weights, largest first"


def test_every_choice_has_a_measure_and_what_cannot_be_measured_comes_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert set(sorting._MEASURES) == set(SortBy) - {SortBy.unit}
    fit = sorting._Measure("the fit", lambda weights: np.array([np.nan, 0.1, 0.9, np.nan]))
    monkeypatch.setitem(sorting._MEASURES, SortBy.strength, fit)
    assert order_of(WEIGHTS, SortBy.strength) == [2, 1, 0, 3]


@pytest.mark.parametrize("sort", ["gabor", "extent", "locality", "orientation"])
def test_by_a_measure_of_the_eye_a_stripe_comes_before_noise(sort: str) -> None:
    random = np.random.default_rng(0)
    down, across = np.mgrid[:12, :12] - 5.5
    wave = np.exp(-(down**2 + across**2) / 8) * np.cos(2 * np.pi * 0.15 * across)
    weights = np.stack([random.standard_normal(144), wave.ravel(), random.standard_normal(144)])
    order = order_of(weights, SortBy(sort))
    assert order is not None
    assert order[0] == 1


def test_units_of_a_run_that_diverged_are_not_put_out_of_sight() -> None:
    weights = WEIGHTS.copy()
    weights[3, 0] = np.nan
    with pytest.raises(DaeError, match="unit 3"):
        order_of(weights, SortBy.strength)
