"""The errors of SVMs as a measure: what is trained, on what it is tested, and the bars."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dae_cli.data.dataset import Dataset, Split
from dae_cli.proof.difficulty import convex_difficulty, rect_img_difficulty


def two_kinds(name: str, n_test: int, swapped: bool = False) -> Dataset:
    """Left-bright and right-bright images; ``swapped`` labels only the test rows the other way."""
    random = np.random.default_rng(0)

    def split(n: int, swap: bool) -> Split:
        labels = (np.arange(n) % 2).astype(np.uint8)
        pixels = random.integers(0, 2, (n, 784)).astype(np.uint8)
        pixels[labels == 0, :200] = 1
        pixels[labels == 1, -200:] = 1
        return Split(pixels, 1 - labels if swap else labels, 1.0)

    return Dataset(
        name, 2, split(60, False), split(20, False), split(n_test, swapped), "regenerated", "0" * 64
    )


def ignore(_: str) -> None:
    pass


def test_convex_is_scored_on_its_own_rows_and_on_genuine_ones() -> None:
    ours = two_kinds("convex", 40)
    genuine = replace(two_kinds("convex", 40, swapped=True), origin="original")
    own, transferred = convex_difficulty(ours, genuine, ignore)
    assert (own.genuine, own.regenerated, own.tolerance) == (100, 0, 1.0)
    assert (transferred.genuine, transferred.regenerated, transferred.tolerance) == (100, 100, 1.5)
    assert (own.holds, transferred.holds) == (False, True)
    assert "C 10, gamma 0.01" in own.measure


def test_rect_img_stands_beside_the_published_svms_and_only_the_calibrated_one_is_judged() -> None:
    notes: list[str] = []
    rbf, poly = rect_img_difficulty(two_kinds("rect-img", 40), notes.append)
    assert (rbf.genuine, rbf.genuine_rows, rbf.tolerance) == (24.04, "ICML 2008", 0.5)
    assert (poly.genuine, poly.tolerance, poly.holds) == (24.05, None, None)
    assert rbf.regenerated == pytest.approx(0, abs=3)
    assert notes
