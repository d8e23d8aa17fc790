"""All measures of a layer's units: a row for each, which is a line of filters.csv."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.filters.gabor import GaborFit, fit_gabors
from dae_cli.filters.tiles import Array, Shape, as_tiles, unit_norm

# What the eye calls a filter. The .8 was given; the other limits were set on the filters of two
# autoencoders of 12 × 12 natural patches, trained with Gaussian corruption and looked at in the
# order of each measure beside their fits. There the classes and the eye disagree on about 4 units
# in 100: faint second lobes, and detectors among texture that explain .7 to .8.

LEAST_EXPLAINED = 0.8
"""Of the filter's energy. White noise of 12 × 12 pixels gives .1 to .2, never half of this."""
LEAST_WEAKER_SIGN = 0.15
"""Share of the fitted energy that is a full lobe pair: what one flank has of a Ricker wavelet (a
lobe between two flanks that cancel its sum: .148 each). A bell has 0, and a bell at the tile's
border with a faint shadow beside it .02 to .14."""
HIGHEST_FREQUENCY = 0.4
"""Cycles a pixel, of the carrier: stripes of 1.25 pixels. Beyond are checkerboards (.71) and
pixels of alternating sign (.5), which units that learned nothing show; trained edge detectors
stay below .3."""
LEAST_COVERAGE = 0.5
"""Share of the tile that a grating fills, where its envelope is above half of its height; and
that the one lobe of a blob does not fill."""
LEAST_CYCLES = 2.0
"""Of a grating, across where its envelope is above half of its height: an edge detector has about
one there, and a slow step over the whole tile half a one."""

SPOT_LEVEL = 0.5
"""Share of the strongest weight down to which its spot reaches."""
SPOT_ENLARGED = 8
"""Times, in each direction: a spot of five pixels is then known to a tenth of its area."""


@dataclass(frozen=True, slots=True)
class UnitMeasures:
    """One unit. Of a unit whose weights are all 0, every measure is NaN and it is of no class.

    Frequency, orientation, envelope and share of the weaker sign are those of the fitted Gabor
    (`GaborFit`): they mean something where it explains much.
    """

    unit: int
    """From 0: the row of the weights."""
    norm: float
    """√Σ w². The other measures do not depend on it."""
    explained_variance: float
    frequency_cycles_per_pixel: float
    orientation_degrees: float
    envelope_across_stripes_pixels: float
    envelope_along_stripes_pixels: float
    weaker_sign_share: float
    gabor_like: bool
    grating: bool
    blob: bool
    locality: float
    orientation_selectivity: float
    preferred_orientation_degrees: float
    """As `orientation_selectivity`, from the power spectrum; as `orientation_degrees` counted."""
    extent_pixels: float


_NO_FIT = GaborFit(*(float("nan") for _ in fields(GaborFit)))
"""Of a unit without weights."""


def measure(weights: NDArray[Any], shape: Shape | None = None) -> list[UnitMeasures]:
    """Measure each unit.

    Args:
        weights: (units, height · width), each row a tile read line by line.
        shape: height and width; a square if none is given.

    Raises:
        DaeError: not such tiles, or a weight that is not finite.
    """
    _, norms = unit_norm(as_tiles(weights, shape))
    alive = np.flatnonzero(norms)
    fits = dict(zip(alive.tolist(), fit_gabors(weights[alive], shape), strict=True))
    locality_, extent_ = locality(weights, shape), extent(weights, shape)
    selectivity, preferred = orientation_selectivity(weights, shape)
    rows = []
    for unit in range(len(norms)):
        fit = fits.get(unit, _NO_FIT)
        rows.append(
            UnitMeasures(
                unit=unit,
                norm=float(norms[unit]),
                explained_variance=fit.explained_variance,
                frequency_cycles_per_pixel=fit.frequency_cycles_per_pixel,
                orientation_degrees=fit.orientation_degrees,
                envelope_across_stripes_pixels=fit.envelope_across_stripes_pixels,
                envelope_along_stripes_pixels=fit.envelope_along_stripes_pixels,
                weaker_sign_share=fit.weaker_sign_share,
                gabor_like=is_gabor_like(fit),
                grating=is_grating(fit),
                blob=is_blob(fit),
                locality=float(locality_[unit]),
                orientation_selectivity=float(selectivity[unit]),
                preferred_orientation_degrees=float(preferred[unit]),
                extent_pixels=float(extent_[unit]),
            )
        )
    return rows


def without_shape(unit: int, weights: NDArray[Any]) -> UnitMeasures:
    """The row of a unit whose inputs are no image: its norm, and nothing that a shape would say."""
    nothing: dict[str, Any] = {f.name: float("nan") for f in fields(UnitMeasures)}
    classes = dict.fromkeys(("gabor_like", "grating", "blob"), False)
    norm = float(np.linalg.norm(weights.astype(np.float64)))
    return UnitMeasures(**nothing | classes | {"unit": unit, "norm": norm})


def is_gabor_like(fit: GaborFit) -> bool:
    """Whether a Gabor explains the filter, with at least one full lobe pair; gratings are, too."""
    return (
        fit.explained_variance >= LEAST_EXPLAINED
        and fit.weaker_sign_share >= LEAST_WEAKER_SIGN
        and fit.carrier_cycles_per_pixel <= HIGHEST_FREQUENCY
    )


