"""convex: is the white region convex?

Recipe (Larochelle et al., ICML 2007; what the paper leaves open was read off the genuine images):

- a half-plane is made of two white pixels p and q drawn from the region as it is: its border goes
  through p at a right angle to the line from p to q, and it holds the border and q (everything
  where q is p);
- a convex set: the whole image, cut by a geometric (.195) number of half-planes, each made from
  the pixels that the ones before it left. The first cut that would leave fewer than 20 pixels is
  not made and ends the set;
- not convex: a union of 2 to 4 (uniform) such sets, with a geometric (.07) number of half-planes
  and at least 11 pixels each, kept if some pixel inside the hull of the region is black (all
  58 000 genuine images obey this definition);
- the labels of the training file are fair coins; the test file has its 25 000 convex images first.

The paper's words are "location and orientation chosen uniformly at random" and "rejected if there
were less than 19 pixels" (10 for the sets of a union). Area in pixels, test file:

                 mean   percentiles 5 / 25 / 50 / 75 / 95
    convex       298   23   72  242  499  729    genuine: 301   23   74  245  504  733
    not convex   305   31   93  255  491  718    genuine: 303   31   94  252  487  715
"""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.content import Content
from dae_cli.data.datasets import DATASETS
from dae_cli.data.generators.words import Integers, Words

Region = NDArray[np.bool_]

SIDE = 28
N_PIXELS = SIDE * SIDE
SEED = 20070620

CONVEX_STOP, CONVEX_AREA = Fraction(195, 1000), 20
PIECE_STOP, PIECE_AREA = Fraction(7, 100), 11
BATCH = 1024


def generate_convex() -> Content:
    """All rows of convex: pixels 0 or 1, uint8 (n, 784), and labels (1 = convex)."""
    spec = DATASETS["convex"]
    words = Words(SEED)
    labels = words.below(2, spec.n_train_file).astype(np.uint8)
    test_labels = np.repeat(np.array([1, 0], dtype=np.uint8), spec.n_test // 2)
    return Content(
        _draw_images(words, labels), labels, _draw_images(words, test_labels), test_labels
    )


def _draw_images(words: Words, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    images = np.empty((len(labels), SIDE, SIDE), dtype=np.uint8)
    images[labels == 1] = draw_convex(words, int((labels == 1).sum()))
    images[labels == 0] = draw_non_convex(words, int((labels == 0).sum()))
    return images.reshape(-1, N_PIXELS)


def draw_convex(words: Words, n: int) -> Region:
    """``n`` convex regions (n, 28, 28)."""
    found = np.empty((n, SIDE, SIDE), dtype=np.bool_)
    for start in range(0, n, BATCH):
        part = found[start : start + BATCH]
        part[:] = _draw_sets(words, len(part), CONVEX_STOP, CONVEX_AREA)
    return found


def draw_non_convex(words: Words, n: int) -> Region:
    """``n`` unions of 2 to 4 convex sets (n, 28, 28) that are not convex."""
    found = np.empty((n, SIDE, SIDE), dtype=np.bool_)
    done = 0
    while done < n:
        parts = 2 + words.below(3, BATCH)
        sets = _draw_sets(words, int(parts.sum()), PIECE_STOP, PIECE_AREA)
        unions = cast(Region, np.logical_or.reduceat(sets, np.cumsum(parts) - parts))
        kept = unions[~is_convex(unions)][: n - done]
        found[done : done + len(kept)] = kept
        done += len(kept)
    return found


def draw_half_planes(words: Words, regions: Region) -> Region:
    """For each region (n, 28, 28) a half-plane (n, 28, 28) made of two of its pixels."""
    in_rows = regions.sum(axis=2, dtype=np.int64)
    area = in_rows.sum(axis=1)
    y, x = _white_pixel(regions, in_rows, words.below(area, len(area)))
    far_y, far_x = _white_pixel(regions, in_rows, words.below(area, len(area)))
    # Pixel i is in if (i − p) · (q − p) >= 0: whole numbers below 2^11, no rounding.
    grid = np.arange(SIDE, dtype=np.int16)
    across = (far_x - x)[:, None] * (grid - x[:, None])
    down = (far_y - y)[:, None] * (grid - y[:, None])
    return np.asarray(across[:, None, :] + down[:, :, None] >= 0, dtype=np.bool_)


def is_convex(regions: Region) -> Region:
    """Whether each region (n, 28, 28) holds every pixel centre of its convex hull.

    The hull's edges in a row are the outermost chords between a row above and one below;
    chords are compared in whole numbers, all below 2^11.
    """
    filled: Region = np.asarray(regions.any(axis=2))
    first = np.where(filled, regions.argmax(axis=2), SIDE).T.astype(np.int16)  # (28, n)
    last = np.where(filled, SIDE - 1 - regions[:, :, ::-1].argmax(axis=2), -1).T.astype(np.int16)
    solid = np.equal(regions.sum(axis=2), (last - first).T + 1)
    convex = (~filled | solid).all(axis=1)
    filled = filled.T
    for above in range(SIDE):
        for below in range(above + 2, SIDE):
            both = filled[above] & filled[below]
            for row in range(above + 1, below):
                near, far = below - row, row - above
                height = below - above
                left = -(-(first[above] * near + first[below] * far) // height)
                right = (last[above] * near + last[below] * far) // height
                outside = (left < first[row]) | (right > last[row])
                convex &= ~(both & (left <= right) & outside)
    return np.asarray(convex, dtype=np.bool_)


def _draw_sets(words: Words, n: int, stop: Fraction, least_area: int) -> Region:
    """``n`` intersections of half-planes (n, 28, 28), each of at least ``least_area`` pixels."""
    cuts = words.geometric(stop, n)
    regions = np.ones((n, SIDE, SIDE), dtype=np.bool_)
    active = np.arange(n)
    while len(active) > 0:
        before = regions[active]
        after = before & draw_half_planes(words, before)
        large = after.sum(axis=(1, 2)) >= least_area
        regions[active[large]] = after[large]
        cuts[active] -= 1
        active = active[large & (cuts[active] > 0)]
    return regions


def _white_pixel(
    regions: Region, in_rows: Integers, rank: Integers
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Row and column of the white pixel with ``rank`` (from 0, row by row) of each region."""
    each = np.arange(len(rank))
    up_to_row = in_rows.cumsum(axis=1)
    row = (up_to_row <= rank[:, None]).sum(axis=1)
    rank = rank - up_to_row[each, row] + in_rows[each, row]
    column = (regions[each, row].cumsum(axis=1) <= rank[:, None]).sum(axis=1)
    return row.astype(np.int16), column.astype(np.int16)
