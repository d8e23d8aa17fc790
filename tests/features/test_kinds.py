"""What is called Gabor-like, a grating, a blob: each by shapes that are and shapes that are not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dae_cli.features.gabor import fit_gabors
from dae_cli.features.kinds import is_blob, is_gabor_like, is_grating
from tests.features.shapes import bell, gabor, noise

Array = NDArray[np.float64]


def kinds(filters: Array) -> set[str]:
    (fit,) = fit_gabors(filters)
    named = {"gabor": is_gabor_like, "grating": is_grating, "blob": is_blob}
    return {name for name, is_one in named.items() if is_one(fit)}


def board(side: int = 12) -> Array:
    return (-1.0) ** np.add.outer(np.arange(side), np.arange(side)).reshape(1, -1)


@pytest.mark.parametrize("side", [12, 28])
def test_edge_and_bar_detectors_are_gabor_like_and_no_gratings(side: int) -> None:
    across = side / 6
    shapes = [
        gabor(side, phase=phase, frequency=0.4 / across, across=across)
        for phase in (0, 60, 90, 180)
    ]
    fits = fit_gabors(np.concatenate(shapes))
    assert [is_gabor_like(fit) for fit in fits] == [True] * 4
    assert not any(is_grating(fit) or is_blob(fit) for fit in fits)


def test_one_step_from_dark_to_bright_is_a_full_lobe_pair() -> None:
    assert kinds(gabor(frequency=0.01, across=1.5, along=2, phase=90)) == {"gabor"}


@pytest.mark.parametrize("sigma", [0.9, 1.5, 3.0])
@pytest.mark.parametrize(("row", "column"), [(5.5, 5.5), (2.2, 8.0), (0.0, 11.0)])
def test_a_bell_is_a_blob_wherever_it_lies(sigma: float, row: float, column: float) -> None:
    assert kinds(bell(12, sigma, row, column)) == {"blob"}
    assert kinds(-bell(12, sigma, row, column)) == {"blob"}


def test_a_long_bell_is_a_blob_however_oriented_it_looks() -> None:
    assert kinds(bell(12, 1.0, 5.5, 5.0, stretch=3.0)) == {"blob"}


def test_a_spot_in_a_ring_of_the_other_sign_is_no_gabor() -> None:
    # Round as it is, stripes cannot explain .8 of it.
    ringed = bell(12, 1.2, 5.5, 5.5) - 0.25 * bell(12, 2.4, 5.5, 5.5)
    assert "gabor" not in kinds(ringed)


def test_a_constant_tile_is_nothing_that_a_unit_detects() -> None:
    assert kinds(np.ones((1, 144))) == set()


@pytest.mark.parametrize("side", [12, 28])
def test_a_grating_is_told_apart_from_a_detector(side: int) -> None:
    endless = gabor(side, frequency=2.6 / side, across=1e3, along=1e3, orientation=20)
    assert kinds(endless) == {"gabor", "grating"}
    wide = gabor(side, frequency=2.6 / side, across=side / 2, along=side / 2, orientation=70)
    assert kinds(wide) == {"gabor", "grating"}


def test_a_slow_step_over_the_whole_tile_is_no_grating() -> None:
    assert kinds(gabor(frequency=1 / 12, across=6, along=12, phase=90)) == {"gabor"}


def test_a_checkerboard_is_explained_and_yet_not_gabor_like() -> None:
    (fit,) = fit_gabors(board())
    assert fit.explained_variance > 0.95
    assert kinds(board()) == set()
    assert kinds(board() * bell(12, 2.0, 4.0, 6.0)) == set()


def test_columns_of_alternating_sign_are_not_gabor_like() -> None:
    assert "gabor" not in kinds(np.tile((-1.0) ** np.arange(12), (1, 12)))


@pytest.mark.parametrize("side", [12, 28])
def test_white_noise_is_of_no_kind(side: int) -> None:
    for fit in fit_gabors(noise(100 if side == 12 else 8, side, seed=1)):
        assert not (is_gabor_like(fit) or is_grating(fit) or is_blob(fit))


def test_smoothed_noise_is_hardly_ever_gabor_like() -> None:
    # Noise with a spectrum like that of half-trained units: blotches of about three pixels.
    from scipy import ndimage

    tiles = noise(100, seed=2).reshape(-1, 12, 12)
    smooth = ndimage.gaussian_filter(tiles, (0, 1, 1)).reshape(100, -1)
    smooth -= smooth.mean(axis=1, keepdims=True)
    assert sum(is_gabor_like(fit) for fit in fit_gabors(smooth)) <= 1


def test_a_detector_drowned_in_noise_is_no_longer_gabor_like() -> None:
    shape = gabor() / np.linalg.norm(gabor())
    rest = noise(1) / np.linalg.norm(noise(1))
    assert kinds(shape + 0.3 * rest) == {"gabor"}
    assert kinds(shape + 0.8 * rest) == set()
