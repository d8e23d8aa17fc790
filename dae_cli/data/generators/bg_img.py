"""bg-img: digits over patches of photographs.

Recipe (Larochelle et al., ICML 2007, with what the genuine rows show): every pixel is the greater
of the digit's, k/256, and the patch's, k/255 (``backgrounds.py``). All 60 genuine rows at hand are
composed so in every pixel, each of another digit of MNIST's 70 000, training and test digits
mixed, with no order that can be seen. Images are stored transposed.

What is ours: the photographs, and the order of the digits. How hard the set is for an SVM was in
view when the backgrounds were chosen; rot-bg-img, with the same backgrounds, is the fairer test.
"""

from __future__ import annotations

import numpy as np

from dae_cli.data.content import Content
from dae_cli.data.datasets import DATASETS
from dae_cli.data.digits import Digits
from dae_cli.data.generators.backgrounds import GREYS, draw_backgrounds
from dae_cli.data.generators.digit_order import draw_digits, transposed
from dae_cli.data.generators.words import Words

SEED = 20070627
BLOCK = 2048
"""Rows made at a time, to spare memory."""


def generate_bg_img(digits: Digits) -> Content:
    """All rows of bg-img: grey values in [0, 1], float32 (n, 784), and labels."""
    spec = DATASETS["bg-img"]
    words = Words(SEED)
    chosen = draw_digits(words, digits, spec)
    n = len(chosen.labels)
    backgrounds = draw_backgrounds(words, n)
    pixels = np.empty((n, digits.images.shape[1]), dtype=np.float32)
    for start in range(0, n, BLOCK):
        rows = slice(start, start + BLOCK)
        composed = np.maximum(chosen.images[rows] / 256, GREYS[backgrounds[rows]])
        pixels[rows] = transposed(composed)
    cut = spec.n_train_file
    return Content(pixels[:cut], chosen.labels[:cut], pixels[cut:], chosen.labels[cut:])
