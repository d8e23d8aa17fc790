"""Conversion of weights to greys and back: one grey scale for all sheets and each colour channel.

A weight of 0 is mid grey (128), ``-limit`` and below black (0), ``+limit`` and above white (255);
the scale is linear in between. Sheets that are compared share one limit, ``common_limit``, so that
equal greys mean equal weights.
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
"""(height, width) in pixels of the images whose pixels are the inputs, in row-major order; or
(height, width, 3) if each pixel has red, green and blue."""
Scale = Literal["shared", "tile"]
"""``shared``: one limit for all tiles. ``tile``: a separate limit for each tile, its largest
\\|w\\|, which shows the shape of weak filters, as in many papers, but hides their strength."""

_MID_GREY = 128


def common_limit(weights_list: Sequence[Weights]) -> float:
    """Return the common grey limit for sheets that are compared: the 99.5 % quantile of |W|.

    The maximum would not do, because a single large weight would make everything else grey. Pass
    only the rows that will be shown. If the quantile is 0, the limit is the maximum; if all weights
    are 0, it is 1.

    Raises:
        DaeError: a weight is NaN or infinite.
    """
    sizes = np.concatenate([np.abs(finite(weights)).ravel() for weights in weights_list])
    return float(np.quantile(sizes, 0.995)) or float(sizes.max()) or 1.0


def greys(weights: Weights, limit: float, scale: Scale = "shared") -> Greys:
    """Convert weights (units, inputs) to greys of the same shape, 0 black to 255 white."""
    limits: float | NDArray[np.float64] = limit
    if scale == "tile":
        largest = np.abs(weights).max(axis=1, keepdims=True).astype(np.float64)
        limits = np.where(largest > 0, largest, 1.0)
    share = np.clip(weights.astype(np.float64) / limits, -1.0, 1.0)
    return np.floor(127.5 * share + _MID_GREY).astype(np.uint8)


def weights_of(greys: Greys, limit: float) -> NDArray[np.float32]:
    """Convert greys of the shared scale to weights, the middle of the range that each represents.

    Weights that were clipped are returned as the limit.
    """
    share = (greys.astype(np.float64) + 0.5 - _MID_GREY) / 127.5
    return (np.clip(share, -1.0, 1.0) * limit).astype(np.float32)


def upright(weights: Weights, image: ImageShape) -> Weights:
    """Transpose filters (units, width · height) of images that are stored transposed.

    The benchmark stores rot, bg-rand, bg-img and rot-bg-img this way, so filters learned from them
    must be transposed to show digits upright.

    Args:
        image: height and width of the upright image.
    """
    height, width = image  # no colour images are stored this way
    turned = weights.reshape(-1, width, height).transpose(0, 2, 1)
    return np.ascontiguousarray(turned).reshape(weights.shape)


def square_image(inputs: int) -> ImageShape:
    """Return the height and width of a square image with this number of pixels.

    Raises:
        ConfigError: the number is not a square.
    """
    side = isqrt(inputs)
    if side * side != inputs:
        raise ConfigError(
            f"filters of {inputs} inputs cannot be shown as square tiles: {inputs} is not a "
            "square number; choose the first layer, whose inputs are pixels"
        )
    return side, side


def finite(weights: Weights, units: Sequence[int] | None = None) -> Weights:
    """Return ``weights`` unchanged if they are finite.

    Args:
        units: unit number of each row, for the message; by default the row number.

    Raises:
        DaeError: a weight is NaN or infinite.
    """
    if not np.isfinite(weights).all():
        row = int(np.argwhere(~np.isfinite(weights))[0][0])
        raise DaeError(
            f"the weights of unit {row if units is None else units[row]} contain NaN or infinity: "
            "training diverged; lower the learning rate and train again"
        )
    return weights
