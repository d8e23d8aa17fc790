"""Measures of synthetic Gabors, gratings, blobs and noise, and known intervals."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.entry_points.filters import (
    DaeError,
    UnitMeasures,
    fit_gabors,
    measure,
    median_interval,
    summarise,
    wilson,
)

Array = NDArray[np.float64]
FITTED = (
    *("explained_variance", "frequency_cycles_per_pixel", "orientation_degrees"),
    *("envelope_across_stripes_pixels", "envelope_along_stripes_pixels", "weaker_sign_share"),
)
"""The fields of each unit's row that come from the fit."""


def gabor(
    side: int = 12,
    *,
    orientation: float = 30.0,
    frequency: float = 0.2,
    across: float = 2.0,
    along: float = 2.5,
    row: float | None = None,
    column: float | None = None,
    phase: float = 40.0,
) -> Array:
    """A Gabor with stripes at `orientation` as one row of weights; angles in degrees."""
    u, v = axes_of(side, orientation, row, column)
    envelope = np.exp(-(u**2) / (2 * across**2) - v**2 / (2 * along**2))
    wave = np.cos(2 * np.pi * frequency * u + np.radians(phase))
    return np.asarray((envelope * wave).reshape(1, -1), dtype=np.float64)


def axes_of(
    side: int, orientation: float, row: float | None = None, column: float | None = None
) -> tuple[Array, Array]:
    """Coordinates of every pixel across and along the stripes; across is clockwise of along."""
    middle = (side - 1) / 2
    rows, columns = np.mgrid[:side, :side]
    right = columns - (middle if column is None else column)
    up = (middle if row is None else row) - rows
    angle = np.radians(orientation)
    sine, cosine = np.sin(angle), np.cos(angle)
    return right * sine - up * cosine, right * cosine + up * sine


def bell(side: int, sigma: float, row: float, column: float, stretch: float = 1.0) -> Array:
    """A round bell, or one stretched along the columns, as one row of weights."""
    rows, columns = np.mgrid[:side, :side]
    square = ((rows - row) / stretch) ** 2 + (columns - column) ** 2
    return np.asarray(np.exp(-square / (2 * sigma**2)).reshape(1, -1), dtype=np.float64)


def board() -> Array:
    """A checkerboard."""
    return (-1.0) ** np.add.outer(np.arange(12), np.arange(12)).reshape(1, -1)


def turned(filters: Array, quarter_turns: int = 1) -> Array:
    """Rotate each filter counter-clockwise."""
    side = math.isqrt(filters.shape[1])
    tiles = filters.reshape(-1, side, side)
    return np.rot90(tiles, quarter_turns, axes=(1, 2)).reshape(len(filters), -1)


def noise(units: int, side: int = 12, seed: int = 0) -> Array:
    """White noise."""
    return np.random.default_rng(seed).standard_normal((units, side * side))


def disturbed(share: float) -> Array:
    """A Gabor plus noise with a given share of its norm."""
    return gabor() / np.linalg.norm(gabor()) + share * noise(1) / np.linalg.norm(noise(1))


def apart(left: float, right: float) -> float:
    """Angle between two orientations, 0 to 90 degrees."""
    return abs((left - right + 90) % 180 - 90)


def kinds(filters: Array) -> list[str]:
    """The class of each filter, from all of its class flags."""
    names = ("gabor_like", "grating", "blob")
    return [" ".join(n for n in names if getattr(row, n)) for row in measure(filters)]


def random_gabors(units: int, side: int, seed: int) -> tuple[list[dict[str, float]], Array]:
    """Gabors with at least half a cycle within ±σ and their centre well inside the tile."""
    names = ("orientation", "frequency", "across", "along", "row", "column", "phase")
    low = [0, 0.33, 1.3, 1.3, side / 3, side / 3, -179]
    high = [180, 0.66, side / 5, side / 4, 2 * side / 3, 2 * side / 3, 179]
    values = np.random.default_rng(seed).uniform(low, high, (units, 7))
    values[:, 1] /= values[:, 2]  # cycles within σ
    shapes = [dict(zip(names, map(float, row), strict=True)) for row in values]
    return shapes, np.concatenate([gabor(side, **shape) for shape in shapes])


