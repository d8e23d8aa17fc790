"""All measures of a layer's units, one row a unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.features.extent import extent
from dae_cli.features.gabor import GaborFit, fit_gabors
from dae_cli.features.kinds import is_blob, is_gabor_like, is_grating
from dae_cli.features.locality import locality
from dae_cli.features.orientation import orientation_selectivity
from dae_cli.features.tiles import as_tiles, unit_norm


@dataclass(frozen=True, slots=True)
class UnitMeasures:
    """One unit. Of a unit whose weights are all 0, every measure is NaN and it is of no kind.

    Frequency, orientation, envelope and share of the weaker sign are those of the fitted Gabor:
    they mean something where it explains much.
    """

    unit: int
    """From 0: the row of the weights."""
    norm: float
    """√Σ w². The other measures do not depend on it."""
    explained_variance: float
    """By the best Gabor: 1 − Σ (w − g)² / Σ w²."""
    frequency_cycles_per_pixel: float
    """Where the fitted Gabor's spectrum peaks."""
    orientation_degrees: float
    """Of its stripes, from 0 up to 180: 0 lies, 45 rises to the right, 90 stands."""
    envelope_across_stripes_pixels: float
    """Standard deviation of its bell, the way the wave travels."""
    envelope_along_stripes_pixels: float
    """Standard deviation of its bell, along a stripe."""
    weaker_sign_share: float
    """Of its energy on the tile, the share of the sign that has less: 0 for a blob, up to .5."""
    gabor_like: bool
    """Explained to .8, a full lobe pair, and no checkerboard: `kinds.is_gabor_like`."""
    grating: bool
    """Gabor-like, with stripes over most of the tile."""
    blob: bool
    """Explained to .8 by one lobe."""
    locality: float
    """Largest share of the energy in a window of half of the tile's side."""
    orientation_selectivity: float
    """From the power spectrum: 0 for all orientations alike, 1 for a single one."""
    preferred_orientation_degrees: float
    """From the power spectrum, as `orientation_degrees`."""
    extent_pixels: float
    """Area of the strongest spot, down to half of its peak."""


def measure(weights: NDArray[Any]) -> list[UnitMeasures]:
    """Measure each unit.

    Args:
        weights: (units, side · side), each row a tile read line by line.

    Raises:
        DaeError: not square tiles, or a weight that is not finite.
    """
    _, norms = unit_norm(as_tiles(weights))
    alive = np.flatnonzero(norms)
    fits = dict(zip(alive.tolist(), fit_gabors(weights[alive]), strict=True))
    local, area = locality(weights), extent(weights)
    selectivity, preferred = orientation_selectivity(weights)
    return [
        _row(
            unit,
            float(norms[unit]),
            fits.get(unit),
            float(local[unit]),
            (float(selectivity[unit]), float(preferred[unit])),
            float(area[unit]),
        )
        for unit in range(len(norms))
    ]


def _row(
    unit: int,
    norm: float,
    fit: GaborFit | None,
    local: float,
    spectrum: tuple[float, float],
    area: float,
) -> UnitMeasures:
    nan = float("nan")
    return UnitMeasures(
        unit=unit,
        norm=norm,
        explained_variance=fit.explained_variance if fit else nan,
        frequency_cycles_per_pixel=fit.frequency_cycles_per_pixel if fit else nan,
        orientation_degrees=fit.orientation_degrees if fit else nan,
        envelope_across_stripes_pixels=fit.envelope_across_stripes_pixels if fit else nan,
        envelope_along_stripes_pixels=fit.envelope_along_stripes_pixels if fit else nan,
        weaker_sign_share=fit.weaker_sign_share if fit else nan,
        gabor_like=fit is not None and is_gabor_like(fit),
        grating=fit is not None and is_grating(fit),
        blob=fit is not None and is_blob(fit),
        locality=local,
        orientation_selectivity=spectrum[0],
        preferred_orientation_degrees=spectrum[1],
        extent_pixels=area,
    )
