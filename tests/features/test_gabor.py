"""The fit finds the Gabor a filter was made of, whatever its place, and nothing in noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dae_cli.errors import DaeError
from dae_cli.features.gabor import GaborFit, fit_gabors
from dae_cli.features.gabor_equation import normal_equations, squared_error
from tests.features.shapes import angle_between, bell, gabor, noise, turned

Array = NDArray[np.float64]


def fit(filters: Array) -> GaborFit:
    (found,) = fit_gabors(filters)
    return found


def random_gabors(units: int, side: int, seed: int) -> tuple[list[dict[str, float]], Array]:
    """Gabors of at least half a cycle within ±σ, their envelope's middle well on the tile."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(units):
        across = random.uniform(1.3, side / 5)
        made.append(
            {
                "orientation": random.uniform(0, 180),
                "frequency": random.uniform(0.4, 0.8) / across / 1.2,
                "across": across,
                "along": random.uniform(1.3, side / 4),
                "row": random.uniform(side / 3, 2 * side / 3),
                "column": random.uniform(side / 3, 2 * side / 3),
                "phase": random.uniform(-179, 179),
            }
        )
    return made, np.concatenate([gabor(side, **values) for values in made])


@pytest.mark.parametrize(("side", "units"), [(12, 60), (28, 12)])
def test_the_parameters_of_random_gabors_are_found_again(side: int, units: int) -> None:
    made, filters = random_gabors(units, side, seed=side)
    for values, found in zip(made, fit_gabors(filters), strict=True):
        assert found.explained_variance > 0.999999
        assert found.amplitude == pytest.approx(1.0, rel=0.01)
        assert angle_between(found.orientation_degrees, values["orientation"]) < 0.1
        assert found.carrier_cycles_per_pixel == pytest.approx(values["frequency"], rel=0.01)
        assert found.envelope_across_stripes_pixels == pytest.approx(values["across"], rel=0.01)
        assert found.envelope_along_stripes_pixels == pytest.approx(values["along"], rel=0.01)
        assert found.centre_row == pytest.approx(values["row"], abs=0.02)
        assert found.centre_column == pytest.approx(values["column"], abs=0.02)
        turn = found.phase_degrees - values["phase"]
        assert abs((turn + 180) % 360 - 180) < 1.0


@pytest.mark.parametrize("share", [0.05, 0.15, 0.4])
def test_what_noise_takes_of_the_energy_is_not_explained(share: float) -> None:
    made, filters = random_gabors(30, 12, seed=3)
    filters /= np.linalg.norm(filters, axis=1, keepdims=True)
    disturbance = noise(30, seed=4)
    # Without a part along the Gabor the shares add up to one exactly.
    disturbance -= (disturbance * filters).sum(axis=1, keepdims=True) * filters
    disturbance /= np.linalg.norm(disturbance, axis=1, keepdims=True)
    found = fit_gabors(np.sqrt(1 - share) * filters + np.sqrt(share) * disturbance)
    explained = np.array([one.explained_variance for one in found])
    # Eight parameters of 144 take up a little of the noise, never less than the true ones do.
    assert (explained > 1 - share - 1e-6).all()
    assert explained.mean() == pytest.approx(1 - share * (1 - 8 / 144), abs=0.03 * share)
    if share > 0.2:
        return  # too much for the parameters of a small Gabor
    for values, one in zip(made, found, strict=True):
        assert angle_between(one.orientation_degrees, values["orientation"]) < 60 * share**0.5
        assert one.carrier_cycles_per_pixel == pytest.approx(
            values["frequency"], rel=0.6 * share**0.5
        )


def test_explained_variance_is_of_all_energy_with_no_mean_taken_off() -> None:
    # A checkerboard of constant size on top: orthogonal to the slow Gabor, half of its energy.
    slow = gabor(frequency=0.1, across=3, along=3)
    board = (-1.0) ** np.add.outer(np.arange(12), np.arange(12)).reshape(1, -1)
    board *= np.linalg.norm(slow) / np.linalg.norm(board) / np.sqrt(2)
    assert fit(slow + board).explained_variance == pytest.approx(1 / 1.5, abs=0.01)


def test_white_noise_of_144_pixels_stays_far_below_what_is_called_explained() -> None:
    explained = [found.explained_variance for found in fit_gabors(noise(200))]
    assert max(explained) < 0.4
    assert 0.08 < float(np.median(explained)) < 0.25


def test_a_single_bright_pixel_is_narrower_than_any_envelope() -> None:
    dot = np.zeros((1, 144))
    dot[0, 66] = 1.0
    found = fit(dot)
    assert found.explained_variance < 0.9
    assert found.envelope_along_stripes_pixels == pytest.approx(0.75)
    assert found.weaker_sign_share < 0.1


def test_a_bell_is_fitted_with_one_sign_and_prefers_frequency_zero() -> None:
    found = fit(bell(12, 1.7, 5.2, 6.1))
    assert found.explained_variance > 0.98
    assert found.weaker_sign_share < 0.02
    assert found.frequency_cycles_per_pixel < 0.01


def test_the_preferred_frequency_of_an_edge_is_that_of_its_lobes_not_of_a_carrier() -> None:
    # The derivative of a bell of σ peaks at 1 / (2πσ); as a Gabor its carrier is as good as 0.
    edge = gabor(orientation=90, frequency=0.001, across=1.8, along=2.0, phase=-90)
    assert fit(edge).explained_variance > 0.99
    expected = 1 / (2 * np.pi * 1.8)
    assert fit(edge).frequency_cycles_per_pixel == pytest.approx(expected, rel=0.05)