# The fit of a Gabor


def test_the_parameters_of_synthetic_gabors_are_found_again() -> None:
    for side, units in ((12, 24), (28, 2)):
        shapes, filters = random_gabors(units, side, seed=side)
        for values, found in zip(shapes, fit_gabors(7.0 * filters), strict=True):
            assert found.explained_variance > 0.999999
            assert found.amplitude == pytest.approx(7.0, rel=2e-3)
            assert apart(found.orientation_degrees, values["orientation"]) < 0.05
            assert found.carrier_cycles_per_pixel == pytest.approx(values["frequency"], rel=2e-3)
            assert found.envelope_across_stripes_pixels == pytest.approx(values["across"], rel=2e-3)
            assert found.envelope_along_stripes_pixels == pytest.approx(values["along"], rel=2e-3)
            assert found.centre_row == pytest.approx(values["row"], abs=5e-3)
            assert found.centre_column == pytest.approx(values["column"], abs=5e-3)
            assert abs((found.phase_degrees - values["phase"] + 180) % 360 - 180) < 0.3
            assert 0 <= found.orientation_degrees < 180
            assert -180 < found.phase_degrees <= 180


def test_what_is_reported_of_the_fitted_gabor_is_so_at_its_pixels() -> None:
    for side, orientation, frequency, across, along, phase in (
        (12, 70.0, 0.16, 1.7, 2.6, 100.0),
        (28, 150.0, 0.1, 5.0, 4.0, -30.0),
    ):
        weights = gabor(side, orientation=orientation, frequency=frequency, across=across,
                        along=along, phase=phase)  # fmt: skip
        (found,) = fit_gabors(weights)
        u, v = axes_of(side, orientation)
        high = np.exp(-(u**2) / (2 * across**2) - v**2 / (2 * along**2)) >= 0.5
        assert found.coverage == pytest.approx(high.mean())
        assert found.cycles == pytest.approx(np.ptp(u[high]) * frequency, rel=5e-3)
        size = np.abs(weights)
        assert found.peak_coverage == pytest.approx((size >= 0.5 * size.max()).mean(), abs=0.015)
        bright = (np.maximum(weights, 0) ** 2).sum() / (weights**2).sum()
        assert found.weaker_sign_share == pytest.approx(min(bright, 1 - bright), abs=1e-3)
        place = np.arange(-2000, 2000) / 20  # pixels
        wave = np.cos(2 * np.pi * frequency * place + np.radians(phase))
        spectrum = np.abs(np.fft.rfft(wave * np.exp(-(place**2) / (2 * across**2)), 400_000))
        peak = spectrum.argmax() / 400_000 * 20
        assert found.frequency_cycles_per_pixel == pytest.approx(peak, abs=1.5e-3)


def test_what_noise_takes_of_the_energy_is_not_explained() -> None:
    shapes, filters = random_gabors(20, 12, seed=7)
    filters /= np.linalg.norm(filters, axis=1, keepdims=True)
    disturbance = noise(20, seed=4)
    # Noise orthogonal to the Gabor: the shares add up to exactly one.
    disturbance -= (disturbance * filters).sum(axis=1, keepdims=True) * filters
    disturbance /= np.linalg.norm(disturbance, axis=1, keepdims=True)
    share = 0.15
    found = fit_gabors(np.sqrt(1 - share) * filters + np.sqrt(share) * disturbance)
    explained = np.array([one.explained_variance for one in found])
    # The 8 fitted parameters explain some of the noise, never less than the true ones do.
    assert (explained > 1 - share - 1e-6).all()
    assert explained.mean() == pytest.approx(1 - share * (1 - 8 / 144), abs=0.03 * share)
    for values, one in zip(shapes, found, strict=True):
        assert apart(one.orientation_degrees, values["orientation"]) < 5
        assert one.carrier_cycles_per_pixel == pytest.approx(values["frequency"], rel=0.08)


