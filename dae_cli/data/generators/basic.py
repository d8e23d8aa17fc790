"""basic: the digits of MNIST as they are.

The original is MNIST's training file followed by its test file, in their order: rows 0 … 11999
are the training file of the set, rows 12000 … 61999 its test file. A pixel is k/256, so the
brightest is 255/256. The 60 genuine rows at hand agree in every bit; so this is the original,
not an imitation, and there is nothing random in it.
"""

from __future__ import annotations

from dae_cli.data.content import Content
from dae_cli.data.datasets import DATASETS
from dae_cli.data.digits import Digits


def generate_basic(digits: Digits) -> Content:
    """All rows of basic: pixels k of k/256, uint8 (n, 784), and labels."""
    spec = DATASETS["basic"]
    cut, end = spec.n_train_file, spec.n_train_file + spec.n_test
    return Content(
        digits.images[:cut], digits.labels[:cut], digits.images[cut:end], digits.labels[cut:end]
    )