def test_an_endless_grating_fills_the_tile_and_an_edge_detector_does_not() -> None:
    grating = fit(gabor(frequency=0.21, across=1e3, along=1e3))
    assert grating.explained_variance > 0.97
    assert grating.coverage > 0.8
    assert grating.cycles > 2
    detector = fit(gabor(frequency=0.2, across=2, along=2))
    assert detector.coverage < 0.2
    assert detector.cycles == pytest.approx(0.2 * 2.355 * 2, abs=0.25)


def test_stripes_that_rise_to_the_right_have_45_degrees_and_those_that_stand_90() -> None:
    rising = np.fliplr(np.eye(12)) - np.fliplr(np.eye(12, k=1))
    standing, lying = np.zeros((12, 12)), np.zeros((12, 12))
    standing[3:9, 5], standing[3:9, 6] = 1, -1
    lying[5, 3:9], lying[6, 3:9] = 1, -1
    found = fit_gabors(np.stack([rising.ravel(), standing.ravel(), lying.ravel()]))
    for one, expected in zip(found, (45.0, 90.0, 0.0), strict=True):
        assert angle_between(one.orientation_degrees, expected) < 1


def test_a_bright_stripe_in_the_middle_has_phase_0_and_its_negative_180() -> None:
    stripe = gabor(phase=0)
    assert fit(stripe).phase_degrees == pytest.approx(0, abs=0.5)
    assert abs(fit(-stripe).phase_degrees) == pytest.approx(180, abs=0.5)


def same_but(found: GaborFit, other: GaborFit) -> None:
    """What turning, moving, scaling and negating leave as it is."""
    for name in (
        "explained_variance",
        "frequency_cycles_per_pixel",
        "envelope_across_stripes_pixels",
        "envelope_along_stripes_pixels",
        "weaker_sign_share",
    ):
        assert getattr(found, name) == pytest.approx(getattr(other, name), abs=2e-3), name


@settings(max_examples=12)
@given(
    orientation=st.floats(0, 180),
    frequency=st.floats(0.16, 0.3),
    phase=st.floats(-180, 180),
    seed=st.integers(0, 1000),
)
def test_turning_and_negating_a_filter_turn_and_negate_its_fit(
    orientation: float, frequency: float, phase: float, seed: int
) -> None:
    shape = gabor(orientation=orientation, frequency=frequency, phase=phase, row=4.7)
    filters = shape + 0.05 * noise(1, seed=seed)
    copies = [filters, *(turned(filters, turns) for turns in (1, 2, 3)), -filters]
    found, *others, negated = fit_gabors(np.concatenate(copies))
    for turns, other in enumerate(others, 1):
        same_but(found, other)
        assert (
            angle_between(other.orientation_degrees, found.orientation_degrees + 90 * turns) < 0.2
        )
    same_but(found, negated)
    assert angle_between(negated.orientation_degrees, found.orientation_degrees) < 1e-6
    assert abs((negated.phase_degrees - found.phase_degrees) % 360 - 180) < 1e-6


def test_scaling_a_filter_scales_the_amplitude_alone() -> None:
    filters, factors = gabor() + 0.05 * noise(1), (1e-150, 1e-30, 7.0, 1e30)
    found, *others = fit_gabors(np.concatenate([filters, *(filters * k for k in factors)]))
    for factor, scaled in zip(factors, others, strict=True):
        same_but(found, scaled)
        assert scaled.amplitude == pytest.approx(found.amplitude * factor, rel=1e-3)


def test_moving_a_filter_by_whole_pixels_moves_the_centre_alone() -> None:
    here, there = gabor(28, row=12, column=12), gabor(28, row=15, column=10)
    found, moved = fit_gabors(np.concatenate([here, there]))
    same_but(found, moved)
    assert moved.centre_row - found.centre_row == pytest.approx(3, abs=0.01)
    assert moved.centre_column - found.centre_column == pytest.approx(-2, abs=0.01)


def test_a_units_fit_does_not_depend_on_the_units_beside_it() -> None:
    _, filters = random_gabors(9, 12, seed=5)
    filters += 0.1 * noise(9)
    together = fit_gabors(np.concatenate([filters, noise(30, seed=2)]))[:9]
    for alone, one in zip(filters, together, strict=True):
        same_but(fit(alone[None]), one)


def test_the_derivatives_are_those_of_the_squared_error() -> None:
    random = np.random.default_rng(1)
    filters = random.standard_normal((5, 144))
    low = [2.0, 2.0, 0.2, 0.2, np.log(0.1), 0.0]
    high = [9.0, 9.0, 1.0, 1.0, np.log(0.4), 3.0]
    parameters = random.uniform(low, high, (5, 6))
    curvature, slope = normal_equations(parameters, filters, 12)
    for k in range(6):
        step = 1e-5 * np.eye(6)[k]
        ahead = squared_error(parameters + step, filters, 12)
        behind = squared_error(parameters - step, filters, 12)
        assert -2 * slope[:, k] == pytest.approx((ahead - behind) / 2e-5, rel=1e-4, abs=1e-5)
    assert (np.linalg.eigvalsh(curvature) > -1e-9).all()


def test_a_unit_without_weights_has_no_fit() -> None:
    filters = np.concatenate([gabor(), np.zeros((1, 144))])
    with pytest.raises(DaeError, match=r"unit 1: all weights are 0.*leave out"):
        fit_gabors(filters)


def test_no_units_have_no_fits() -> None:
    assert fit_gabors(np.zeros((0, 144))) == []
