"""What is measured of the rows of each set: one number a row, then a mean or a quantile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dae_cli.proof.rows import Rows

Values = NDArray[np.float64]
Images = NDArray[np.float32]

SIDE = 28
RESAMPLES = 400
PERCENTILES = (5, 25, 50, 75, 95)

NEAR = 2e-4
"""How far 255 · pixel may be from a whole number: float32 and eight printed digits stay below
2e-5, and pixels of another scale are as near in one case of 2500."""


@dataclass(frozen=True)
class Measure:
    """One statistic: the mean over rows of ``values``, or a quantile of them."""

    part: str
    """The rows that are meant, such as "convex"."""
    name: str
    values: Values  # (rows,)
    percentile: int | None = None
    judged: bool = True
    """False for what depends on the photographs alone, which are not the authors'."""

    @property
    def value(self) -> float:
        """The statistic; NaN without rows."""
        return float(_statistic(self.values[None], self.percentile)[0])

    def standard_error(self) -> float:
        """By bootstrap over rows, the same at each call; 0 where all rows are alike."""
        n = len(self.values)
        picks = np.random.default_rng(0).integers(0, n, (RESAMPLES, n))
        return float(_statistic(self.values[picks], self.percentile).std(ddof=1))


def measures_of(name: str, rows: Rows) -> list[Measure]:
    """The measures of a set by name; the same list, in the same order, for any rows of it."""
    return list(_MEASURERS[name](rows))


def _statistic(values: Values, percentile: int | None) -> Values:
    """Of (times, rows) values, one number each time."""
    if values.shape[1] == 0:
        return np.full(len(values), np.nan)
    if percentile is None:
        return np.asarray(values.mean(axis=1), dtype=np.float64)
    return np.asarray(np.percentile(values, percentile, axis=1), dtype=np.float64)


def _spread(part: str, name: str, values: Values, judged: bool = True) -> Iterator[Measure]:
    """The mean and the percentiles of one quantity."""
    yield Measure(part, f"{name}, mean", values, judged=judged)
    for percentile in PERCENTILES:
        yield Measure(part, f"{name}, percentile {percentile}", values, percentile, judged)


def _share(mask: NDArray[np.bool_]) -> Values:
    """Share of pixels of each row."""
    return np.asarray(mask.mean(axis=1), dtype=np.float64)


def _histogram(images: Images) -> Iterator[Measure]:
    """Mean share of pixels in each quarter of (0, 1]."""
    for low in (0.0, 0.25, 0.5, 0.75):
        inside = (images > low) & (images <= low + 0.25)
        yield Measure("all", f"pixels in ({low:g}, {low + 0.25:g}]", _share(inside))


def _digits(rows: Rows) -> Iterator[Measure]:
    yield Measure("all", "mean grey", _mean_grey(rows.images))
    yield Measure("all", "pixels above 0", _share(rows.images > 0))
    yield from _histogram(rows.images)


def _mean_grey(images: Images) -> Values:
    return np.asarray(images.mean(axis=1, dtype=np.float64), dtype=np.float64)


def _over_photographs(rows: Rows) -> Iterator[Measure]:
    """bg-img and rot-bg-img: a background pixel is k/255, a digit's is not."""
    background = _is_multiple(rows.images, 255) & ~_is_multiple(rows.images, 256)
    yield Measure("all", "mean grey", _mean_grey(rows.images), judged=False)
    yield Measure("all", "pixels of the background (k/255)", _share(background))
    values = np.where(background, rows.images, np.nan)
    spread = np.nanstd(values, axis=1, dtype=np.float64)
    grey = np.asarray(np.nanmean(values, axis=1, dtype=np.float64), dtype=np.float64)
    yield Measure("all", "background, mean grey", grey, judged=False)
    yield from _spread("all", "background, standard deviation", spread)


def _bg_img(rows: Rows) -> Iterator[Measure]:
    whole = _is_multiple(rows.images, 255) | _is_multiple(rows.images, 256)
    yield Measure("all", "pixels that are k/255 or k/256", _share(whole))
    yield from _over_photographs(rows)


def _is_multiple(images: Images, levels: int) -> NDArray[np.bool_]:
    steps = images * np.float32(levels)
    return np.asarray(np.abs(steps - np.rint(steps)) < NEAR, dtype=np.bool_)


def _rect(rows: Rows) -> Iterator[Measure]:
    white = (rows.images > 0).reshape(-1, SIDE, SIDE)
    across, down = white.any(axis=1), white.any(axis=2)
    height, width = down.sum(axis=1), across.sum(axis=1)
    outline = 2 * (height + width) - 4 == white.sum(axis=(1, 2))
    yield Measure("all", "images that are one outline", outline.astype(np.float64))
    taller = (height > width) == (rows.labels == 1)
    yield Measure("all", "labels that say taller than wide", taller.astype(np.float64))
    yield Measure("all", "sides that differ by 3 or more", (abs(height - width) >= 3) + 0.0)
    yield from _spread("all", "height", height.astype(np.float64))
    yield from _spread("all", "width", width.astype(np.float64))
    yield Measure("all", "top row", down.argmax(axis=1).astype(np.float64))
    yield Measure("all", "left column", across.argmax(axis=1).astype(np.float64))


def _rect_img(rows: Rows) -> Iterator[Measure]:
    yield Measure("all", "share of label 1 (taller than wide)", (rows.labels == 1) + 0.0)
    yield Measure("all", "mean grey", _mean_grey(rows.images), judged=False)
    contrast = rows.images.std(axis=1, dtype=np.float64)
    yield from _spread("all", "standard deviation", contrast, judged=False)
    steps = np.abs(np.diff(rows.images.reshape(-1, SIDE, SIDE), axis=2))
    rough = steps.mean(axis=(1, 2), dtype=np.float64)
    yield Measure("all", "step between neighbouring pixels", rough, judged=False)


def _convex(rows: Rows) -> Iterator[Measure]:
    area = rows.images.sum(axis=1, dtype=np.float64)
    yield Measure("all", "share of label 1 (convex)", (rows.labels == 1) + 0.0)
    for part, label in (("convex", 1), ("not convex", 0)):
        yield from _spread(part, "white pixels", area[rows.labels == label])
    white = area[rows.labels == 1] == SIDE * SIDE
    yield Measure("convex", "images all white", white + 0.0)


_MEASURERS: dict[str, Callable[[Rows], Iterator[Measure]]] = {
    "basic": _digits,
    "rot": _digits,
    "bg-rand": _digits,
    "bg-img": _bg_img,
    "rot-bg-img": _over_photographs,
    "rect": _rect,
    "rect-img": _rect_img,
    "convex": _convex,
}
