"""The recipes of the eight sets give the same bytes on every machine and the facts of each set."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import ConvexHull

from tests.entry_points.data import RandomIntegers, regenerated, rotated
from tests.support.commands import Ended

Dae = Callable[..., Ended]
Array = NDArray[Any]
Digits = tuple[Array, Array]
Genuine = Callable[[str], Digits]
Identified = Callable[[str], tuple[Array, Array, Array]]

ROOT = Path(__file__).resolve().parents[1]
FROM_DIGITS = ("basic", "rot", "bg-rand", "bg-img", "rot-bg-img")
PUBLISHED = {
    "basic": "0160063fe7b9598c556ea2c9cf7d571cf9aa654670e54313ff1089a11579ed52",
    "rot": "b78ee959b86652a0c569a6ede70495ab8edb54a91b0ecf430783570d3c8cc9a1",
    "bg-rand": "78350c3dcee69a5932f51974d9a53d4d4805cfdceb94a07fc0967d80cc7a90fe",
    "bg-img": "c6dadef861387080ae294b80e3370240c9c5700cea1a02b7840552897ea8d69a",
    "rot-bg-img": "da2c595c654339257d2c81908eebcde1258891a2b0b642f78e72b550027676d3",
    "rect": "137a11ac69be027bb202de4a7a413ee60d3037a3ebc0138874ce38ec002cf598",
    "rect-img": "76d4939515f4383dc8fc3fbaab3b5e64412cf277b772ddd9de2bdcc5a66cc051",
    "convex": "17e21309807955ce013ff1d43995ee7dad052089bae57c0b2a9e86f9b6a0466e",
}


def stand_ins(n: int = 200) -> Digits:
    """Uneven crosses with different greys; the label of each is its index."""
    images = np.zeros((n, 28, 28), dtype=np.uint8)
    number = np.arange(n, dtype=np.uint8)[:, None, None]
    images[:, 5:20, 12:15] = 255 - number // 2
    images[:, 8:10, 6:24] = 100 + number // 2
    images[:, 24:, :3] = 31
    return images.reshape(n, 784), np.arange(n, dtype=np.uint8)


def blank(n: int) -> Digits:
    """Digits without ink."""
    return np.zeros((n, 784), np.uint8), np.zeros(n, np.uint8)


def upright(images: Array) -> Array:
    """Transpose images, (n, 784)."""
    return images.reshape(-1, 28, 28).transpose(0, 2, 1).reshape(len(images), 784)


def together(arrays: dict[str, Array]) -> Digits:
    """Concatenate the rows and labels of both files."""
    images = np.concatenate([arrays["X"], arrays["Xtest"]])
    return images, np.concatenate([arrays["Y"], arrays["Ytest"]])


@cache
def small(name: str) -> dict[str, Array]:
    """A set of 80 training and 120 test rows, made from the stand-ins if it needs digits."""
    return regenerated(name, 80, 120, stand_ins() if name in FROM_DIGITS else None)


@pytest.fixture(scope="module")
def genuine(test_data: Path) -> Genuine:
    """A reader of the genuine rows and labels of a set: the first and last ten of each split."""

    def read(name: str) -> Digits:
        with np.load(test_data / "genuine_rows" / f"{name}.npz") as rows:
            return rows["X"], rows["y"]

    return read


@pytest.fixture(scope="module")
def mnist(test_data: Path) -> Digits:
    """MNIST, training digits first."""

    def read(what: str, header: int) -> Array:
        paths = [test_data / "mnist" / f"{part}-{what}-ubyte.gz" for part in ("train", "t10k")]
        content = b"".join(gzip.decompress(path.read_bytes())[header:] for path in paths)
        return np.frombuffer(content, np.uint8)

    return read("images-idx3", 16).reshape(-1, 784), read("labels-idx1", 8)


@pytest.fixture(scope="module")
def identified(genuine: Genuine, mnist: Digits) -> Identified:
    """A reader of upright genuine rows, the digit in each, and its angle of rotation."""
    text = Path(__file__).with_name("identified_rows.json").read_text(encoding="utf-8")
    found = {name: np.array(rows).reshape(60, -1) for name, rows in json.loads(text).items()}

    def read(name: str) -> tuple[Array, Array, Array]:
        (images, labels), numbers = genuine(name), found[name][:, 0].astype(int)
        np.testing.assert_array_equal(mnist[1][numbers], labels)
        return upright(images), mnist[0][numbers], found[name][:, -1]

    return read


def test_the_stream_of_whole_numbers_is_the_same_on_every_machine() -> None:
    integers = RandomIntegers(1)
    assert integers.below(1000, 6).tolist() == [511, 950, 144, 948, 311, 423]
    assert integers.geometric(Fraction(1, 5), 6).tolist() == [8, 3, 4, 1, 7, 4]
    across, down = integers.directions(3)
    assert across.tolist() == [-698, -1499, -1215]
    assert down.tolist() == [1182, -397, -974]
    assert integers.below(np.array([1, 5, 900, 1 << 31]), 4).tolist() == [0, 4, 788, 1013418405]
    assert [len(part) for part in integers.directions(0)] == [0, 0]
    for percent, digest in (("19.5", "61bb2827a6a92f4f"), ("7", "1a3ab9d48563c3ff")):
        numbers = RandomIntegers(2).geometric(Fraction(percent) / 100, 5000)
        assert hashlib.sha256(numbers.astype("<i8").tobytes()).hexdigest()[:16] == digest


def test_a_recipe_makes_the_same_bytes_on_every_machine() -> None:
    for name, kind, digest in (
        ("basic", "uint8", "6ef8b2dcc7db5dc9"),
        ("rot", "float32", "00ccffcb7efb2068"),
        ("bg-rand", "float32", "6cc54de399dee4d9"),
        ("bg-img", "float32", "7f97349c1477afaa"),
        ("rot-bg-img", "float32", "4ec15fa90da5de5a"),
        ("rect", "uint8", "7838f95804507be2"),
        ("rect-img", "uint8", "057afe658016b497"),
        ("convex", "uint8", "5dffaa72342ec0c1"),
    ):
        arrays = small(name)
        assert [arrays[key].shape for key in arrays] == [(80, 784), (80,), (120, 784), (120,)]
        assert {arrays["X"].dtype, arrays["Xtest"].dtype} == {np.dtype(kind)}
        assert {arrays["Y"].dtype, arrays["Ytest"].dtype} == {np.dtype("uint8")}
        found = hashlib.sha256()
        for array in arrays.values():
            found.update(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).data)
        assert found.hexdigest()[:16] == digest, name


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name != "rect")) for name in PUBLISHED],
)
def test_each_whole_set_is_what_it_was_when_its_digest_was_published(
    dae: Dae, name: str, request: pytest.FixtureRequest
) -> None:
    words = ["data", "make", name, "--format", "json"]
    if name in FROM_DIGITS:
        words += ["--data-dir", str(request.getfixturevalue("test_data"))]
    (entry,) = dae(*words).succeeded().json
    assert (entry["origin"], entry["sha256"]) == ("regenerated", PUBLISHED[name])


@pytest.fixture(scope="module")
def rect() -> dict[str, Array]:
    """The whole of rect."""
    return regenerated("rect", 1200, 50_000)


def boxes(images: Array) -> Array:
    """Top, left, height and width of the white box in each image, (4, n)."""
    white = images.reshape(-1, 28, 28) > 0
    rows: Array = np.asarray(white.any(axis=2))
    columns: Array = np.asarray(white.any(axis=1))
    top, left = rows.argmax(axis=1), columns.argmax(axis=1)
    bottom, right = 28 - rows[:, ::-1].argmax(axis=1), 28 - columns[:, ::-1].argmax(axis=1)
    return np.stack([top, left, bottom - top, right - left])


def are_outlines_of_rect(images: Array, labels: Array) -> None:
    """Check that rows are as in rect: an outline one pixel wide, sides 4 to 28, 3 or more apart."""
    top, left, height, width = boxes(images)[:, :, None, None]
    y, x = np.mgrid[:28, :28]
    inside = (y >= top) & (y < top + height) & (x >= left) & (x < left + width)
    deep = (y > top) & (y < top + height - 1) & (x > left) & (x < left + width - 1)
    np.testing.assert_array_equal(images.reshape(-1, 28, 28), inside & ~deep)
    assert min(height.min(), width.min()) >= 4
    assert np.abs(height - width).min() >= 3
    np.testing.assert_array_equal(labels, (height > width).ravel())


def test_rect_has_outlines_of_sides_4_to_28_that_differ_by_3_and_a_tall_one_is_1(
    rect: dict[str, Array], genuine: Genuine
) -> None:
    are_outlines_of_rect(rect["X"], rect["Y"])
    are_outlines_of_rect(rect["Xtest"][::10], rect["Ytest"][::10])
    are_outlines_of_rect(*genuine("rect"))
    assert rect["Y"].mean() == pytest.approx(0.5, abs=0.05)
    assert rect["Ytest"].mean() == pytest.approx(0.5, abs=0.01)


def test_in_rect_all_506_pairs_of_sides_and_all_places_are_equally_likely(
    rect: dict[str, Array],
) -> None:
    top, left, height, width = boxes(rect["Xtest"])
    pairs, counts = np.unique(height * 100 + width, return_counts=True)
    sides = range(4, 29)
    assert pairs.tolist() == [100 * h + w for h in sides for w in sides if abs(h - w) >= 3]
    assert len(pairs) == 506
    chi_square = ((counts - 50_000 / 506) ** 2 / (50_000 / 506)).sum()
    assert 380 < chi_square < 640  # 505 degrees of freedom: 505 ± 4 · 32
    for first, room in ((top, 28 - height), (left, 28 - width)):
        for free in (1, 2, 3):
            shares = np.bincount(first[room == free]) / (room == free).sum()
            np.testing.assert_allclose(shares, np.full(free + 1, 1 / (free + 1)), atol=0.05)


@pytest.mark.slow
def test_the_seed_of_rect_is_the_median_of_eight_draws_by_the_error_of_a_fixed_svm() -> None:
    words = [sys.executable, str(ROOT / "docs" / "rect_draws.py")]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    *draws, spread, _ = ended.stdout.splitlines()
    shown = re.search(r"^\| the fixed SVM.*$", (ROOT / "docs/datasets.md").read_text("utf-8"), re.M)
    assert shown is not None
    figures = [float(figure) for figure in re.findall(r"[0-9]*\.[0-9]+", shown[0])]
    assert figures[:8] == pytest.approx([float(line.split()[2]) for line in draws], abs=0.01)
    low, high, mean, deviation = (float(number) for number in re.findall(r"[0-9]\.[0-9]+", spread))
    assert figures[8:] == pytest.approx([low, high, mean, deviation], abs=0.011)


PHOTOGRAPHS = {
    "skimage/data": "astronaut brick camera chelsea coffee coins grass gravel moon rocket "
    "motorcycle_left",
    "sklearn/datasets/images": "china flower",
}


def photographs() -> Iterator[Array]:
    """The luma, as integers, of the 13 photographs that the dependencies ship."""
    installed = Path(str(distribution("scikit-image").locate_file("")))
    for folder, names in PHOTOGRAPHS.items():
        for name in names.split():
            (path,) = (installed / folder).glob(f"{name}.*g")
            with Image.open(path) as image:
                image.draft("L", image.size)
                pixels = np.array(image, dtype=np.int64)
            colours = np.array([299, 587, 114])
            yield pixels if pixels.ndim == 2 else (pixels[..., :3] @ colours + 500) // 1000


def windows_like(image: Array, row: int, column: int, among: list[Array]) -> list[Array]:
    """The 28 x 28 windows that agree with an image in eight pixels starting at a place."""
    found: list[Array] = []
    for grey in among:
        windows = np.lib.stride_tricks.sliding_window_view(grey, (28, 28))
        y, x = np.nonzero(windows[:, :, row, column] == image[row, column])
        for k in range(column + 1, column + 8):
            same = windows[y, x, row, k] == image[row, k]
            y, x = y[same], x[same]
        found += list(windows[y, x])
    return found


def test_rect_img_has_a_filled_rectangle_of_one_patch_of_a_photograph_on_another() -> None:
    shrunken = []
    for grey in photographs():
        height, width = grey.shape[0] // 3, grey.shape[1] // 3
        squares = grey[: 3 * height, : 3 * width].reshape(height, 3, width, 3)
        shrunken.append((squares.sum(axis=(1, 3)) + 4) // 9)  # rounded means
    images, labels = together(small("rect-img"))
    assert 0.4 < labels.mean() < 0.6
    sides = []
    for image, label in zip(images[::3].reshape(-1, 28, 28), labels[::3], strict=True):
        around = windows_like(image, 0, 0, shrunken) + windows_like(image, 27, 20, shrunken)
        outside = max(around, key=lambda window: int((window == image).sum()), default=image)
        top, left, height, width = boxes((outside != image)[None])[:, 0].tolist()
        within = np.s_[top : top + height, left : left + width]
        inside = windows_like(image, top, left, shrunken) if left <= 20 else []
        if 28 in (height, width) or not any(
            np.array_equal(window[within], image[within]) for window in inside
        ):
            continue  # unclear which patch is on top, or both have a black line
        assert min(height, width) >= 10
        assert abs(height - width) >= 5
        assert 0.25 * 784 <= height * width <= 0.75 * 784
        assert label == (height > width)
        assert outside.std() >= 3
        sides.append((height, width, top, left))
    assert len(np.unique(sides, axis=0)) > 50


def test_backgrounds_are_rough_patches_in_255_steps_as_printed() -> None:
    for name in ("bg-img", "rot-bg-img"):
        backgrounds = regenerated(name, 0, 1000, blank(1000))["Xtest"]
        steps = np.rint(backgrounds.astype(np.float64) * 255).astype(np.uint8)
        deviations = steps.std(axis=1)
        assert 30 <= deviations.min() < 30.5
        quartiles = np.quantile(deviations, [0.25, 0.5, 0.75])
        np.testing.assert_allclose(quartiles, [41, 49.8, 57.5], atol=3)  # of 120 genuine rows
        # They are k/255 printed with eight digits; 21 of them differ from k/255 in float32.
        printed = np.array([float(f"{k / 255:.7e}") for k in range(256)]).astype(np.float32)
        np.testing.assert_array_equal(backgrounds, printed[steps])


def own_convexity(image: Array) -> bool:
    """Whether a region contains every pixel whose centre is inside its convex hull."""
    sides = ConvexHull(np.argwhere(image)).equations
    distances = sides[:, :2] @ np.mgrid[:28, :28].reshape(2, 784) + sides[:, 2:]
    return bool(image.ravel()[(distances < 1e-9).all(axis=0)].all())


AREAS = {1: (301.4, 23, 74, 245, 504, 733), 0: (303.4, 31, 94, 252, 487, 715)}
"""Areas in the genuine test file by label: mean, percentiles 5, 25, 50, 75, 95."""


def test_in_convex_label_1_is_a_convex_region_and_label_0_a_union_that_is_not() -> None:
    arrays = regenerated("convex", 300, 6000)
    images, labels = arrays["Xtest"].reshape(-1, 28, 28), arrays["Ytest"]
    assert labels.tolist() == [1] * 3000 + [0] * 3000  # sorted by class like the original
    assert 0.4 < arrays["Y"].mean() < 0.6
    assert 0.3 < arrays["Y"][:50].mean() < 0.7  # the training file is mixed
    assert [own_convexity(image) for image in images[::20]] == (labels[::20] == 1).tolist()
    training = arrays["X"].reshape(-1, 28, 28)
    assert [own_convexity(image) for image in training] == (arrays["Y"] == 1).tolist()
    areas = images.sum(axis=(1, 2), dtype=int)
    assert areas[:3000].min() == 20
    assert areas[3000:].min() > 11
    assert areas[:3000].max() == 784
    for label, expected in AREAS.items():
        mine = areas[labels == label]
        figures = [mine.mean(), *np.percentile(mine, [5, 25, 50, 75, 95])]
        assert figures == pytest.approx(expected, rel=0.1, abs=4)


def test_the_genuine_labels_of_convex_obey_the_same_definition(test_data: Path) -> None:
    with np.load(test_data / "convex" / "convex.npz") as rows:
        images, labels = rows["Xtest"][::250].reshape(-1, 28, 28), rows["Ytest"][::250]
    assert [own_convexity(image) for image in images] == (labels == 1).tolist()


def test_each_digit_comes_at_most_once_and_no_place_is_preferred() -> None:
    firsts = []
    for name in ("rot", "bg-rand", "bg-img", "rot-bg-img"):
        _, labels = together(small(name))
        assert sorted(labels.tolist()) == list(range(200))
        _, some = together(regenerated(name, 2, 5, stand_ins()))
        assert some.tolist() == labels[:7].tolist()
        firsts.append(tuple(labels[:7]))
        late = labels[:80] >= 100
        assert 25 < late.sum() < 55  # training and test digits are mixed
    assert len(set(firsts)) == 4  # each set has a different order


def test_the_genuine_rows_of_basic_are_those_of_mnist_bit_for_bit(
    genuine: Genuine, mnist: Digits
) -> None:
    greys, labels = genuine("basic")
    # The first and the last ten for training, for validation and for the test.
    places = np.repeat([0, 9_990, 10_000, 11_990, 12_000, 61_990], 10) + np.arange(60) % 10
    ours = together(regenerated("basic", 12_000, 50_000, mnist))
    np.testing.assert_array_equal(ours[0][places] / 256, greys)
    np.testing.assert_array_equal(ours[1][places], labels)


def test_in_bg_rand_every_pixel_is_the_maximum_of_digit_and_uniform_noise() -> None:
    images, labels = together(small("bg-rand"))
    digit = stand_ins()[0][labels] / 256
    images = upright(images)  # they are stored transposed
    assert (images >= digit).all()
    inked = digit > 0
    # Uniform noise is below a digit's grey value with a probability equal to that value.
    assert (images == digit)[inked].mean() == pytest.approx(digit[inked].mean(), abs=0.01)
    noise = regenerated("bg-rand", 500, 500, blank(1000))
    for part in (noise["X"], noise["Xtest"]):
        counts = np.histogram(part, bins=50, range=(0, 1))[0] / part.size
        np.testing.assert_allclose(counts, 0.02, atol=0.0012)
        assert 0.9999 < part.max() < 1
        steps = part.astype(np.float64) * 2**24
        np.testing.assert_array_equal(steps, np.rint(steps))


def test_the_genuine_rows_of_bg_rand_have_this_composition(identified: Identified) -> None:
    images, digits, _ = identified("bg-rand")
    assert (images >= digits / 256).all()
    inked = digits > 0
    share = (images == digits / 256)[inked].mean()
    assert share == pytest.approx((digits / 256)[inked].mean(), abs=0.02)
    counts = np.histogram(images[~inked], bins=10, range=(0, 1))[0] / (~inked).sum()
    np.testing.assert_allclose(counts, 0.1, atol=0.006)


def composed(images: Array, digit: Array) -> bool:
    """Whether each pixel is the digit's k/256, or a k/255 that is not darker."""
    steps = images.astype(np.float64) * 255
    is_patch = (np.abs(steps - np.rint(steps)) < 2e-5) & (images > digit - 1e-7)
    return bool((is_patch | (np.abs(images - digit) < 1e-7)).all())


