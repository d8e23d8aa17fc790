"""What a figure's caption says of all its units: shares and medians with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dae_cli.features.intervals import Interval, median_interval, wilson
from dae_cli.features.measures import UnitMeasures


@dataclass(frozen=True, slots=True)
class Share:
    """Units of one kind among all of a layer's."""

    count: int
    of: int
    interval: Interval
    """95 %, Wilson's."""

    @property
    def value(self) -> float:
        """From 0 to 1."""
        return self.count / self.of


@dataclass(frozen=True, slots=True)
class Median:
    """The median over some units; NaN where there is no such unit."""

    value: float
    of: int
    """Units it is the median of."""
    interval: Interval
    """At least 95 %, by order statistics; infinite for fewer than six units."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Of one layer. Units without weights count in the shares, and have no part in medians."""

    units: int
    without_weights: int
    gabor_like: Share
    gratings: Share
    blobs: Share
    explained_variance: Median
    locality: Median
    orientation_selectivity: Median
    extent_pixels: Median
    frequency_cycles_per_pixel: Median
    """Of the Gabor-like units, as the two that follow: elsewhere the fit says little of them."""
    envelope_across_stripes_pixels: Median
    envelope_along_stripes_pixels: Median


def summarise(rows: Sequence[UnitMeasures]) -> Summary:
    """Summarise the rows of `measures.measure`.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("no units to summarise: expected at least one row")
    alive = [row for row in rows if row.norm > 0]
    like = [row for row in alive if row.gabor_like]
    return Summary(
        units=len(rows),
        without_weights=len(rows) - len(alive),
        gabor_like=_share(rows, lambda row: row.gabor_like),
        gratings=_share(rows, lambda row: row.grating),
        blobs=_share(rows, lambda row: row.blob),
        explained_variance=_median(row.explained_variance for row in alive),
        locality=_median(row.locality for row in alive),
        orientation_selectivity=_median(row.orientation_selectivity for row in alive),
        extent_pixels=_median(row.extent_pixels for row in alive),
        frequency_cycles_per_pixel=_median(row.frequency_cycles_per_pixel for row in like),
        envelope_across_stripes_pixels=_median(row.envelope_across_stripes_pixels for row in like),
        envelope_along_stripes_pixels=_median(row.envelope_along_stripes_pixels for row in like),
    )


def _share(rows: Sequence[UnitMeasures], of_kind: Callable[[UnitMeasures], bool]) -> Share:
    count = sum(of_kind(row) for row in rows)
    return Share(count, len(rows), wilson(count, len(rows)))


def _median(values: Iterable[float]) -> Median:
    sample = np.array(list(values), dtype=np.float64)
    if not len(sample):
        return Median(float("nan"), 0, Interval(-np.inf, np.inf))
    return Median(float(np.median(sample)), len(sample), median_interval(sample))
