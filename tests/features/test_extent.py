"""The area of the strongest spot, against areas that are known."""

from __future__ import annotations

import numpy as np
import pytest

from dae_cli.features.extent import extent
from tests.features.shapes import bell, gabor, noise, turned


@pytest.mark.parametrize("sigma", [1.2, 2.0, 3.1])
@pytest.mark.parametrize("middle", [13.5, 14.0, 12.8])
def test_a_bell_reaches_down_to_half_of_its_height(sigma: float, middle: float) -> None:
    (area,) = extent(bell(28, sigma, middle, middle))
    assert area == pytest.approx(2 * np.pi * np.log(2) * sigma**2, rel=0.06)


def test_areas_are_finer_than_whole_pixels_and_grow_with_the_spot() -> None:
    sigmas = np.linspace(1.2, 1.7, 26)
    areas = extent(np.concatenate([bell(28, sigma, 14, 13.6) for sigma in sigmas]))
    assert (np.diff(areas) >= 0).all()
    assert len(set(areas.tolist())) > 15


def test_a_square_of_equal_weights_has_its_own_area() -> None:
    square = np.zeros((28, 28))
    square[8:14, 9:17] = -1.0
    # A spline overshoots at the corners, and half of that peak is reached a little further in.
    assert extent(square.reshape(1, -1)) == pytest.approx(48, rel=0.08)


def test_a_separate_spot_of_the_same_sign_does_not_count() -> None:
    one = bell(28, 1.5, 7, 7)
    assert extent(one + 0.9 * bell(28, 1.5, 20, 20)) == pytest.approx(extent(one), rel=0.01)


def test_a_touching_spot_of_the_other_sign_does_not_count() -> None:
    pair = gabor(28, orientation=90, frequency=0.1, across=3, along=3, phase=60)
    positive = np.maximum(pair, 0)
    assert extent(pair) == pytest.approx(extent(positive), rel=0.15)


def test_the_strongest_weight_may_have_either_sign() -> None:
    light, dark = bell(28, 1.5, 7, 7), bell(28, 3.0, 18, 18)
    assert extent(light - 0.8 * dark) == pytest.approx(extent(light), rel=0.01)
    assert extent(0.8 * light - dark) == pytest.approx(extent(dark), rel=0.01)


def test_a_stroke_is_larger_than_a_blob_as_wide() -> None:
    blob, stroke = extent(np.concatenate([bell(28, 1.2, 14, 14), bell(28, 1.2, 14, 14, 4.0)]))
    assert stroke == pytest.approx(4 * blob, rel=0.1)


def test_turning_scaling_and_negating_leave_it_as_it_is() -> None:
    filters = noise(8, 28) + 3 * bell(28, 2, 10, 17)
    expected = extent(filters).tolist()
    assert extent(turned(filters)).tolist() == expected
    assert extent(-1e-60 * filters).tolist() == expected


def test_a_spot_at_the_border_has_the_part_that_is_on_the_tile() -> None:
    inside, half = extent(np.concatenate([bell(28, 2, 14, 14), bell(28, 2, 14, -0.5)]))
    assert half == pytest.approx(inside / 2, rel=0.1)


def test_a_unit_without_weights_has_none() -> None:
    areas = extent(np.concatenate([np.zeros((1, 784)), noise(1, 28)]))
    assert np.isnan(areas).tolist() == [True, False]
