"""Selectivity is 1 for stripes and 0 for what looks alike all round, wherever it lies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dae_cli.features.orientation import orientation_selectivity
from tests.features.shapes import angle_between, bell, gabor, noise, turned


@given(orientation=st.floats(0, 180), phase=st.floats(-180, 180))
def test_stripes_prefer_the_orientation_they_lie_at(orientation: float, phase: float) -> None:
    stripes = gabor(28, orientation=orientation, phase=phase, across=4, along=4)
    (selectivity,), (preferred,) = orientation_selectivity(stripes)
    assert selectivity > 0.9
    assert angle_between(preferred, orientation) < 1


def test_a_round_bell_and_a_checkerboard_have_no_orientation() -> None:
    board = (-1.0) ** np.add.outer(np.arange(12), np.arange(12)).reshape(1, -1)
    filters = np.concatenate([bell(12, 1.5, 5.5, 5.5), board, np.ones((1, 144))])
    assert orientation_selectivity(filters)[0].max() < 1e-9


def test_a_long_bell_prefers_the_way_it_lies() -> None:
    (selectivity,), (preferred,) = orientation_selectivity(bell(12, 1.0, 5.5, 5.0, stretch=3.0))
    # (3 − 1) / (3 + 1) for a bell three times as long as wide.
    assert selectivity == pytest.approx(0.5, abs=0.01)
    assert preferred == pytest.approx(90)


def test_crossed_stripes_of_equal_strength_cancel() -> None:
    crossed = gabor(orientation=20, phase=0) + gabor(orientation=110, phase=0)
    assert orientation_selectivity(crossed)[0] < 0.02


def test_noise_is_hardly_selective() -> None:
    selectivity, _ = orientation_selectivity(noise(200))
    assert np.median(selectivity) < 0.12
    assert selectivity.max() < 0.35


def test_a_quarter_turn_turns_the_preferred_orientation_and_no_more() -> None:
    filters = noise(20)
    selectivity, preferred = orientation_selectivity(filters)
    other, turned_to = orientation_selectivity(turned(filters))
    assert other == pytest.approx(selectivity, rel=1e-9)
    assert [angle_between(a, b) for a, b in zip(turned_to, preferred, strict=True)] == (
        pytest.approx([90] * 20, abs=1e-6)
    )


def test_mirroring_left_to_right_mirrors_the_preferred_orientation() -> None:
    filters = noise(20)
    mirrored = filters.reshape(-1, 12, 12)[:, :, ::-1].reshape(20, -1)
    selectivity, preferred = orientation_selectivity(filters)
    other, mirrored_to = orientation_selectivity(mirrored)
    assert other == pytest.approx(selectivity, rel=1e-9)
    for one, two in zip(preferred, mirrored_to, strict=True):
        assert angle_between(one, -two) < 1e-6


def test_it_does_not_depend_on_where_the_shape_lies() -> None:
    shape = noise(1, 5).reshape(5, 5)
    here, there = np.zeros((12, 12)), np.zeros((12, 12))
    here[:5, :5], there[6:11, 3:8] = shape, -2 * shape
    selectivity, preferred = orientation_selectivity(np.stack([here.ravel(), there.ravel()]))
    # The sums leave out frequency 0 only, which moving does not change.
    assert selectivity[0] == pytest.approx(selectivity[1], rel=1e-9)
    assert preferred[0] == pytest.approx(preferred[1], rel=1e-9)


def test_orientations_are_from_0_up_to_180() -> None:
    filters = np.concatenate([gabor(orientation=angle) for angle in (0, 180, 179.999, 90)])
    _, preferred = orientation_selectivity(filters)
    assert ((preferred >= 0) & (preferred < 180)).all()


def test_a_unit_without_weights_has_neither() -> None:
    selectivity, preferred = orientation_selectivity(np.zeros((2, 144)))
    assert np.isnan(selectivity).all()
    assert np.isnan(preferred).all()
