"""The measures of regenerated rows beside those of genuine rows, each with its bar."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite

import numpy as np

from dae_cli.data.dataset import Dataset
from dae_cli.data.datasets import DATASETS
from dae_cli.proof.measures import Measure, measures_of
from dae_cli.proof.rows import Genuine, Rows, at_places, whole_rows

SAMPLE_ERRORS = 3.0
"""A sample's statistic may be this many of its standard errors away."""
AREA_SHARE, AREA_PIXELS = 0.10, 4.0
"""On whole sets an area may be off by a tenth or by four pixels, whichever is more."""
ROWS = 10_000
"""Regenerated rows, spread over the test file, that stand beside a sample."""


@dataclass(frozen=True)
class Comparison:
    """One figure of a set: genuine, regenerated, and how far apart they may be."""

    dataset: str
    part: str
    measure: str
    genuine: float
    genuine_error: float | None
    """Standard error of the genuine figure; None where it is exact."""
    genuine_rows: str
    """What the genuine figure stands on: a number of rows, or a publication."""
    regenerated: float
    regenerated_rows: int
    tolerance: float | None
    """None: shown, not judged."""
    regenerated_sha256: str
    """Content that was measured."""
    trained: bool = False
    """Whether a classifier was trained for it; such figures take minutes."""

    @property
    def holds(self) -> bool | None:
        """Whether the two are near enough."""
        if self.tolerance is None:
            return None
        return abs(self.regenerated - self.genuine) <= self.tolerance + 1e-9

    @staticmethod
    def number(value: float | None) -> str:
        """A figure with four significant digits; empty where there is none."""
        return "" if value is None else f"{value:.4g}"

    def as_row(self) -> dict[str, object]:
        """The row of statistics.csv, rounded to what is meant."""
        row: dict[str, object] = asdict(self) | {"holds": self.holds}
        for name, value in row.items():
            if isinstance(value, float):
                row[name] = float(f"{value:.6g}") if isfinite(value) else None
        return row


def compare(dataset: Dataset, genuine: Genuine) -> list[Comparison]:
    """All measures of a set, regenerated beside genuine."""
    name, whole = dataset.name, genuine.rows.whole
    ours = whole_rows(dataset) if whole else _spread_rows(dataset)
    pairs = zip(measures_of(name, genuine.rows), measures_of(name, ours), strict=True)
    compared = [_compared(dataset, theirs, mine, whole) for theirs, mine in pairs]
    if genuine.places and (recipe := DATASETS[name].recipe) and recipe.exact:
        compared.insert(0, _identical(dataset, genuine))
    return compared


def _spread_rows(dataset: Dataset) -> Rows:
    some = dataset.test.take(min(ROWS, len(dataset.test)))
    return Rows(some.as_float(), some.labels, whole=False)


def _compared(dataset: Dataset, theirs: Measure, mine: Measure, whole: bool) -> Comparison:
    error = theirs.standard_error()
    tolerance = SAMPLE_ERRORS * error
    if whole and theirs.name.startswith("white pixels"):
        tolerance = max(AREA_SHARE * theirs.value, AREA_PIXELS)
    elif whole:
        tolerance = SAMPLE_ERRORS * float(np.hypot(error, mine.standard_error()))
    return Comparison(
        dataset=dataset.name,
        part=theirs.part,
        measure=theirs.name,
        genuine=theirs.value,
        genuine_error=error,
        genuine_rows=str(len(theirs.values)),
        regenerated=mine.value,
        regenerated_rows=len(mine.values),
        tolerance=tolerance if theirs.judged else None,
        regenerated_sha256=dataset.sha256,
    )


def _identical(dataset: Dataset, genuine: Genuine) -> Comparison:
    """Rows that are the same, pixel for pixel, at the same place of the file."""
    same = (at_places(dataset, genuine.places) == genuine.rows.images).all(axis=1)
    n = len(same)
    return Comparison(
        dataset=dataset.name,
        part="all",
        measure="rows identical at their place",
        genuine=n,
        genuine_error=None,
        genuine_rows=str(n),
        regenerated=int(same.sum()),
        regenerated_rows=n,
        tolerance=0.0,
        regenerated_sha256=dataset.sha256,
    )