def test_white_noise_of_144_pixels_is_of_no_kind_and_far_from_being_explained() -> None:
    found = measure(noise(24))
    explained = [row.explained_variance for row in found]
    assert max(explained) < 0.4
    assert 0.08 < float(np.median(explained)) < 0.25
    assert not any(row.gabor_like or row.grating or row.blob for row in found)
    selective = [row.orientation_selectivity for row in found]
    assert np.median(selective) < 0.12
    assert max(selective) < 0.35


def test_stripes_that_rise_to_the_right_have_45_degrees_and_those_that_stand_90() -> None:
    rising = np.fliplr(np.eye(12)) - np.fliplr(np.eye(12, k=1))
    standing, lying = np.zeros((12, 12)), np.zeros((12, 12))
    standing[3:9, 5], standing[3:9, 6] = 1, -1
    lying[5, 3:9], lying[6, 3:9] = 1, -1
    filters = np.stack([rising.ravel(), standing.ravel(), lying.ravel()])
    for one, expected in zip(measure(filters), (45.0, 90.0, 0.0), strict=True):
        assert apart(one.orientation_degrees, expected) < 1
        assert apart(one.preferred_orientation_degrees, expected) < 1
    bright, dark = fit_gabors(np.concatenate([gabor(phase=0), -gabor(phase=0)]))
    assert bright.phase_degrees == pytest.approx(0, abs=0.5)
    assert abs(dark.phase_degrees) == pytest.approx(180, abs=0.5)


def test_turning_negating_scaling_and_moving_a_filter_change_only_what_they_should() -> None:
    random = np.random.default_rng(2)
    orientation, frequency, phase = random.uniform([0, 0.16, -180], [180, 0.3, 180])
    shape = gabor(orientation=orientation, frequency=frequency, phase=phase, row=4.7)
    shape = shape + 0.05 * random.standard_normal((1, 144))
    factors = (1e-150, 7.0, 1e30)
    copies = [shape, *(turned(shape, turns) for turns in (1, 2, 3)), -shape]
    found, *others = fit_gabors(np.concatenate([*copies, *(shape * k for k in factors)]))
    here, there = gabor(28, row=12, column=12), gabor(28, row=15, column=10)
    before, moved = fit_gabors(np.concatenate([here, there]))
    for name in (*FITTED, "peak_coverage"):
        if name != "orientation_degrees":
            for one, other in ((before, moved), *((found, other) for other in others)):
                assert getattr(other, name) == pytest.approx(getattr(one, name), abs=2e-3), name
    for turns, other in enumerate(others[:3], 1):
        assert apart(other.orientation_degrees, found.orientation_degrees + 90 * turns) < 0.2
    negated, *scaled = others[3:]
    assert apart(negated.orientation_degrees, found.orientation_degrees) < 1e-6
    assert abs((negated.phase_degrees - found.phase_degrees) % 360 - 180) < 1e-6
    for factor, other in zip(factors, scaled, strict=True):
        assert other.amplitude == pytest.approx(found.amplitude * factor, rel=1e-3)
    assert moved.centre_row - before.centre_row == pytest.approx(3, abs=0.01)
    assert moved.centre_column - before.centre_column == pytest.approx(-2, abs=0.01)
    with pytest.raises(DaeError, match=r"unit 1\b"):
        fit_gabors(np.concatenate([gabor(), np.zeros((1, 144)), gabor()]))


# Classes of filters


