"""rot-bg-img: turned digits over patches of photographs.

Recipe (Larochelle et al., ICML 2007, with what the genuine rows show): a digit turned by an angle
uniform in [0, 2π) (``rotation.py``), and every pixel the greater of the turned digit's and the
patch's (``backgrounds.py``). Digit and patch are both k/255 here, while rot and bg-img have digits
of k/256. With the right digit of MNIST and the right angle all 60 genuine rows at hand come out so
in every pixel that the patch does not cover, to the eight digits printed (largest difference
1.5e-8). They are 60 different digits of MNIST's 70 000, others than those of rot and bg-img, with
no order that can be seen. Images are stored transposed.

What is ours: the photographs, the angles, and the order of the digits.
"""

from __future__ import annotations

import numpy as np

from dae_cli.data.content import Content
from dae_cli.data.datasets import DATASETS
from dae_cli.data.digits import Digits
from dae_cli.data.generators.backgrounds import GREYS, draw_backgrounds
from dae_cli.data.generators.digit_order import draw_digits, transposed
from dae_cli.data.generators.rotation import N_PIXELS, rotated
from dae_cli.data.generators.words import Words

SEED = 20070628
BLOCK = 128
"""Rows made at a time, so that they stay in the processor's own memory."""


def generate_rot_bg_img(digits: Digits) -> Content:
    """All rows of rot-bg-img: grey values in [0, 1], float32 (n, 784), and labels."""
    spec = DATASETS["rot-bg-img"]
    words = Words(SEED)
    chosen = draw_digits(words, digits, spec)
    n = len(chosen.labels)
    across, down = words.directions(n)
    backgrounds = draw_backgrounds(words, n)
    pixels = np.empty((n, N_PIXELS), dtype=np.float32)
    for start in range(0, n, BLOCK):
        rows = slice(start, start + BLOCK)
        turned = rotated(chosen.images[rows], across[rows], down[rows])
        patch = backgrounds[rows]
        pixels[rows] = transposed(np.where(turned > patch, turned / 255, GREYS[patch]))
    cut = spec.n_train_file
    return Content(pixels[:cut], chosen.labels[:cut], pixels[cut:], chosen.labels[cut:])
