"""Shapes, white on black: rect (taller than wide?) and convex (is the white region convex?).

The recipes are those of Larochelle et al. (ICML 2007); what the paper does not specify was inferred
from genuine rows.

rect: an outline of a rectangle, one pixel wide. Height and width are from 4 pixels up to the
image's and differ by 3 or more; all 506 such pairs are equally likely, and so are all places where
the rectangle fits. Label 1 = taller than wide. All 60 genuine rows we have are such outlines. Only
the random numbers are ours. With 1000 training rows these matter, so of eight seeds we use the one
with the median test error of a fixed SVM (``docs/rect_draws.py``, docs/datasets.md).

convex:

- A half-plane is defined by two white pixels p and q drawn from the current region: its border goes
  through p at a right angle to the line from p to q, and it contains the border and q (and
  everything if q is p).
- A convex set is the whole image cut by a geometric (.195) number of half-planes, each drawn from
  the pixels that the previous ones left. The first cut that would leave fewer than 20 pixels is
  not made and ends the set.
- A set that is not convex is a union of 2 to 4 (uniform) such sets, with a geometric (.07) number
  of half-planes and at least 11 pixels each. It is used if some pixel inside the region's hull is
  black (all 58 000 genuine images satisfy this definition).
- Labels of the training file are fair coin flips; the test file has its 25 000 convex images first.

The paper says "location and orientation chosen uniformly at random" and "rejected if there were
less than 19 pixels" (10 for the sets of a union). Area in pixels, test file:

                 mean   percentiles 5 / 25 / 50 / 75 / 95
    convex       298   23   72  242  499  729    genuine: 301   23   74  245  504  733
    not convex   305   31   93  255  491  718    genuine: 303   31   94  252  487  715
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.dataset import Content
from dae_cli.data.datasets import DatasetSpec
from dae_cli.data.recipes.integers import Integers, RandomIntegers

Regions = NDArray[np.bool_]  # (n, height, width)
Bits = NDArray[np.bool_]
Labels = NDArray[np.uint8]

RECT_SEED = 6

CONVEX_STOP, CONVEX_AREA = Fraction(195, 1000), 20
PIECE_STOP, PIECE_AREA = Fraction(7, 100), 11
BATCH = 1024


def generate_rect(spec: DatasetSpec, seed: int = RECT_SEED) -> Content:
    """Generate all rows of rect: pixels 0 or 1, uint8, and labels."""
    n = spec.n_train_file + spec.n_test
    pairs = pairs_of_sides(4, spec.image)
    pairs = pairs[abs(pairs[:, 0] - pairs[:, 1]) >= 3]
    rectangles = draw_rectangles(RandomIntegers(seed), pairs, spec.image, n)
    outlines = rectangles.inside() & ~rectangles.inside(margin=1)
    pixels = outlines.reshape(n, spec.n_pixels).astype(np.uint8)
    return Content.from_rows(spec, pixels, rectangles.labels)


def generate_convex(spec: DatasetSpec) -> Content:
    """Generate all rows of convex: pixels 0 or 1, uint8, and labels (1 = convex)."""
    integers = RandomIntegers(20070620)
    labels = integers.below(2, spec.n_train_file).astype(np.uint8)
    test_labels = np.repeat(np.array([1, 0], dtype=np.uint8), spec.n_test // 2)
    pixels, test_pixels = (
        _draw_regions(integers, spec.image, some).reshape(-1, spec.n_pixels).astype(np.uint8)
        for some in (labels, test_labels)
    )
    return Content(pixels, labels, test_pixels, test_labels)


@dataclass(frozen=True)
class Rectangles:
    """``n`` rectangles in an image; all arrays have shape (n,)."""

    image: tuple[int, int]
    height: Integers
    width: Integers
    top: Integers
    left: Integers

    @property
    def labels(self) -> Labels:
        """Labels (n,): 1 = taller than wide, 0 = wider."""
        return (self.height > self.width).astype(np.uint8)

    def inside(self, margin: int = 0) -> Regions:
        """The pixels of each rectangle without a border of ``margin`` pixels."""
        rows = _span(self.image[0], self.top + margin, self.height - 2 * margin)
        columns = _span(self.image[1], self.left + margin, self.width - 2 * margin)
        return np.asarray(rows[:, :, None] & columns[:, None, :])


def _span(size: int, first: Integers, length: Integers) -> Bits:
    """Mark the lines ``first`` to ``first + length - 1`` among ``size`` lines, (n, size)."""
    line = np.arange(size)
    return np.asarray((line >= first[:, None]) & (line < (first + length)[:, None]))


def pairs_of_sides(least: int, image: tuple[int, int]) -> Integers:
    """All (height, width) from ``least`` to the image's, shape (pairs, 2)."""
    height, width = np.mgrid[least : image[0] + 1, least : image[1] + 1]
    return np.stack([height.ravel(), width.ravel()], axis=1)


def draw_rectangles(
    integers: RandomIntegers, pairs: Integers, image: tuple[int, int], n: int
) -> Rectangles:
    """Draw uniformly from ``pairs`` and from the places where the rectangle fits."""
    height, width = pairs[integers.below(len(pairs), n)].T
    top = integers.below(image[0] + 1 - height, n)
    left = integers.below(image[1] + 1 - width, n)
    return Rectangles(image, height, width, top, left)


