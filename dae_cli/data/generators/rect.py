"""rect: is the outline of a rectangle taller than wide?

Recipe (Larochelle et al., ICML 2007, with the numbers measured on the genuine rows): an outline
one pixel wide, white on black. All 506 pairs of height and width from 4 to 28 that differ by 3 or
more are equally likely, and so are all places where the rectangle fits. Label 1 = taller than wide.

All 60 genuine rows at hand are such outlines, with sides from 4 to 28 and differences from 3.
What is ours: only the random numbers. With 1000 training rows these matter, so the seed is the
median of eight by the test error of a fixed SVM (``docs/rect_draws.py``, docs/datasets.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.content import Content
from dae_cli.data.datasets import DATASETS
from dae_cli.data.generators.rectangles import N_PIXELS, draw_rectangles, pairs_of_sides, span
from dae_cli.data.generators.words import Integers, Words

SEED = 6
LEAST_SIDE, LEAST_DIFFERENCE = 4, 3


def generate_rect(seed: int = SEED) -> Content:
    """All rows of rect: pixels 0 or 1, uint8 (n, 784), and labels."""
    spec = DATASETS["rect"]
    cut = spec.n_train_file
    pixels, labels = draw_outlines(Words(seed), cut + spec.n_test)
    return Content(pixels[:cut], labels[:cut], pixels[cut:], labels[cut:])


def allowed_sides() -> Integers:
    """All (height, width) pairs that the recipe allows, shape (506, 2)."""
    pairs = pairs_of_sides(LEAST_SIDE)
    return pairs[abs(pairs[:, 0] - pairs[:, 1]) >= LEAST_DIFFERENCE]


def draw_outlines(words: Words, n: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """``n`` outlines, pixels 0 or 1 (n, 784), and their labels."""
    drawn = draw_rectangles(words, allowed_sides(), n)
    within_rows, on_rows = span(drawn.top, drawn.height)
    within_columns, on_columns = span(drawn.left, drawn.width)
    outline = (on_rows[:, :, None] & within_columns[:, None]) | (
        within_rows[:, :, None] & on_columns[:, None]
    )
    return outline.reshape(n, N_PIXELS).astype(np.uint8), drawn.labels
