"""All measures of a layer's units: one row per unit, as in filters.csv."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.filters.gabor import GaborFit, fit_gabors
from dae_cli.filters.tiles import Array, Shape, as_tiles, unit_norm

# Limits of the classes of filters. 0.8 was specified in advance. The other limits were chosen by
# looking at filters of two autoencoders for 12 × 12 natural image patches, trained with Gaussian
# corruption, sorted by each measure and shown next to their fits. For these filters, the classes
# differ from a visual judgement for about 4 in 100 units: some have faint second lobes, some are
# edge detectors within texture with an explained variance of 0.7 to 0.8.

LEAST_EXPLAINED = 0.8
"""Lowest explained variance of a class; 12 × 12 white noise has 0.1 to 0.2, always below 0.4."""
LEAST_WEAKER_SIGN = 0.15
"""Lowest share of the weaker sign in the fitted energy for a full pair of lobes. Each flank of a
Ricker wavelet (a lobe between two flanks that cancel its sum) has 0.148. A Gaussian bell has 0, and
a bell at the tile's border with a faint lobe next to it 0.02 to 0.14."""
HIGHEST_FREQUENCY = 0.4
"""Highest carrier frequency in cycles per pixel, for stripes 1.25 pixels wide. Higher frequencies
are checkerboards (0.71) and pixels of alternating sign (0.5), which occur in units that learned
nothing; trained edge detectors are below 0.3."""
LEAST_COVERAGE = 0.5
"""Lowest share of the tile where a grating's envelope is at least half of its height. A blob covers
less than this share at half of its peak."""
LEAST_CYCLES = 2.0
"""Lowest number of cycles of a grating where its envelope is at least half its height. An edge
detector has about 1 there, a slow step over the whole tile about 0.5."""

SPOT_LEVEL = 0.5
"""A spot includes weights down to this share of its strongest weight."""
SPOT_ENLARGED = 8
"""Factor by which tiles are enlarged; the area of a five-pixel spot is then accurate to 10 %."""


@dataclass(frozen=True, slots=True)
class UnitMeasures:
    """Measures of one unit. If all its weights are 0, the measures are NaN and the classes False.

    Frequency, orientation, envelope and the share of the weaker sign describe the fitted Gabor
    (`GaborFit`). They are meaningful only if the explained variance is high.
    """

    unit: int
    """Row of the weights, from 0."""
    norm: float
    """Norm √Σ w² of the weights. The other measures do not depend on it."""
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
    """From the power spectrum, not the fit; counted like `orientation_degrees`."""
    extent_pixels: float


_NO_FIT = GaborFit(*(float("nan") for _ in fields(GaborFit)))
"""Fit of a unit whose weights are all 0."""