def test_detectors_gratings_and_blobs_are_distinguished() -> None:
    named = {
        # A step from dark to bright is a full pair of lobes; a slow step is not a grating.
        "step": (gabor(frequency=0.01, across=1.5, along=2, phase=90), "gabor_like"),
        "slow": (gabor(frequency=1 / 12, across=6, along=12, phase=90), "gabor_like"),
        "dark bell": (-bell(12, 0.9, 2.2, 8.0), "blob"),
        "long bell": (bell(12, 1.0, 5.5, 5.0, stretch=3.0), "blob"),
        "even": (np.ones((1, 144)), ""),
        "board": (board(), ""),
        "drowned": (disturbed(0.8), ""),
        "little noise": (disturbed(0.3), "gabor_like"),
    }
    for phase in (0, 60, 90, 180):  # bars and edges
        named[f"{phase}"] = (gabor(phase=phase), "gabor_like")
    for sigma in (0.9, 1.5, 3.0):
        for row, column in ((5.5, 5.5), (2.2, 8.0), (0.0, 11.0)):
            named[f"bell {sigma} {row}"] = (bell(12, sigma, row, column), "blob")
    for width in (6, 1e3):
        stripes = gabor(frequency=2.6 / 12, across=width, along=width, orientation=20)
        named[f"stripes {width}"] = (stripes, "gabor_like grating")
    found = kinds(np.concatenate([weights for weights, _ in named.values()]))
    assert dict(zip(named, found, strict=True)) == {name: kind for name, (_, kind) in named.items()}
    detector = gabor(28, frequency=0.4 * 6 / 28, across=28 / 6)
    grating = gabor(28, frequency=2.6 / 28, across=1e4, along=1e4)
    assert kinds(np.concatenate([detector, grating])) == ["gabor_like", "gabor_like grating"]


def test_rings_checkerboards_and_blotches_are_no_gabors() -> None:
    from scipy import ndimage

    # Stripes cannot explain 0.8 of a round spot in a ring of the other sign.
    ringed = bell(12, 1.2, 5.5, 5.5) - 0.25 * bell(12, 2.4, 5.5, 5.5)
    columns = np.tile((-1.0) ** np.arange(12), (1, 12))
    filters = np.concatenate([ringed, board() * bell(12, 2.0, 4.0, 6.0), columns])
    assert {"gabor_like", "gabor_like grating"}.isdisjoint(kinds(filters))
    assert fit_gabors(board())[0].explained_variance > 0.95
    # Noise with blotches of about three pixels, as in partly trained units.
    tiles = noise(20, seed=2).reshape(-1, 12, 12)
    smooth = ndimage.gaussian_filter(tiles, (0, 1, 1)).reshape(20, -1)
    smooth -= smooth.mean(axis=1, keepdims=True)
    assert sum("gabor_like" in kind for kind in kinds(smooth)) <= 1


# Locality, extent, orientation


def test_locality_is_the_share_of_the_best_window_of_half_the_side() -> None:
    for side, window in ((4, 2), (5, 2), (12, 6), (13, 6), (28, 14)):
        filters = gabor(side) + noise(1 if side > 13 else 3, side, seed=side)
        for tile, row in zip(filters.reshape(-1, side, side), measure(filters), strict=True):
            best = max(
                (tile[top : top + window, left : left + window] ** 2).sum()
                for top in range(side - window + 1)
                for left in range(side - window + 1)
            )
            assert row.locality == pytest.approx(best / (tile**2).sum(), rel=1e-12)
    spot, even = measure(np.concatenate([bell(12, 1.0, 3, 8), np.ones((1, 144))]))
    assert spot.locality > 0.99
    assert even.locality == pytest.approx(0.25)


def test_the_extent_of_a_bell_is_its_area_down_to_half_of_its_height() -> None:
    sizes = [(1.2, 6.8), (1.6, 7.5), (3.1, 8.0)]
    rows = measure(np.concatenate([bell(16, sigma, at, at) for sigma, at in sizes]))
    for (sigma, _), row in zip(sizes, rows, strict=True):
        assert row.extent_pixels == pytest.approx(2 * np.pi * np.log(2) * sigma**2, rel=0.06)
    # The area is finer than whole pixels.
    growing = measure(np.concatenate([bell(12, s, 6, 5.6) for s in np.linspace(1.2, 1.7, 8)]))
    areas = [row.extent_pixels for row in growing]
    assert areas == sorted(areas)
    assert len(set(areas)) > 6