def _draw_regions(integers: RandomIntegers, image: tuple[int, int], labels: Labels) -> Regions:
    """Draw a convex region for each label 1, and one that is not convex for each label 0."""
    regions = np.empty((len(labels), *image), dtype=np.bool_)
    n = int((labels == 1).sum())
    regions[labels == 1] = _draw_convex(integers, image, n)
    regions[labels == 0] = _draw_non_convex(integers, image, len(labels) - n)
    return regions


def _draw_convex(integers: RandomIntegers, image: tuple[int, int], n: int) -> Regions:
    found = np.empty((n, *image), dtype=np.bool_)
    for start in range(0, n, BATCH):
        part = found[start : start + BATCH]
        part[:] = _draw_sets(integers, image, len(part), CONVEX_STOP, CONVEX_AREA)
    return found


def _draw_non_convex(integers: RandomIntegers, image: tuple[int, int], n: int) -> Regions:
    """Draw ``n`` unions of 2 to 4 convex sets that are not convex themselves."""
    found = np.empty((n, *image), dtype=np.bool_)
    done = 0
    while done < n:
        parts = 2 + integers.below(3, BATCH)
        sets = _draw_sets(integers, image, int(parts.sum()), PIECE_STOP, PIECE_AREA)
        unions = cast(Regions, np.logical_or.reduceat(sets, np.cumsum(parts) - parts))
        kept = unions[~is_convex(unions)][: n - done]
        found[done : done + len(kept)] = kept
        done += len(kept)
    return found


def _draw_sets(
    integers: RandomIntegers, image: tuple[int, int], n: int, stop: Fraction, least_area: int
) -> Regions:
    """Draw ``n`` intersections of half-planes, each of at least ``least_area`` pixels."""
    cuts = integers.geometric(stop, n)
    regions = np.ones((n, *image), dtype=np.bool_)
    active = np.arange(n)
    while len(active) > 0:
        before = regions[active]
        after = before & _draw_half_planes(integers, before)
        large = after.sum(axis=(1, 2)) >= least_area
        regions[active[large]] = after[large]
        cuts[active] -= 1
        active = active[large & (cuts[active] > 0)]
    return regions


def _draw_half_planes(integers: RandomIntegers, regions: Regions) -> Regions:
    """Draw a half-plane for each region, defined by two of its pixels."""
    in_rows = regions.sum(axis=2, dtype=np.int64)
    area = in_rows.sum(axis=1)
    y, x = _white_pixel(regions, in_rows, integers.below(area, len(area)))
    far_y, far_x = _white_pixel(regions, in_rows, integers.below(area, len(area)))
    # It contains pixel i if (i − p) · (q − p) >= 0, in integers below 2^11 for images of the set.
    height, width = (np.arange(size, dtype=np.int16) for size in regions.shape[1:])
    across = (far_x - x)[:, None] * (width - x[:, None])
    down = (far_y - y)[:, None] * (height - y[:, None])
    return np.asarray(across[:, None, :] + down[:, :, None] >= 0, dtype=np.bool_)


def _white_pixel(
    regions: Regions, in_rows: Integers, rank: Integers
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Row and column of the white pixel with ``rank`` (from 0, row by row) of each region."""
    each = np.arange(len(rank))
    up_to_row = in_rows.cumsum(axis=1)
    row = (up_to_row <= rank[:, None]).sum(axis=1)
    rank = rank - up_to_row[each, row] + in_rows[each, row]
    column = (regions[each, row].cumsum(axis=1) <= rank[:, None]).sum(axis=1)
    return row.astype(np.int16), column.astype(np.int16)


def outlines(white: Regions) -> tuple[Bits, Bits]:
    """The law of rect: which images (n, height, width) are outlines of one rectangle; labels."""
    rows, columns = np.asarray(white.any(axis=2)), np.asarray(white.any(axis=1))
    height, width = rows.sum(axis=1), columns.sum(axis=1)
    image = (white.shape[1], white.shape[2])
    found = Rectangles(image, height, width, rows.argmax(axis=1), columns.argmax(axis=1))
    outline = found.inside() & ~found.inside(margin=1)
    return (white == outline).all(axis=(1, 2)) & (height > 0), height > width


def convex_regions(white: Regions) -> tuple[Bits, Bits]:
    """The law of convex: which images (n, height, width) are not all black; labels."""
    return np.asarray(white.any(axis=(1, 2))), is_convex(white)


def is_convex(regions: Regions) -> Bits:
    """Whether each region contains every pixel centre in its convex hull, (n,).

    In a row, the edges of the hull are the outermost chords between a row above and a row below.
    Chords are compared in integers, below 2^11 for images of the set.
    """
    _, height, width = regions.shape
    filled: Bits = np.asarray(regions.any(axis=2))
    first = np.where(filled, regions.argmax(axis=2), width).T.astype(np.int16)  # (height, n)
    last = np.where(filled, width - 1 - regions[:, :, ::-1].argmax(axis=2), -1).T.astype(np.int16)
    solid = np.equal(regions.sum(axis=2), (last - first).T + 1)
    convex = (~filled | solid).all(axis=1)
    filled = filled.T
    for above in range(height):
        for below in range(above + 2, height):
            both = filled[above] & filled[below]
            for row in range(above + 1, below):
                near, far, distance = below - row, row - above, below - above
                left = -(-(first[above] * near + first[below] * far) // distance)
                right = (last[above] * near + last[below] * far) // distance
                outside = (left < first[row]) | (right > last[row])
                convex &= ~(both & (left <= right) & outside)
    return np.asarray(convex, dtype=np.bool_)
