"""What the eye calls a fitted filter: Gabor-like, a grating, a blob. The limits, and why these.

The .8 was given; the other limits were set on the filters of two autoencoders of 12 × 12 natural
patches, trained with Gaussian corruption and looked at in the order of each measure beside their
fits. There the kinds and the eye disagree on about 4 units in 100: faint second lobes, and
detectors among texture that explain .7 to .8.
"""

from __future__ import annotations

from dae_cli.features.gabor import GaborFit

LEAST_EXPLAINED = 0.8
"""Of the filter's energy. White noise of 12 × 12 pixels gives .1 to .2, never half of this."""

LEAST_WEAKER_SIGN = 0.15
"""Share of the fitted energy that is a full lobe pair: what one flank has of a Ricker wavelet (a
lobe between two flanks that cancel its sum: .148 each). A bell has 0, and a bell at the tile's
border with a faint shadow beside it .02 to .14."""

HIGHEST_FREQUENCY = 0.4
"""Cycles a pixel, of the carrier: stripes of 1.25 pixels. Beyond are checkerboards (.71) and
pixels of alternating sign (.5), which units that learned nothing show; trained edge detectors
stay below .3."""

LEAST_COVERAGE = 0.5
"""Share of the tile that a grating fills, where its envelope is above half of its height; and
that the one lobe of a blob does not fill."""

LEAST_CYCLES = 2.0
"""Of a grating, across where its envelope is above half of its height: an edge detector has about
one there, and a slow step over the whole tile half a one."""


def is_gabor_like(fit: GaborFit) -> bool:
    """Whether a Gabor explains the filter, with at least one full lobe pair; gratings are, too."""
    return (
        fit.explained_variance >= LEAST_EXPLAINED
        and fit.weaker_sign_share >= LEAST_WEAKER_SIGN
        and fit.carrier_cycles_per_pixel <= HIGHEST_FREQUENCY
    )


def is_grating(fit: GaborFit) -> bool:
    """Whether it is Gabor-like, and its stripes go on over most of the tile."""
    return is_gabor_like(fit) and fit.coverage >= LEAST_COVERAGE and fit.cycles >= LEAST_CYCLES


def is_blob(fit: GaborFit) -> bool:
    """Whether the equation explains the filter by one lobe, which is not the whole tile."""
    return (
        fit.explained_variance >= LEAST_EXPLAINED
        and fit.weaker_sign_share < LEAST_WEAKER_SIGN
        and fit.peak_coverage < LEAST_COVERAGE
    )
