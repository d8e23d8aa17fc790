"""One row a unit, in the order of the units, and the summary of a layer."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from dae_cli.errors import DaeError
from dae_cli.features.intervals import median_interval, wilson
from dae_cli.features.measures import measure
from dae_cli.features.summary import summarise
from tests.features.shapes import bell, gabor, noise

NEVER_NAN = {"unit", "norm", "gabor_like", "grating", "blob"}


def layer() -> np.ndarray:
    """Four detectors, a grating, two blobs, a unit without weights, three of noise."""
    detectors = [gabor(orientation=angle, phase=angle) for angle in (10, 60, 110, 160)]
    grating = [gabor(frequency=0.25, across=1e3, along=1e3)]
    blobs = [bell(12, 1.5, 3, 4), -bell(12, 2.0, 8, 8)]
    return np.concatenate([*detectors, *grating, *blobs, np.zeros((1, 144)), 2 * noise(3)])


def test_each_unit_has_its_row_and_its_kind() -> None:
    rows = measure(layer())
    assert [row.unit for row in rows] == list(range(11))
    assert [row.gabor_like for row in rows] == [True] * 5 + [False] * 6
    assert [row.grating for row in rows] == [False] * 4 + [True] + [False] * 6
    assert [row.blob for row in rows] == [False] * 5 + [True] * 2 + [False] * 4
    assert [row.orientation_degrees for row in rows[:4]] == pytest.approx(
        [10, 60, 110, 160], abs=0.5
    )


def test_the_rows_are_what_each_measure_says_alone() -> None:
    from dae_cli.features.extent import extent
    from dae_cli.features.locality import locality
    from dae_cli.features.orientation import orientation_selectivity

    rows = measure(noise(4))
    assert [row.locality for row in rows] == locality(noise(4)).tolist()
    assert [row.extent_pixels for row in rows] == extent(noise(4)).tolist()
    selectivity, preferred = orientation_selectivity(noise(4))
    assert [row.orientation_selectivity for row in rows] == selectivity.tolist()
    assert [row.preferred_orientation_degrees for row in rows] == preferred.tolist()
    assert [row.norm for row in rows] == pytest.approx(np.linalg.norm(noise(4), axis=1))


def test_fit_and_spectrum_agree_on_the_orientation() -> None:
    for row in measure(layer())[:5]:
        apart = row.orientation_degrees - row.preferred_orientation_degrees
        assert abs((apart + 90) % 180 - 90) < 6


def test_a_unit_without_weights_is_measured_as_nothing() -> None:
    dead = measure(layer())[7]
    assert (dead.unit, dead.norm) == (7, 0.0)
    assert not (dead.gabor_like or dead.grating or dead.blob)
    rest = {k: v for k, v in dataclasses.asdict(dead).items() if k not in NEVER_NAN}
    assert all(math.isnan(value) for value in rest.values())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite_are_refused_with_their_place(value: float) -> None:
    weights = layer()
    weights[3, 17] = value
    with pytest.raises(DaeError, match=rf"unit 3: the weight of pixel 17 is {value}.*diverged"):
        measure(weights)


@pytest.mark.parametrize("shape", [(144,), (5, 143), (2, 12, 12), (3, 9), (3, 0)])
def test_weights_that_are_no_square_tiles_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DaeError, match="no square tiles") as caught:
        measure(np.ones(shape))
    assert str(shape) in str(caught.value)


def test_single_precision_is_measured_as_double() -> None:
    for one, two in zip(measure(layer().astype(np.float32)), measure(layer()), strict=True):
        assert one.gabor_like == two.gabor_like
        assert one.locality == pytest.approx(two.locality, rel=1e-5, nan_ok=True)
        assert one.explained_variance == pytest.approx(
            two.explained_variance, abs=1e-3, nan_ok=True
        )


def test_the_weights_are_left_as_they_were() -> None:
    weights = layer()
    measure(weights)
    assert (weights == layer()).all()


def test_measuring_twice_gives_the_same_bits() -> None:
    alive = np.delete(layer(), 7, axis=0)
    assert measure(alive) == measure(alive)


def test_shares_count_units_without_weights_and_medians_do_not() -> None:
    rows = measure(layer())
    summary = summarise(rows)
    assert (summary.gabor_like.count, summary.gabor_like.of) == (5, 11)
    assert summary.gabor_like.value == pytest.approx(5 / 11)
    assert summary.gabor_like.interval == wilson(5, 11)
    local = [row.locality for row in rows if row.norm > 0]
    assert (summary.locality.value, summary.locality.of) == (np.median(local), 10)
    assert summary.locality.interval == median_interval(np.array(local))


def test_where_no_unit_has_weights_the_medians_are_of_none() -> None:
    summary = summarise(measure(np.zeros((3, 144))))
    assert (summary.gabor_like.count, summary.gabor_like.of) == (0, 3)
    assert math.isnan(summary.extent_pixels.value)
    assert summary.extent_pixels.of == 0
    assert summary.extent_pixels.interval == (-math.inf, math.inf)


def test_no_units_have_no_summary() -> None:
    assert measure(np.zeros((0, 144))) == []
    with pytest.raises(ValueError, match="no units to summarise"):
        summarise([])