def test_in_bg_img_every_pixel_is_the_maximum_of_digit_and_patch_as_in_the_genuine_rows(
    identified: Identified,
) -> None:
    images, labels = together(small("bg-img"))
    digit = stand_ins()[0][labels] / 256
    assert composed(upright(images), digit)
    assert 0.5 < (upright(images) == digit)[digit > 0].mean() < 0.95
    images, digits, _ = identified("bg-img")
    assert composed(images, digits / 256)


def turned_by_definition(image: Array, angle: float) -> Array:
    """Each pixel is the mean of all, weighted by a Gaussian of .3 pixels about its origin."""
    y, x = np.mgrid[0:28, 0:28].reshape(2, -1)
    row = math.cos(angle) * (y - 13.5) - math.sin(angle) * (x - 13.5) + 13.5
    column = math.sin(angle) * (y - 13.5) + math.cos(angle) * (x - 13.5) + 13.5
    square = (row[:, None] - y) ** 2 + (column[:, None] - x) ** 2
    square -= square.min(axis=1, keepdims=True)
    weights = np.exp(-square / (2 * 0.3**2))
    mean: Array = weights @ image / weights.sum(axis=1)
    return mean


def turn(images: Array, angles: Any) -> Array:
    """Rotate each image by its angle."""
    return rotated(images, np.cos(angles), np.sin(angles))