def test_the_extent_is_of_the_strongest_spot_alone() -> None:
    square = np.zeros((16, 16))
    square[4:10, 5:13] = -1.0
    small, spot = bell(16, 1.1, 4, 4), bell(16, 1.2, 8, 8)
    filters = [
        *(square.reshape(1, -1), small, small + 0.9 * bell(16, 1.1, 12, 12)),
        *(small - 0.8 * bell(16, 1.8, 11, 11), spot, bell(16, 1.2, 8, 8, 4.0)),
        bell(16, 1.2, 8, -0.5),
    ]
    areas = [row.extent_pixels for row in measure(np.concatenate(filters))]
    alone, blob = areas[1], areas[4]
    # The spline overshoots at corners, so half of the peak is reached slightly further in.
    assert areas[0] == pytest.approx(48, rel=0.08)
    assert areas[2:4] == pytest.approx([alone, alone], rel=0.01)  # a weaker second spot
    assert areas[5:] == pytest.approx([4 * blob, blob / 2], rel=0.1)  # a stroke; at the border


def test_stripes_prefer_the_orientation_they_lie_at() -> None:
    random = np.random.default_rng(4)
    angles = [0.0, 45.0, 90.0, 179.999, 180.0, *random.uniform(0, 180, 5)]
    phases = random.uniform(-180, 180, len(angles))
    filters = [
        gabor(orientation=angle, phase=phase, across=2.2, frequency=0.25)
        for angle, phase in zip(angles, phases, strict=True)
    ]
    for angle, row in zip(angles, measure(np.concatenate(filters)), strict=True):
        assert row.orientation_selectivity > 0.9
        assert apart(row.preferred_orientation_degrees, angle) < 1.5
        assert apart(row.preferred_orientation_degrees, row.orientation_degrees) < 1.5
        assert 0 <= row.preferred_orientation_degrees < 180


def test_what_looks_alike_all_round_prefers_nothing() -> None:
    crossed = gabor(orientation=20, phase=0) + gabor(orientation=110, phase=0)
    long = bell(12, 1.0, 5.5, 5.0, stretch=3.0)
    round_ones = [bell(12, 1.5, 5.5, 5.5), board(), np.ones((1, 144))]
    *alike, cross, stretched = measure(np.concatenate([*round_ones, crossed, long]))
    assert max(row.orientation_selectivity for row in alike) < 1e-9
    assert cross.orientation_selectivity < 0.02
    # (3 - 1) / (3 + 1) for a vertical bell three times as long as wide.
    assert stretched.orientation_selectivity == pytest.approx(0.5, abs=0.01)
    assert stretched.preferred_orientation_degrees == pytest.approx(90)


def test_measures_turn_with_the_filter_and_do_not_depend_on_its_strength_or_place() -> None:
    filters = noise(4) * np.array([1e-60, 0.1, 1, 3])[:, None]
    mirrored = filters.reshape(-1, 12, 12)[:, :, ::-1].reshape(4, -1)
    plain, quarter, mirror, scaled = (
        measure(one) for one in (filters, turned(filters), mirrored, -1e-60 * filters)
    )
    for before, *others in zip(plain, quarter, mirror, scaled, strict=True):
        for other in others:
            for name in ("locality", "orientation_selectivity", "extent_pixels"):
                assert getattr(other, name) == pytest.approx(getattr(before, name), rel=1e-9)
        preferred = [other.preferred_orientation_degrees for other in others]
        at = before.preferred_orientation_degrees
        for angle, expected in zip(preferred, (at + 90, -at, at), strict=True):
            assert apart(angle, expected) < 1e-6
    shape = noise(1, 5).reshape(5, 5)
    here, there = np.zeros((12, 12)), np.zeros((12, 12))
    here[:5, :5], there[6:11, 3:8] = shape, -2 * shape
    one, other = measure(np.stack([here.ravel(), there.ravel()]))
    assert one.orientation_selectivity == pytest.approx(other.orientation_selectivity, rel=1e-9)
    assert one.preferred_orientation_degrees == pytest.approx(other.preferred_orientation_degrees)


