"""The share of the energy in the best window, against looking at every window."""

from __future__ import annotations

import numpy as np
import pytest

from dae_cli.errors import DaeError
from dae_cli.features.locality import default_window, locality
from tests.features.shapes import bell, gabor, noise, turned


@pytest.mark.parametrize(("side", "window"), [(5, 1), (12, 4), (12, 6), (13, 6), (28, 14), (9, 9)])
def test_the_best_window_is_that_found_by_looking_at_all(side: int, window: int) -> None:
    filters = noise(6, side)
    places = range(side - window + 1)
    for tile, share in zip(filters.reshape(-1, side, side), locality(filters, window), strict=True):
        best = max(
            (tile[row : row + window, column : column + window] ** 2).sum()
            for row in places
            for column in places
        )
        assert share == pytest.approx(best / (tile**2).sum(), rel=1e-12)


def test_the_window_is_half_of_the_side_unless_given() -> None:
    assert (default_window(12), default_window(28), default_window(13)) == (6, 14, 6)
    filters = noise(3)
    assert locality(filters).tolist() == locality(filters, 6).tolist()


def test_a_small_spot_is_all_in_the_window_and_even_weights_a_quarter() -> None:
    filters = np.concatenate([bell(12, 1.0, 3, 8), np.ones((1, 144)), gabor(across=1.4, along=1.4)])
    spot, even, detector = locality(filters)
    assert spot > 0.99
    assert even == pytest.approx(0.25)
    assert detector > 0.9


def test_turning_scaling_and_negating_leave_it_as_it_is() -> None:
    filters = noise(10) * np.linspace(1e-90, 3, 10)[:, None]
    expected = pytest.approx(locality(filters), rel=1e-12)
    assert locality(turned(filters)) == expected
    assert locality(-5 * filters) == expected


def test_a_unit_without_weights_has_none() -> None:
    shares = locality(np.concatenate([np.zeros((1, 144)), noise(1)]))
    assert np.isnan(shares).tolist() == [True, False]


@pytest.mark.parametrize("window", [0, -1, 13])
def test_a_window_that_does_not_fit_is_refused(window: int) -> None:
    with pytest.raises(ValueError, match=f"a window of {window} pixels: expected 1 to 12"):
        locality(noise(1), window)


def test_weights_that_are_no_tiles_are_refused() -> None:
    with pytest.raises(DaeError, match=r"\(3, 143\) are no square tiles"):
        locality(np.ones((3, 143)))
