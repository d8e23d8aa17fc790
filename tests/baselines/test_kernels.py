"""Kernels and what they depend on, against their formulas."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dae_cli.baselines import kernels
from dae_cli.baselines.kernels import Kernel, basis, square_basis


def rows(n: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((n, 25), dtype=np.float32)


def test_an_rbf_kernel_is_the_exponential_of_the_squared_distance() -> None:
    a, b = rows(7), rows(5, seed=1)
    far = ((a[:, None].astype(float) - b.astype(float)) ** 2).sum(axis=2)
    np.testing.assert_allclose(Kernel("rbf", 0.3).between(a, b), np.exp(-0.3 * far), rtol=1e-12)


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5, 6, 7, 8, 13, 20])
def test_a_polynomial_kernel_is_the_power_of_the_inner_product(degree: int) -> None:
    a, b = rows(7), rows(5, seed=1)
    expected = (0.2 * (a.astype(float) @ b.astype(float).T) + 1.5) ** degree
    found = Kernel("poly", 0.2, degree, 1.5).between(a, b)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["rbf", "poly"])
@pytest.mark.parametrize("n", [1, 9, 10, 11, 37])
def test_the_square_basis_is_the_basis_of_all_pairs_whatever_the_blocks(
    kind: kernels.Kind, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "BLOCK_ROWS", 10)
    images = rows(n)
    found = square_basis(kind, images)
    np.testing.assert_allclose(found, basis(kind, images, images), rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(found, found.T)


def test_a_row_is_at_no_distance_from_itself() -> None:
    images = rows(20)
    np.testing.assert_array_equal(np.diag(square_basis("rbf", images)), 0)
    assert basis("rbf", images, images).min() >= 0


def test_images_are_left_as_they_were() -> None:
    images = rows(6)
    before = images.copy()
    Kernel("rbf", 1.0).between(images, images)
    doubles = images.astype(np.float64)
    Kernel("poly", 1.0, 5).between(doubles, doubles)
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(doubles, before)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Kernel("rbf", 0.0),
        lambda: Kernel("rbf", float("nan")),
        lambda: Kernel("poly", 1.0, 0),
        lambda: Kernel("poly", 1.0, 2, -1.0),
        lambda: Kernel("linear", 1.0),  # type: ignore[arg-type]
    ],
)
def test_parameters_that_make_no_kernel_are_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match="expected"):
        make()
