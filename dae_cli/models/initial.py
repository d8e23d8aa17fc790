"""Where the parameters start."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

# ICML 2008 does not give its initial weights. "tutorial" is the range of the authors' Theano
# tutorial for sigmoid units, four times the range of Glorot and Bengio (2010).
RANGE_FACTOR = {"glorot": 1.0, "tutorial": 4.0}


def uniform_weights(
    outputs: int, inputs: int, init: str, random: np.random.Generator, dtype: torch.dtype
) -> Tensor:
    """Draw W ~ U(−r, r) with r = factor · sqrt(6 / (inputs + outputs)), shape (outputs, inputs)."""
    limit = RANGE_FACTOR[init] * math.sqrt(6.0 / (inputs + outputs))
    raw = random.bit_generator.random_raw(outputs * inputs)
    unit = (raw >> np.uint64(11)) * 2.0**-53  # uniform in [0, 1), all 53 bits of a double
    weights = (2.0 * unit - 1.0) * limit
    return torch.from_numpy(weights.reshape(outputs, inputs)).to(dtype)
