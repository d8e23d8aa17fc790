"""What a figure's caption says of all its units: shares and medians with their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dae_cli.features.intervals import Interval, median_interval, wilson
from dae_cli.features.locality import LEAST_LOCALITY
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

    gabor_like: Share
    local: Share
    locality: Median
    orientation_selectivity: Median
    extent_pixels: Median


def summarise(rows: Sequence[UnitMeasures]) -> Summary:
    """Summarise the rows of `measures.measure`.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("no units to summarise: expected at least one row")
    alive = [row for row in rows if row.norm > 0]
    return Summary(
        gabor_like=_share(row.gabor_like for row in rows),
        local=_share(row.locality >= LEAST_LOCALITY for row in rows),
        locality=_median(row.locality for row in alive),
        orientation_selectivity=_median(row.orientation_selectivity for row in alive),
        extent_pixels=_median(row.extent_pixels for row in alive),
    )


def _share(kind: Iterable[bool]) -> Share:
    units = list(kind)
    return Share(sum(units), len(units), wilson(sum(units), len(units)))


def _median(values: Iterable[float]) -> Median:
    sample = np.array(list(values), dtype=np.float64)
    if not len(sample):
        return Median(float("nan"), 0, Interval(-np.inf, np.inf))
    return Median(float(np.median(sample)), len(sample), median_interval(sample))
