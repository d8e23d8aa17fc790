"""What the measures of each set say of images whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from dae_cli.data.registry import REGISTRY
from dae_cli.proof.measures import Measure, measures_of
from dae_cli.proof.rows import Rows


def measured(name: str, images: np.ndarray, labels: list[int]) -> dict[str, float]:
    rows = Rows(images.reshape(-1, 784).astype(np.float32), np.array(labels, np.uint8), False)
    found = measures_of(name, rows)
    return {f"{m.part}: {m.name}": m.value for m in found}


@pytest.mark.parametrize("name", list(REGISTRY))
def test_every_set_has_measures_in_an_order_that_does_not_depend_on_the_rows(name: str) -> None:
    random = np.random.default_rng(0)
    names = []
    for n in (4, 9):
        images = random.integers(0, 256, (n, 784)) / 255
        labels = random.permutation(n) % 2
        rows = Rows(images.astype(np.float32), labels.astype(np.uint8), False)
        names.append([(m.part, m.name) for m in measures_of(name, rows)])
    assert names[0] == names[1]
    assert len(set(names[0])) == len(names[0])


def test_areas_of_convex_are_counted_for_each_class() -> None:
    images = np.zeros((4, 784))
    images[0, :100] = images[1, :300] = images[2, :50] = 1
    images[3] = 1
    found = measured("convex", images, [1, 1, 0, 1])
    assert found["convex: white pixels, mean"] == pytest.approx((100 + 300 + 784) / 3)
    assert found["not convex: white pixels, mean"] == 50
    assert found["convex: images all white"] == pytest.approx(1 / 3)
    assert found["all: share of label 1 (convex)"] == 0.75


def test_the_background_is_what_is_k_of_255_and_the_digit_what_is_k_of_256() -> None:
    image = np.full((1, 784), 51 / 255)
    image[0, :92] = 153 / 255
    image[0, 92:192] = 201 / 256  # the digit
    found = measured("bg-img", image, [3])
    assert found["all: pixels that are k/255 or k/256"] == 1
    assert found["all: pixels of the background (k/255)"] == pytest.approx(1 - 100 / 784)
    background = np.r_[np.full(92, 0.6), np.full(592, 0.2)]
    assert found["all: background, standard deviation, mean"] == pytest.approx(
        background.std(), rel=1e-5
    )


def test_a_rectangle_is_measured_and_a_filled_one_is_no_outline() -> None:
    images = np.zeros((2, 28, 28))
    images[:, 5:17, 3:10] = 1  # 12 high, 7 wide
    images[0, 6:16, 4:9] = 0
    found = measured("rect", images, [1, 0])
    assert found["all: images that are one outline"] == 0.5
    assert found["all: labels that say taller than wide"] == 0.5
    assert (found["all: height, mean"], found["all: width, mean"]) == (12, 7)
    assert (found["all: top row"], found["all: left column"]) == (5, 3)


def test_the_standard_error_of_a_mean_is_the_usual_one() -> None:
    values = np.random.default_rng(1).normal(size=400)
    usual = values.std(ddof=1) / 20
    assert Measure("all", "x", values).standard_error() == pytest.approx(usual, rel=0.15)
    assert Measure("all", "x", np.ones(30)).standard_error() == 0
