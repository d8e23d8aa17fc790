"""Whitening of photographs, as it is done before natural images are learned from.

The amplitude spectrum of natural scenes falls as 1/f. A filter that rises as f makes it flat; the
highest frequencies, where a photograph has noise and the corners of its grid, are cut off:

    R(f) = f · exp(−(f/f₀)⁴)

References: Olshausen and Field 1997, section 4.1 (with f₀ = .4 cycles per pixel and a variance of
.1, the scenes that JMLR 2010, section 5, learned from).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def whitened(grey: NDArray[np.uint8], cutoff: float) -> NDArray[np.float32]:
    """Whiten a photograph, and scale it to a standard deviation of 1.

    It is continued by its mirror image, so that its edges meet and leave no trace.

    Args:
        grey: (height, width).
        cutoff: f₀, in cycles per pixel; above 0.

    Returns:
        (height, width). A photograph of one grey gives zeros.
    """
    height, width = grey.shape
    if grey.min() == grey.max():
        return np.zeros((height, width), np.float32)
    mirrored = np.pad(grey.astype(np.float64), ((0, height), (0, width)), "symmetric")
    down = np.fft.fftfreq(2 * height)[:, None]
    across = np.fft.rfftfreq(2 * width)[None]
    frequency = np.hypot(down, across)
    response = frequency * np.exp(-((frequency / cutoff) ** 4))
    whole = np.fft.irfft2(np.fft.rfft2(mirrored) * response, s=mirrored.shape)
    return standardized(whole[:height, :width])


def standardized(image: NDArray[np.float64] | NDArray[np.uint8]) -> NDArray[np.float32]:
    """Take the mean away, and scale to a standard deviation of 1; of one value, zeros."""
    centred: NDArray[np.float64] = image - image.mean(dtype=np.float64)
    deviation = float(centred.std())
    return (centred / (deviation or 1.0)).astype(np.float32)