def test_a_rotated_pixel_is_the_gaussian_mean_about_its_origin() -> None:
    full = np.full((1, 784), 200, dtype=np.uint8)
    full[0, ::3] = 10  # also ink at the edge
    for image in (stand_ins()[0][:1], full):
        for angle in (0.3, 0.8, 2.2, 3.5, 5.9):
            (turned,) = turn(image, np.array([angle]))
            np.testing.assert_allclose(turned, turned_by_definition(image[0], angle), atol=1e-6)


def test_rot_has_digits_turned_by_any_angle_in_six_decimals_and_not_mirrored() -> None:
    image = np.zeros((28, 28), dtype=np.uint8)
    image[13:15, 17:20] = 250  # to the right of the middle, near it
    image[22:24, 13:15] = 250  # below the middle, far from it
    arrays = regenerated("rot", 200, 200, (np.tile(image.reshape(1, 784), (400, 1)), np.zeros(400)))
    turned = upright(together(arrays)[0]).astype(np.float64)
    np.testing.assert_allclose(turned * 1e6, np.rint(turned * 1e6), atol=0.05)
    assert 0.9 < turned.max() <= 250 / 256 + 1e-6
    y, x = (axis.ravel() - 13.5 for axis in np.mgrid[:28, :28])
    near = np.hypot(x, y) < 6.5
    angles = []
    for part in (near, ~near):
        weight = turned * part
        angles.append(np.arctan2(weight @ y, weight @ x))
    np.testing.assert_allclose((angles[1] - angles[0]) % (2 * np.pi), np.pi / 2, atol=0.08)
    eighths = np.bincount((angles[0] // (np.pi / 4)).astype(int) % 8, minlength=8)
    assert 25 < eighths.min() < eighths.max() < 80


def test_the_genuine_rows_of_rot_are_reproduced_to_six_decimals(identified: Identified) -> None:
    images, digits, angles = identified("rot")
    turned = np.rint(turn(digits, angles) / 256 * 1e6) / 1e6
    assert np.abs(turned - images).max() < 1.1e-6
    assert (turned == images).mean() > 0.997


def test_the_genuine_rows_of_rot_bg_img_are_reproduced_to_eight_digits(
    identified: Identified,
) -> None:
    images, digits, angles = identified("rot-bg-img")
    turned, steps = turn(digits, angles) / 255, images * 255
    patch = (np.abs(steps - np.rint(steps)) < 2e-5) & (turned < images + 1e-6)
    assert np.abs(turned - images)[~patch].max() < 2e-8
    assert patch.mean() == pytest.approx(0.863, abs=0.001)
