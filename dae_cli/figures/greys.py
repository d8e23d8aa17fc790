"""From weights to greys and back: the one grey scale of every sheet, of each colour as well.

A weight of 0 is mid grey (128), ``-limit`` and below black (0), ``+limit`` and above white (255),
linear between. One limit, ``common_limit``, serves all sheets that are compared, so that equal
greys mean equal weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dae_cli.errors import ConfigError, DaeError

Weights = NDArray[np.floating[Any]]
Greys = NDArray[np.uint8]
ImageShape = tuple[int, ...]
"""Height and width in pixels of the images whose pixels are the inputs, row by row; and 3 where
each pixel is red, green and blue."""
Scale = Literal["shared", "tile"]
"""``shared``: one limit for all tiles. ``tile``: each tile by its own largest \\|w\\|, which shows
the shape of weak filters too, as many papers do, but hides how strong they are."""

_MID_GREY = 128


def common_limit(weights_list: Sequence[Weights]) -> float:
    """The one grey limit for all sheets that are compared: a quantile of |W| over all of them.

    A quantile and not the maximum, since a single large weight would turn all else grey: five
    weights in a thousand are clipped. Give the rows that will be shown. Where the quantile is 0 the
    maximum is taken, and 1 where all weights are 0.

    Raises:
        DaeError: a weight is NaN or infinite.
    """
    sizes = np.concatenate([np.abs(finite(weights)).ravel() for weights in weights_list])
    return float(np.quantile(sizes, 0.995)) or float(sizes.max()) or 1.0


def greys(weights: Weights, limit: float, scale: Scale = "shared") -> Greys:
    """Return (units, inputs) greys of the documented scale, 0 black to 255 white."""
    limits: float | NDArray[np.float64] = limit
    if scale == "tile":
        largest = np.abs(weights).max(axis=1, keepdims=True).astype(np.float64)
        limits = np.where(largest > 0, largest, 1.0)
    share = np.clip(weights.astype(np.float64) / limits, -1.0, 1.0)
    return np.floor(127.5 * share + _MID_GREY).astype(np.uint8)


def weights_of(greys: Greys, limit: float) -> NDArray[np.float32]:
    """Return weights that have these greys on the shared scale, the middle of what each stands for.

    What was clipped at the limit stays at it.
    """
    share = (greys.astype(np.float64) + 0.5 - _MID_GREY) / 127.5
    return (np.clip(share, -1.0, 1.0) * limit).astype(np.float32)


def upright(weights: Weights, image: ImageShape) -> Weights:
    """Turn filters of images that are stored transposed: (units, width · height) to be looked at.

    The benchmark stores rot, bg-rand, bg-img and rot-bg-img so; filters learned from them show
    digits upright only after this.

    Args:
        image: height and width of the upright image.
    """
    height, width = image  # none of colours is stored so
    turned = weights.reshape(-1, width, height).transpose(0, 2, 1)
    return np.ascontiguousarray(turned).reshape(weights.shape)


def square_image(inputs: int) -> ImageShape:
    """Height and width of a square image of so many pixels.

    Raises:
        ConfigError: it is not a square number.
    """
    side = isqrt(inputs)
    if side * side != inputs:
        raise ConfigError(
            f"filters of {inputs} inputs cannot be shown as square tiles: {inputs} is not a "
            "square number; choose a layer that sees the pixels, the first"
        )
    return side, side


def finite(weights: Weights, units: Sequence[int] | None = None) -> Weights:
    """Return ``weights`` as they are.

    Args:
        units: which unit each row is, for the message; its place unless given.

    Raises:
        DaeError: a weight is NaN or infinite.
    """
    if not np.isfinite(weights).all():
        row = int(np.argwhere(~np.isfinite(weights))[0][0])
        raise DaeError(
            f"the weights of unit {row if units is None else units[row]} hold NaN or infinity; "
            "its training diverged: train again with a lower learning rate"
        )
    return weights
