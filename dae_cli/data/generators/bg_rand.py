"""bg-rand: digits on a background of random grey values.

Recipe (Larochelle et al., ICML 2007, with what the genuine rows show): every pixel is the greater
of the digit's, k/256, and a grey value uniform in [0, 1). All 60 genuine rows at hand are composed
so, each of another digit of MNIST's 70 000, training and test digits mixed, with no order that can
be seen; they are printed with eight digits, and no coarser grid is behind the grey values.
Images are stored transposed.

What is ours: the random numbers (of 24 bits, which float32 holds exactly), and the order of the
digits. An RBF SVM, selected on the validation rows and trained on all 12 000, errs on
14.71 ± .69 % of every fifth test row; the published one errs on 14.58 ± .31 %.
"""

from __future__ import annotations

import numpy as np

from dae_cli.data.content import Content
from dae_cli.data.datasets import DATASETS
from dae_cli.data.digits import Digits
from dae_cli.data.generators.digit_order import draw_digits, transposed
from dae_cli.data.generators.words import Words

SEED = 20070626
BITS = 24
BLOCK = 2048
"""Rows made at a time, to spare memory."""


def generate_bg_rand(digits: Digits) -> Content:
    """All rows of bg-rand: grey values in [0, 1), float32 (n, 784), and labels."""
    spec = DATASETS["bg-rand"]
    words = Words(SEED)
    chosen = draw_digits(words, digits, spec)
    n = len(chosen.labels)
    pixels = np.empty((n, digits.images.shape[1]), dtype=np.float32)
    for start in range(0, n, BLOCK):
        rows = slice(start, start + BLOCK)
        digit = transposed(chosen.images[rows]).astype(np.int64) << BITS - 8
        noise = words.below(1 << BITS, digit.size).reshape(digit.shape)
        pixels[rows] = np.maximum(digit, noise) * 2.0**-BITS
    cut = spec.n_train_file
    return Content(pixels[:cut], chosen.labels[:cut], pixels[cut:], chosen.labels[cut:])