def test_images_need_not_be_square() -> None:
    wide, left_half = gabor(24, row=5.0, column=15.0).reshape(24, 24)[:12], np.zeros((12, 24))
    left_half[:6, 3:15] = 1
    ones = np.stack([wide, left_half, noise(1, 24).reshape(24, 24)[:12], np.ones((12, 24))])
    found = measure(ones.reshape(4, -1), (12, 24))
    (fit,) = fit_gabors(wide.reshape(1, -1), (12, 24))
    assert fit.explained_variance > 0.999999
    assert (fit.centre_row, fit.centre_column) == pytest.approx((5, 15), abs=5e-3)
    assert apart(found[0].orientation_degrees, 30) < 0.05
    assert apart(found[0].preferred_orientation_degrees, 30) < 3
    assert found[0].gabor_like
    assert found[1].locality == pytest.approx(1)  # the window has half of each side
    assert found[1].extent_pixels == pytest.approx(72, rel=0.1)
    assert found[3].locality == pytest.approx(0.25)
    # Transposing keeps each measure and mirrors orientations at the diagonal.
    on_its_side = measure(ones.transpose(0, 2, 1).reshape(4, -1), (24, 12))
    for one, other in zip(found, on_its_side, strict=True):
        for name in ("explained_variance", "weaker_sign_share", "locality", "extent_pixels"):
            assert getattr(other, name) == pytest.approx(getattr(one, name), abs=1e-4), name
        assert other.orientation_selectivity == pytest.approx(one.orientation_selectivity)
        if one.orientation_selectivity > 0.1:
            preferred = other.preferred_orientation_degrees
            assert apart(preferred, 90 - one.preferred_orientation_degrees) < 1e-6
    for shape in ((12, 12), (288, 1), (3, 96)):
        with pytest.raises(DaeError, match=rf"{shape[0]} × {shape[1]}"):
            measure(ones.reshape(4, -1), shape)


# Rows of units


@pytest.fixture(scope="module")
def rows() -> list[UnitMeasures]:
    """Four edge detectors, a grating, two blobs, a unit of zeros and three units of noise."""
    return measure(layer())


def layer() -> Array:
    """Their weights."""
    detectors = [gabor(orientation=angle, phase=angle) for angle in (10, 60, 110, 160)]
    grating = [gabor(frequency=0.25, across=1e3, along=1e3)]
    blobs = [bell(12, 1.5, 3, 4), -bell(12, 2.0, 8, 8)]
    return np.concatenate([*detectors, *grating, *blobs, np.zeros((1, 144)), 2 * noise(3)])


def test_each_unit_has_its_row_its_kind_and_its_fit(rows: list[UnitMeasures]) -> None:
    assert [row.unit for row in rows] == list(range(11))
    assert [row.gabor_like for row in rows] == [True] * 5 + [False] * 6
    assert [row.grating for row in rows] == [False] * 4 + [True] + [False] * 6
    assert [row.blob for row in rows] == [False] * 5 + [True] * 2 + [False] * 4
    assert [row.norm for row in rows] == pytest.approx(np.linalg.norm(layer(), axis=1))
    alive = [row for row in rows if row.unit != 7]
    for row, found in zip(alive, fit_gabors(np.delete(layer(), 7, axis=0)), strict=True):
        for name in FITTED:
            assert getattr(row, name) == getattr(found, name)
    dead = dataclasses.asdict(rows[7])  # all measures of a unit of zeros are NaN
    assert (dead.pop("unit"), dead.pop("norm")) == (7, 0.0)
    assert [dead.pop(kind) for kind in ("gabor_like", "grating", "blob")] == [False] * 3
    assert len(dead) == 10
    assert all(math.isnan(value) for value in dead.values())