def is_grating(fit: GaborFit) -> bool:
    """Whether it is Gabor-like, and its stripes go on over most of the tile."""
    return is_gabor_like(fit) and fit.coverage >= LEAST_COVERAGE and fit.cycles >= LEAST_CYCLES


def is_blob(fit: GaborFit) -> bool:
    """Whether the equation explains the filter by one lobe, which is not the whole tile."""
    return (
        fit.explained_variance >= LEAST_EXPLAINED
        and fit.weaker_sign_share < LEAST_WEAKER_SIGN
        and fit.peak_coverage < LEAST_COVERAGE
    )


def locality(weights: NDArray[Any], shape: Shape | None = None) -> Array:
    """Return the largest share of Σ w² that one window of the tile holds, from 0 to 1.

    The window has half of the tile's height and width, rounded down: a quarter of its area or a
    little less. White noise has about .3, since the best window is taken; energy spread evenly, a
    quarter. By a table of sums over all rectangles from the corner.

    Returns:
        (units,); NaN for a unit without weights.

    Raises:
        DaeError: as of `measure`.
    """
    tiles, norms = unit_norm(as_tiles(weights, shape))
    units, height, width = tiles.shape
    sums = np.zeros((units, height + 1, width + 1))
    sums[:, 1:, 1:] = (tiles**2).cumsum(axis=1).cumsum(axis=2)
    h, w = height // 2, width // 2
    inside = sums[:, h:, w:] - sums[:, :-h, w:] - sums[:, h:, :-w] + sums[:, :-h, :-w]
    best = np.clip(inside.max(axis=(1, 2)), 0.0, 1.0)  # of (units, height − h + 1, width − w + 1)
    return np.where(norms > 0, best, np.nan)


def extent(weights: NDArray[Any], shape: Shape | None = None) -> Array:
    """Return the area of each unit's strongest spot, in pixels of the tile.

    The spot is what is connected with the strongest weight, whatever its sign, through weights of
    that sign that are at least half of it; connected by sides, on the tile enlarged eight times by
    cubic splines. A bell of standard deviation σ has 2π ln 2 · σ² = 4.4 σ².

    Returns:
        (units,); NaN for a unit without weights.

    Raises:
        DaeError: as of `measure`.
    """
    from scipy import ndimage

    tiles, norms = unit_norm(as_tiles(weights, shape))
    # Enlarging is linear along each side: the matrix that does it is the enlarged identity.
    rows, columns = (
        ndimage.zoom(np.eye(side), (SPOT_ENLARGED, 1), order=3, mode="reflect", grid_mode=True)
        for side in tiles.shape[1:]
    )
    areas = np.full(len(tiles), np.nan)
    for unit in np.flatnonzero(norms):
        large = rows @ tiles[unit] @ columns.T
        peak = np.unravel_index(np.abs(large).argmax(), large.shape)
        spots, _ = ndimage.label(large / large[peak] >= SPOT_LEVEL)
        areas[unit] = np.count_nonzero(spots == spots[peak]) / SPOT_ENLARGED**2
    return areas


def orientation_selectivity(
    weights: NDArray[Any], shape: Shape | None = None
) -> tuple[Array, Array]:
    """Return how selective each unit is, and for which orientation, without any fit.

    |Σ P e^{2iθ}| / Σ P over the spectrum P of the tile with zeros around it, θ the direction of
    each frequency, frequency 0 left out: 0 where all directions are alike, 1 for a single one (the
    length of the mean vector; N. Swindale, Biol. Cybern. 78, 1998). Doubling the angle makes
    opposite directions one. White noise of 12 × 12 pixels has about .1. A side of n pixels is
    padded to 2 n + 1, so that the measure does not depend on where on the tile a shape lies, and
    no frequency is its own opposite.

    Returns:
        The selectivities, (units,), from 0 to 1, and the stripes' preferred orientations in
        degrees, (units,), from 0 up to 180: 0 lies, 45 rises to the right, 90 stands; it says
        little where the selectivity is near 0. NaN for units without weights.

    Raises:
        DaeError: as of `measure`.
    """
    tiles, norms = unit_norm(as_tiles(weights, shape))
    padded = 2 * tiles.shape[1] + 1, 2 * tiles.shape[2] + 1
    power = np.abs(np.fft.fft2(tiles, padded)) ** 2
    power[:, 0, 0] = 0.0
    down, right = map(np.fft.fftfreq, padded)
    direction = np.arctan2(-down[:, None], right[None, :])  # as padded
    total = np.where(norms > 0, power.sum(axis=(1, 2)), 1.0)
    mean = (power * np.exp(2j * direction)).sum(axis=(1, 2)) / total
    # Stripes lie across the direction in which their wave travels.
    orientation = np.mod(np.degrees(np.angle(mean)) / 2 + 90.0, 180.0)
    orientation = np.where(orientation >= 180.0, 0.0, orientation)
    selectivity = np.clip(np.abs(mean), 0.0, 1.0)
    return np.where(norms > 0, selectivity, np.nan), np.where(norms > 0, orientation, np.nan)