def measure(weights: NDArray[Any], shape: Shape | None = None) -> list[UnitMeasures]:
    """Measure each unit.

    Args:
        weights: (units, height · width), each row a tile in row-major order.
        shape: height and width of a tile; square by default.

    Raises:
        DaeError: the weights do not have this shape, or one is not finite.
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
    """Return the row of a unit whose inputs are not an image; only its norm is known."""
    nothing: dict[str, Any] = {f.name: float("nan") for f in fields(UnitMeasures)}
    classes = dict.fromkeys(("gabor_like", "grating", "blob"), False)
    norm = float(np.linalg.norm(weights.astype(np.float64)))
    return UnitMeasures(**nothing | classes | {"unit": unit, "norm": norm})


def is_gabor_like(fit: GaborFit) -> bool:
    """Return whether a Gabor with a full pair of lobes explains the filter; includes gratings."""
    return (
        fit.explained_variance >= LEAST_EXPLAINED
        and fit.weaker_sign_share >= LEAST_WEAKER_SIGN
        and fit.carrier_cycles_per_pixel <= HIGHEST_FREQUENCY
    )


def is_grating(fit: GaborFit) -> bool:
    """Return whether the filter is Gabor-like and its stripes cover most of the tile."""
    return is_gabor_like(fit) and fit.coverage >= LEAST_COVERAGE and fit.cycles >= LEAST_CYCLES


def is_blob(fit: GaborFit) -> bool:
    """Return whether a Gabor with one lobe, smaller than the tile, explains the filter."""
    return (
        fit.explained_variance >= LEAST_EXPLAINED
        and fit.weaker_sign_share < LEAST_WEAKER_SIGN
        and fit.peak_coverage < LEAST_COVERAGE
    )


def locality(weights: NDArray[Any], shape: Shape | None = None) -> Array:
    """Return the largest share of Σ w² inside one window of the tile, from 0 to 1.

    The window has half of the tile's height and width, rounded down, so it covers a quarter of the
    area or slightly less. Evenly spread energy gives 0.25; white noise gives about 0.3, because the
    best window counts. The sums come from a summed-area table.

    Returns:
        Localities (units,); NaN if all weights are 0.

    Raises:
        DaeError: see `measure`.
    """
    tiles, norms = unit_norm(as_tiles(weights, shape))
    units, height, width = tiles.shape
    sums = np.zeros((units, height + 1, width + 1))
    sums[:, 1:, 1:] = (tiles**2).cumsum(axis=1).cumsum(axis=2)
    h, w = height // 2, width // 2
    # Energy inside each window: (units, height − h + 1, width − w + 1)
    inside = sums[:, h:, w:] - sums[:, :-h, w:] - sums[:, h:, :-w] + sums[:, :-h, :-w]
    best = np.clip(inside.max(axis=(1, 2)), 0.0, 1.0)
    return np.where(norms > 0, best, np.nan)


def extent(weights: NDArray[Any], shape: Shape | None = None) -> Array:
    """Return the area of each unit's strongest spot, in pixels of the tile.

    The spot is the 4-connected region that contains the weight with the largest magnitude and all
    connected weights of the same sign with at least half that magnitude. It is measured on the tile
    enlarged eight times with cubic splines. A Gaussian bell has the area 2π ln 2 · σ² = 4.4 σ².

    Returns:
        Areas (units,); NaN if all weights are 0.

    Raises:
        DaeError: see `measure`.
    """
    from scipy import ndimage

    tiles, norms = unit_norm(as_tiles(weights, shape))
    # Enlarging is linear along each side, so its matrix is the enlarged identity matrix.
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
    """Return the orientation selectivity and the preferred orientation of each unit.

    They need no fit. The selectivity is |Σ P e^{2iθ}| / Σ P, where P is the power spectrum of the
    zero-padded tile without frequency 0 and θ the direction of each frequency (length of the mean
    vector; N. Swindale, Biol. Cybern. 78, 1998). It is 0 for equal power in all directions and 1
    for a single direction; 12 × 12 white noise has about 0.1. Doubling the angle identifies
    opposite directions. Each side of n pixels is padded to 2 n + 1, so that the measure does not
    depend on the position of a shape and no frequency is its own opposite.

    Returns:
        Selectivities (units,) from 0 to 1, and orientations (units,) of the stripes in degrees in
        [0, 180): 0 is horizontal, 45 rises to the right, 90 is vertical. The orientation is
        unreliable if the selectivity is near 0. NaN if all weights are 0.

    Raises:
        DaeError: see `measure`.
    """
    tiles, norms = unit_norm(as_tiles(weights, shape))
    padded = 2 * tiles.shape[1] + 1, 2 * tiles.shape[2] + 1
    power = np.abs(np.fft.fft2(tiles, padded)) ** 2
    power[:, 0, 0] = 0.0
    down, right = map(np.fft.fftfreq, padded)
    direction = np.arctan2(-down[:, None], right[None, :])  # (padded height, padded width)
    total = np.where(norms > 0, power.sum(axis=(1, 2)), 1.0)
    mean = (power * np.exp(2j * direction)).sum(axis=(1, 2)) / total
    # Stripes are perpendicular to the direction of their wave.
    orientation = np.mod(np.degrees(np.angle(mean)) / 2 + 90.0, 180.0)
    orientation = np.where(orientation >= 180.0, 0.0, orientation)
    selectivity = np.clip(np.abs(mean), 0.0, 1.0)
    return np.where(norms > 0, selectivity, np.nan), np.where(norms > 0, orientation, np.nan)