def test_weights_that_cannot_be_measured_are_refused_with_their_place() -> None:
    for value in (math.nan, math.inf, -math.inf):
        weights = layer()
        weights[3, 17] = value
        with pytest.raises(DaeError, match=rf"unit 3\b.*pixel 17\b.*{value}"):
            measure(weights)
    for shape in ((144,), (5, 143), (2, 12, 12), (3, 9), (3, 0)):
        with pytest.raises(DaeError) as caught:
            measure(np.ones(shape))
        assert str(shape) in str(caught.value)
    assert len(measure(np.zeros((0, 144)))) == len(fit_gabors(np.zeros((0, 144)))) == 0
    assert len(measure(np.ones((2, 16)))) == 2


# Shares, medians and their intervals


def test_shares_count_units_without_weights_and_medians_do_not(rows: list[UnitMeasures]) -> None:
    summary = summarise(rows)
    assert summary.gabor_like.of == 11
    assert summary.gabor_like.value == pytest.approx(5 / 11)
    assert summary.gabor_like.interval == wilson(5, 11)
    local = sum(row.locality >= 0.5 for row in rows)
    assert 0 < local < 8
    assert (summary.local.value, summary.local.of) == (local / 11, 11)
    assert summary.local.interval == wilson(local, 11)
    for name in ("locality", "orientation_selectivity", "extent_pixels"):
        values = [getattr(row, name) for row in rows if row.norm > 0]
        median = getattr(summary, name)
        assert (median.value, median.of) == (np.median(values), 10)
        assert median.interval == median_interval(np.array(values))
    nothing = summarise(measure(np.zeros((3, 144))))
    assert (nothing.gabor_like.value, nothing.gabor_like.of) == (0, 3)
    assert math.isnan(nothing.extent_pixels.value)
    assert nothing.extent_pixels.of == 0
    assert nothing.extent_pixels.interval == (-math.inf, math.inf)
    with pytest.raises(ValueError):
        summarise([])


def test_the_interval_of_a_share_is_wilsons() -> None:
    from scipy.stats import binomtest

    for of in (1, 2, 7, 200, 3000):
        for count in {0, 1, of // 3, of - 1, of}:
            expected = binomtest(count, of).proportion_ci(0.95, method="wilson")
            found = wilson(count, of)
            assert found == pytest.approx((expected.low, expected.high), abs=1e-12)
            assert 0 <= found[0] <= count / of <= found[1] <= 1
        assert (wilson(0, of)[0], wilson(of, of)[1]) == (0.0, 1.0)
    for count, of in ((0, 0), (-1, 5), (6, 5)):
        with pytest.raises(ValueError, match=f"{count} of {of}"):
            wilson(count, of)


def test_the_interval_of_a_median_covers_95_percent_and_the_next_smaller_one_less() -> None:
    from scipy.stats import binom

    for n in (*range(6, 40), 177, 600):
        low, high = median_interval(np.random.default_rng(n).permutation(np.arange(1, n + 1)))
        assert low + high == n + 1
        assert 1 - 2 * binom.cdf(low - 1, n, 0.5) >= 0.95 - 1e-12
        assert 1 - 2 * binom.cdf(low, n, 0.5) < 0.95
    # Fewer than six values give an infinite interval; no values or NaN are errors.
    for n in range(1, 6):
        assert median_interval(np.arange(n)) == (-np.inf, np.inf)
    for values in ([], [1.0, np.nan, 2.0]):
        with pytest.raises(ValueError):
            median_interval(np.array(values))
